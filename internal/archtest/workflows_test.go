package archtest_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weft-fabric/weft/internal/archtest"
)

var allowedActions = []string{"actions/checkout", "actions/setup-go"}

func TestWorkflows(t *testing.T) {
	found, err := archtest.CheckWorkflows(os.DirFS(root), allowedActions)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestCheckWorkflows(t *testing.T) {
	const (
		head = "on: push\npermissions:\n  contents: read\njobs:\n  a:\n    steps:\n"
		hash = "df4cb1c069e1874edd31b4311f1884172cec0e10"
	)
	for name, tt := range map[string]struct{ text, want string }{
		"good":          {head + "      - uses: actions/checkout@" + hash + " # v6.0.3\n", ""},
		"tag":           {head + "      - uses: actions/checkout@v6\n", "not pinned"},
		"second line":   {head + "      - name: x\n        uses: actions/checkout@v6\n", "not pinned"},
		"quoted":        {head + "      - \"uses\": \"actions/checkout@" + hash + "\"\n", "not pinned"},
		"short hash":    {head + "      - uses: actions/checkout@df4cb1c # v6.0.3\n", "not pinned"},
		"no version":    {head + "      - uses: actions/checkout@" + hash + "\n", "not pinned"},
		"local":         {head + "      - uses: ./mine\n", "not pinned"},
		"third party":   {head + "      - uses: some/body@" + hash + " # v1\n", "none of"},
		"writes":        {head + "      contents: write\n", "grants more"},
		"writes all":    {head + "    permissions: write-all\n", "grants more"},
		"says nothing":  {"on: push\njobs:\n", "permissions"},
		"only some job": {"on: push\njobs:\n  a:\n    permissions:\n      contents: read\n", "permissions"},
	} {
		fsys := fstest.MapFS{".github/workflows/ci.yml": {Data: []byte(tt.text)}, ".github/workflows/README.md": {Data: []byte("uses: x")}}
		found, err := archtest.CheckWorkflows(fsys, allowedActions)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" {
			report(t, found)
		} else if all := strings.Join(lines(found), "\n"); len(found) != 1 || !strings.Contains(all, tt.want) {
			t.Errorf("%s: found %q, want one with %q", name, all, tt.want)
		}
	}
	for _, fsys := range []fstest.MapFS{{}, {".github/workflows/README.md": {}}} {
		if _, err := archtest.CheckWorkflows(fsys, allowedActions); err == nil {
			t.Error("nothing was checked, and nobody told")
		}
	}
}
