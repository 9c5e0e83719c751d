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

// buildVersion gives the version of the module and the commit that it was built from, as far as the build noted them.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			version += " " + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			version += " (modified)"
		}
	}
	return version
}
