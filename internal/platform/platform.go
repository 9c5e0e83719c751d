// Package platform names the platforms that weft runs on (operating system, CPU architecture, variant of it), picks
// the artefact that fits a node, and tells from the first bytes of a file which platform it was made for.
//
// The names are those of Go and of OCI images ("linux/arm64", "linux/arm/v7"); what uname and Debian call the same
// things is understood too. The package is pure: it knows nothing of the machine it runs on.
package platform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// anyName is how the neutral platform is written.
const anyName = "any"

// Platform is an operating system, a CPU architecture and, optionally, a variant of it. The zero value is the neutral
// platform, "any": that of an artefact which runs everywhere, such as a script.
type Platform struct {
	OS      string `json:"os" msgpack:"os"`
	Arch    string `json:"arch" msgpack:"arch"`
	Variant string `json:"variant,omitempty" msgpack:"variant,omitempty"`
}

// Parse reads "os/architecture", "os/architecture/variant" or "any", in any usual spelling ("linux/aarch64",
// "Linux/arm64/v8"), and returns the normalised platform.
func Parse(s string) (Platform, error) {
	if strings.EqualFold(s, anyName) {
		return Platform{}, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, badPart) {
		return Platform{}, fmt.Errorf("platform %q: want os/architecture or os/architecture/variant, such as linux/arm64 or linux/arm/v7, or any", s)
	}
	p := Platform{OS: parts[0], Arch: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p.Normalise(), nil
}

// badPart tells whether s cannot be one part of a platform's name.
func badPart(s string) bool {
	return s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	})
}

// String writes the platform so that Parse reads it back: "linux/arm64", "linux/arm/v7", "any".
func (p Platform) String() string {
	switch {
	case p.IsAny():
		return anyName
	case p.Variant == "":
		return p.OS + "/" + p.Arch
	default:
		return p.OS + "/" + p.Arch + "/" + p.Variant
	}
}

// IsAny tells whether p is the neutral platform.
func (p Platform) IsAny() bool { return p == Platform{} }

// Normalise returns p in the one spelling that weft uses: lower case, Go's names of architectures ("x86_64" becomes
// amd64, "aarch64" arm64, "armv7l" arm/v7), and no variant where it is what every machine of that architecture has
// (amd64/v1, arm64/v8).
func (p Platform) Normalise() Platform {
	p = Platform{OS: strings.ToLower(p.OS), Arch: strings.ToLower(p.Arch), Variant: strings.ToLower(p.Variant)}
	arch, variant := canonical(p.Arch)
	p.Arch = arch
	if p.Variant == "" {
		p.Variant = variant
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	if p.Arch == "amd64" && p.Variant == "v1" || p.Arch == "arm64" && p.Variant == "v8" {
		p.Variant = ""
	}
	return p
}

// canonical returns Go's name of an architecture, and the variant that the other name implied.
func canonical(arch string) (name, variant string) {
	switch arch {
	case "x86_64", "x86-64", "x64":
		return "amd64", ""
	case "i386", "i486", "i586", "i686", "x86":
		return "386", ""
	case "aarch64", "armv8":
		return "arm64", ""
	case "armv8l":
		return "arm", "v8"
	case "armhf", "armv7l", "armv7":
		return "arm", "v7"
	case "armel", "armv6l", "armv6":
		return "arm", "v6"
	case "armv5tel", "armv5":
		return "arm", "v5"
	case "mipsel":
		return "mipsle", ""
	case "mips64el":
		return "mips64le", ""
	case "ppc64el", "powerpc64le":
		return "ppc64le", ""
	case "loongarch64":
		return "loong64", ""
	default:
		return arch, ""
	}
}

// Runs tells whether a node of platform p runs an artefact that was made for platform artefact: the neutral one
// always, otherwise the same operating system and architecture and at most the node's variant. A node whose variant
// is not known runs what every machine of its architecture runs. Emulation is not considered. Both must be
// normalised.
func (p Platform) Runs(artefact Platform) bool {
	_, ok := p.rank(artefact)
	return ok
}

// rank orders the artefacts that a node of platform p runs: the higher, the better it fits.
func (p Platform) rank(artefact Platform) (int, bool) {
	switch {
	case artefact.IsAny():
		return 0, true
	case artefact.OS != p.OS || artefact.Arch != p.Arch:
		return 0, false
	case artefact.Variant == "":
		return 1, true
	}
	have, known := level(p)
	want, numbered := level(artefact)
	if known && numbered && want <= have {
		return 1 + want, true
	}
	const exact = 1000
	return exact, artefact.Variant == p.Variant
}

// level returns the number of a variant whose higher numbers contain the lower ones.
func level(p Platform) (int, bool) {
	var levels []string
	switch p.Arch {
	case "amd64":
		levels = []string{"v1", "v2", "v3", "v4"}
	case "arm":
		levels = []string{"v5", "v6", "v7", "v8"}
	default:
		return 0, false
	}
	i := slices.Index(levels, p.Variant)
	return 1 + i, i >= 0
}

// Match picks, among artefacts keyed by platform, the one that fits a node best: the highest variant that the node
// has, then one without a variant, then the neutral one. Of two spellings of one platform the first in the order of
// bytes is taken; keys that Parse refuses are passed over. It returns the key as it was written, and false when none
// fits.
func Match[V any](artefacts map[string]V, node Platform) (string, bool) {
	node = node.Normalise()
	best, bestRank := "", -1
	for _, key := range slices.Sorted(maps.Keys(artefacts)) {
		p, err := Parse(key)
		if err != nil {
			continue
		}
		if rank, ok := node.rank(p); ok && rank > bestRank {
			best, bestRank = key, rank
		}
	}
	return best, bestRank >= 0
}
