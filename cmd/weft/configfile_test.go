package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The file counts less than variables, these less than flags; what is printed says so, and can be read again.
func TestConfigPrecedence(t *testing.T) {
	path := written(t, "b.yaml", "# a broker\nname: from-file\nloops: 3\nio-threads: 2\nlisten:\n- tcp://127.0.0.1:7800\n- tcp://127.0.0.2:7800\ninsecure: false\n")
	env := map[string]string{"WEFT_BROKER_NAME": "from-env", "WEFT_BROKER_LOOPS": "5", "WEFT_BROKER_CONFIG": path}
	out, errOut, code := weftWith(t, &scripted{}, env, "broker", "--loops", "7", "--print-config")
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %q", code, errOut)
	}
	origins := map[string]string{}
	for line := range strings.Lines(out) {
		value, origin, _ := strings.Cut(strings.TrimSpace(line), "#")
		origins[strings.TrimSpace(value)] = strings.TrimSpace(origin)
	}
	want := map[string]string{
		"name: from-env": "WEFT_BROKER_NAME", "loops: 7": "flag", "io-threads: 2": path + ":4",
		`listen: ["tcp://127.0.0.1:7800", "tcp://127.0.0.2:7800"]`: path + ":5", "insecure: false": path + ":8",
		"log-level: info": "default", `advertise: ""`: "default",
	}
	for value, origin := range want {
		if got, ok := origins[value]; !ok || got != origin {
			t.Errorf("%q is by %q (%v), want %q; in\n%s", value, got, ok, origin, out)
		}
	}
	again := written(t, "again.yaml", out)
	if _, errOut, code := weft(t, &scripted{}, "broker", "--config", again, "--check"); code != exitOK {
		t.Errorf("what was printed is refused: %s", errOut)
	}
}

func TestConfigCheck(t *testing.T) {
	cases := []struct {
		command, text, says string
		code                int
	}{
		{"broker", "loops: 2\n", "the configuration is right", exitOK},
		{"broker", "", "the configuration is right", exitOK},
		{"broker", "\nlopps: 2\n", `c.yaml:2: unknown key "lopps": did you mean "loops"?`, exitUsage},
		{"broker", "io_threads: 2\n", `c.yaml:1: unknown key "io_threads": did you mean "io-threads"?`, exitUsage},
		{"broker", "speed: 2\n", `c.yaml:1: unknown key "speed": there are advertise, `, exitUsage},
		{"broker", "check: true\n", `unknown key "check"`, exitUsage},
		{"broker", "loops: 2\nloops: 3\n", `c.yaml:2:`, exitUsage},
		{"broker", "name: a\nloops: many\n", `c.yaml:2: loops: "many" is not a whole number`, exitUsage},
		{"broker", "loops: [1, 2]\n", "c.yaml:1: loops: takes one value, not a list", exitUsage},
		{"broker", "loops: {a: 1}\n", "c.yaml:1: loops: ", exitUsage},
		{"broker", "listen: [[a]]\n", "c.yaml:1: listen: ", exitUsage},
		{"broker", "- loops\n", "is not a mapping", exitUsage},
		{"broker", "loops: [\n", "c.yaml:", exitUsage},
		{"broker", "loops: 65\n", "65 is not within 1 to 64", exitUsage},
		{"broker", "listen: tcp://0.0.0.0:7700\n", "0.0.0.0", exitUsage},
		{"agent", "capacity: cpu=much\n", `c.yaml:1: capacity: cpu: "much"`, exitUsage},
		{"broker", "manager-cpu: lots\n", `c.yaml:1: manager-cpu: "lots"`, exitUsage},
		{"broker", "name: a\nlog-level: loud\n", `c.yaml:2: log-level: "loud" is not one of`, exitUsage},
		{"agent", "broker: udp://x\n", "c.yaml:1: broker: ", exitUsage},
		{"agent", "broker: tcp://head:7700\nname: n1\nrack: 7\n", "the configuration is right", exitOK},
		{"agent", "name: N 1\n", `"N 1" is not`, exitUsage},
	}
	for _, c := range cases {
		path := written(t, "c.yaml", c.text)
		out, errOut, code := weft(t, &scripted{}, c.command, "--listen=tcp://127.0.0.1:0", "--config", path, "--check")
		if c.command == "agent" || strings.Contains(c.text, "listen") {
			out, errOut, code = weft(t, &scripted{}, c.command, "--config", path, "--check")
		}
		if code != c.code || !strings.Contains(out+errOut, c.says) {
			t.Errorf("%s with %q: exit %d, %q, %q; want %d and %q", c.command, c.text, code, out, errOut, c.code, c.says)
		}
	}
	if _, errOut, code := weft(t, &scripted{}, "agent", "--config", "/nowhere.yaml", "--check"); code != exitUsage || !strings.Contains(errOut, "/nowhere.yaml") {
		t.Errorf("a missing file: exit %d, %q", code, errOut)
	}
}
