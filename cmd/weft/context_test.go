package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestContexts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "config.yaml")
	env := map[string]string{"WEFT_CONFIG": path}
	steps := []struct {
		args, says string
		code       int
	}{
		{"context list -o name", "", exitOK},
		{"context show", "broker:  tcp://127.0.0.1:7700\nby:      default\n", exitOK},
		{"context use lab", `there is no context "lab"; there are: none`, exitNotFound},
		{"context set lab tcp://lab:7700", "context lab: tcp://lab:7700", exitOK},
		{"context set home tcp://a:1,tcp://b:2", "context home: tcp://a:1,tcp://b:2", exitOK},
		{"context set Lab tcp://lab:7700", `"Lab"`, exitUsage},
		{"context set bad udp://x", "udp://x", exitUsage},
		{"context use lap", `did you mean "lab"?`, exitNotFound},
		{"context use lab", "now in use: context lab", exitOK},
		{"context list", "CONTEXT  BROKER               CURRENT\nhome     tcp://a:1,tcp://b:2\nlab      tcp://lab:7700       yes\n", exitOK},
		{"context show", "broker:  tcp://lab:7700\nby:      context lab\n", exitOK},
		{"context show --export", "export WEFT_BROKER='tcp://lab:7700'\n", exitOK},
		{"context show --context home", "by:      context home\n", exitOK},
		{"node list --context nowhere", `there is no context "nowhere"`, exitNotFound},
		{"context delete lab", "deleted: context lab\nno context is in use now: commands ask tcp://127.0.0.1:7700", exitOK},
		{"context delete lab", "there is no context", exitNotFound},
		{"context show", "by:      default\n", exitOK},
	}
	for _, s := range steps {
		out, errOut, code := weftWith(t, &scripted{}, env, strings.Fields(s.args)...)
		if code != s.code || !strings.Contains(out+errOut, s.says) {
			t.Errorf("weft %s: exit %d, %q, %q; want %d and %q", s.args, code, out, errOut, s.code, s.says)
		}
	}
	if left, _ := filepath.Glob(path + "?*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// Which broker is asked: flags before variables before the current context, the broker before the context.
func TestWhichContext(t *testing.T) {
	path := written(t, "config.yaml", "current: one\ncontexts:\n  one: {broker: tcp://one:1}\n  two: {broker: tcp://two:2}\n")
	cases := []struct{ broker, context, args, want string }{
		{"", "", "", "tcp://one:1"},
		{"", "two", "", "tcp://two:2"},
		{"tcp://env:3", "two", "", "tcp://env:3"},
		{"tcp://env:3", "", "--context two", "tcp://two:2"},
		{"tcp://env:3", "one", "--context two --broker tcp://flag:4", "tcp://flag:4"},
	}
	for _, c := range cases {
		b := &scripted{}
		env := map[string]string{"WEFT_CONFIG": path, "WEFT_BROKER": c.broker, "WEFT_CONTEXT": c.context}
		_, errOut, code := weftWith(t, b, env, append([]string{"node", "list"}, strings.Fields(c.args)...)...)
		if code != exitOK || b.dialled != c.want {
			t.Errorf("%+v: dialled %q, exit %d, %s", c, b.dialled, code, errOut)
		}
	}
}

func TestBadContextFile(t *testing.T) {
	cases := []struct{ text, says string }{
		{"currant: a\n", `config.yaml:1: unknown key "currant": did you mean "current"?`},
		{"contexts:\n  a: {broker: udp://x}\n", "contexts.a.broker"},
		{"contexts: [\n", "config.yaml:"},
		{"current: gone\n", `there is no context "gone"`},
	}
	for _, c := range cases {
		env := map[string]string{"WEFT_CONFIG": written(t, "config.yaml", c.text)}
		if _, errOut, code := weftWith(t, &scripted{}, env, "node", "list"); code == exitOK || !strings.Contains(errOut, c.says) {
			t.Errorf("%q: exit %d, %q; want %q", c.text, code, errOut, c.says)
		}
		if _, errOut, code := weftWith(t, &scripted{}, env, "agent", "--check"); code != exitOK {
			t.Errorf("%q stops an agent, which has no contexts: %s", c.text, errOut)
		}
	}
	a := &app{getenv: func(name string) string { return map[string]string{"HOME": "/home/u"}[name] }}
	if path := a.contexts().path(); path != "/home/u/.config/weft/config.yaml" {
		t.Errorf("without XDG_CONFIG_HOME: %s", path)
	}
}
