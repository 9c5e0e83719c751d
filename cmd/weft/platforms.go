package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
)

// known are the platforms of Go: of go tool dist list.
const known = `aix/ppc64 android/386 android/amd64 android/arm android/arm64 darwin/amd64 darwin/arm64 dragonfly/amd64
	freebsd/386 freebsd/amd64 freebsd/arm freebsd/arm64 freebsd/riscv64 illumos/amd64 ios/amd64 ios/arm64 js/wasm linux/386
	linux/amd64 linux/arm linux/arm64 linux/loong64 linux/mips linux/mips64 linux/mips64le linux/mipsle linux/ppc64
	linux/ppc64le linux/riscv64 linux/s390x netbsd/386 netbsd/amd64 netbsd/arm netbsd/arm64 openbsd/386 openbsd/amd64
	openbsd/arm openbsd/arm64 openbsd/ppc64 openbsd/riscv64 plan9/386 plan9/amd64 plan9/arm solaris/amd64 wasip1/wasm
	windows/386 windows/amd64 windows/arm64`

// checkPlatforms refuses artefacts for a platform that there is not: no node would ever be of it.
func checkPlatforms(path string, a protocol.Artefacts) error {
	all := strings.Fields(known)
	for _, key := range slices.Sorted(maps.Keys(a)) {
		p, err := platform.Parse(key)
		if err != nil || slices.Contains(all, p.OS+"/"+p.Arch) {
			continue // what is no platform at all was refused before
		}
		hint := ": want one such as linux/amd64 or linux/arm64"
		if near, ok := nearest.Of(key, all); ok {
			hint = ": did you mean " + near + "?"
		}
		return badInput("%s: artefacts: there is no platform %q%s", path, key, hint)
	}
	return nil
}
