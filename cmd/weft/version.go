package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of weft, of its protocol and of what it was built with",
		Args:  takes(),
		RunE: func(*cobra.Command, []string) error {
			major, minor, patch := zmqx.Version()
			return printPairs(a.out, []pair{
				{"weft", buildVersion()},
				{"protocol", fmt.Sprintf("%d to %d", protocol.MinVersion, protocol.MaxVersion)},
				{"go", runtime.Version()},
				{"libzmq", fmt.Sprintf("%d.%d.%d", major, minor, patch)},
				{"platform", runtime.GOOS + "/" + runtime.GOARCH},
			})
		},
	}
}

// version and commit are set by the linker: make does it.
var version, commit string

// buildVersion gives the version that make set, else that of the module, and the commit that it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case version != "":
		return version
	case !ok:
		return "unknown"
	}
	built := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			built += " " + s.Value[:12]
		}
	}
	return built
}
