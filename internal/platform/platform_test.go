package platform

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"linux/amd64":       "linux/amd64",
		"linux/x86_64":      "linux/amd64",
		"Linux/X86-64":      "linux/amd64",
		"linux/amd64/v1":    "linux/amd64",
		"linux/amd64/v3":    "linux/amd64/v3",
		"linux/aarch64":     "linux/arm64",
		"linux/arm64/v8":    "linux/arm64",
		"linux/arm64/8":     "linux/arm64",
		"linux/arm64/v9":    "linux/arm64/v9",
		"linux/arm/7":       "linux/arm/v7",
		"linux/armhf":       "linux/arm/v7",
		"linux/armv6l":      "linux/arm/v6",
		"linux/armel":       "linux/arm/v6",
		"linux/armv5tel":    "linux/arm/v5",
		"linux/i686":        "linux/386",
		"linux/mipsel":      "linux/mipsle",
		"linux/mips64el":    "linux/mips64le",
		"linux/ppc64el":     "linux/ppc64le",
		"linux/loongarch64": "linux/loong64",
		"linux/riscv64":     "linux/riscv64",
		"freebsd/s390x":     "freebsd/s390x",
		"ANY":               "any",
	} {
		p, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
			continue
		}
		if p.String() != want {
			t.Errorf("Parse(%q) = %v, want %v", in, p, want)
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Errorf("Parse(%q) = %v, %v: a platform's own text must give it back", p, again, err)
		}
		if p.Normalise() != p {
			t.Errorf("%v normalised again is %v", p, p.Normalise())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux//v8", "linux/arm/", "linux/arm/v7/x", "linux/a b", "linux/a\x00"} {
		p, err := Parse(in)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error", in, p)
			continue
		}
		if !strings.Contains(err.Error(), "os/architecture") {
			t.Errorf("Parse(%q): %v: does not say what would be right", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("linux/arm64/v8")
	f.Add("any")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("Parse(%q) = %#v, whose text gives %#v, %v", s, p, again, err)
		}
	})
}

func mustParse(t *testing.T, s string) Platform {
	t.Helper()
	p, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name, node string
		keys       []string
		want       string // "" for none
	}{
		{"exact", "linux/amd64", []string{"linux/arm64", "linux/amd64"}, "linux/amd64"},
		{"other spelling", "linux/amd64", []string{"linux/x86_64"}, "linux/x86_64"},
		{"two spellings: first by bytes", "linux/amd64", []string{"linux/x86_64", "linux/amd64"}, "linux/amd64"},
		{"none", "linux/riscv64", []string{"linux/arm64", "linux/amd64"}, ""},
		{"no artefacts", "linux/riscv64", nil, ""},
		{"other system", "freebsd/amd64", []string{"linux/amd64"}, ""},
		{"highest variant that fits", "linux/amd64/v3", []string{"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4"}, "linux/amd64/v3"},
		{"lower variant before none", "linux/arm/v7", []string{"linux/arm", "linux/arm/v6"}, "linux/arm/v6"},
		{"too high", "linux/arm/v6", []string{"linux/arm/v7"}, ""},
		{"unknown variant of the node", "linux/amd64", []string{"linux/amd64/v3"}, ""},
		{"variant without levels", "linux/arm64/v9", []string{"linux/arm64", "linux/arm64/v9"}, "linux/arm64/v9"},
		{"other variant without levels", "linux/arm64", []string{"linux/arm64/v9"}, ""},
		{"neutral is the last resort", "linux/arm64", []string{"any", "linux/arm64"}, "linux/arm64"},
		{"neutral", "linux/mips", []string{"any", "linux/arm64"}, "any"},
		{"refused keys are passed over", "linux/arm64", []string{"", "arm64", "linux/arm64"}, "linux/arm64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			artefacts := map[string]int{}
			for i, k := range tt.keys {
				artefacts[k] = i
			}
			got, ok := Match(artefacts, mustParse(t, tt.node))
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Match(%q, %s) = %q, %v; want %q", tt.keys, tt.node, got, ok, tt.want)
			}
		})
	}
}

func TestMatchNormalisesNode(t *testing.T) {
	if key, ok := Match(map[string]string{"linux/arm64": ""}, Platform{OS: "linux", Arch: "aarch64"}); !ok || key != "linux/arm64" {
		t.Errorf("Match = %q, %v", key, ok)
	}
}

func TestRuns(t *testing.T) {
	node := mustParse(t, "linux/arm/v7")
	for artefact, want := range map[string]bool{
		"any": true, "linux/arm": true, "linux/arm/v5": true, "linux/arm/v7": true,
		"linux/arm/v8": false, "linux/arm64": false, "linux/arm/odd": false, "netbsd/arm": false,
	} {
		if got := node.Runs(mustParse(t, artefact)); got != want {
			t.Errorf("%v.Runs(%v) = %v, want %v", node, artefact, got, want)
		}
	}
}
