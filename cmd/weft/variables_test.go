package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag of every command has one variable, and no two flags that differ have the same.
func TestEveryFlagHasAVariable(t *testing.T) {
	root := newRoot(newApp())
	seen := map[string]string{} // usage of the flag, by variable
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.InheritedFlags() // merges
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			name := variableOf(cmd, f)
			if other, ok := seen[name]; ok && other != f.Usage {
				t.Errorf("%s stands for two flags: %q and %q", name, other, f.Usage)
			}
			seen[name] = f.Usage
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
	for _, name := range []string{"WEFT_BROKER", "WEFT_CONTEXT", "WEFT_OUTPUT", "WEFT_WATCH", "WEFT_INTERVAL", "WEFT_BROKER_LOOPS", "WEFT_BROKER_IO_THREADS", "WEFT_SESSION_LIST_ALL"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("no flag has the variable %s", name)
		}
	}
	for _, name := range []string{"WEFT_CONFIG"} { // have a meaning of their own
		if usage, ok := seen[name]; ok {
			t.Errorf("%s stands for %q", name, usage)
		}
	}
}

func TestVariables(t *testing.T) {
	cases := []struct {
		env, args, says string
		code            int
	}{
		{"WEFT_OUTPUT=name", "node list", "n1\n", exitOK},
		{"WEFT_OUTPUT=name", "session list -o wide", "STARTED AFTER", exitOK},
		{"WEFT_OUTPUT=", "node list", "CORES FREE", exitOK},
		{"WEFT_SESSION_LIST_SERVICE=by-hand", "session list -o name", "12\n", exitOK},
		{"WEFT_ENVIRONMENT_DELETE_FORCE=true", "environment delete risk", "being killed", exitOK},
		{"WEFT_ENVIRONMENT_DELETE_FORCE=perhaps", "environment delete x", `WEFT_ENVIRONMENT_DELETE_FORCE="perhaps": not true or false`, exitUsage},
		{"WEFT_BROKER_LOOPS=many", "broker", `WEFT_BROKER_LOOPS="many": not a whole number such as 4`, exitUsage},
		{"WEFT_OUTPUT=xml", "node list", `--output: "xml" is not one of`, exitUsage},
	}
	for _, c := range cases {
		name, value, _ := strings.Cut(c.env, "=")
		out, errOut, code := weftWith(t, &scripted{}, map[string]string{name: value}, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errOut, c.says) {
			t.Errorf("%s weft %s: exit %d, %q, %q; want %d and %q", c.env, c.args, code, out, errOut, c.code, c.says)
		}
	}
}

// The examples of the help are about flags that there are, and give the variables that those have.
func TestVariablesHelp(t *testing.T) {
	found := 0
	for line := range strings.Lines(variablesHelp) {
		words := strings.Fields(line)
		at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "WEFT_") && strings.Contains(w, "=") })
		if at < 0 || words[0] != "weft" {
			continue
		}
		found++
		name, value, _ := strings.Cut(words[at], "=")
		cmd, rest, err := newRoot(newApp()).Find(words[1:at])
		if err != nil || len(rest) == 0 {
			t.Fatalf("%q: %v, %q", line, err, rest)
		}
		f := cmd.Flags().Lookup(strings.TrimPrefix(rest[0], "--"))
		if f == nil || variableOf(cmd, f) != name || f.Value.Set(value) != nil || len(rest) > 1 && rest[1] != value {
			t.Errorf("%q is not so: %+v", line, f)
		}
	}
	if found < 2 {
		t.Errorf("%d examples", found)
	}
}
