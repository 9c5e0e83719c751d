package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// block is a fenced block of a Markdown file.
type block struct {
	language string
	text     string
}

// blocks are the fenced blocks of a Markdown text that have a language.
func blocks(markdown string) []block {
	var all []block
	for i, part := range strings.Split("\n"+markdown, "\n```") {
		if i%2 == 0 {
			continue
		}
		if language, text, _ := strings.Cut(part, "\n"); language != "" {
			all = append(all, block{language, text + "\n"})
		}
	}
	return all
}

// file is the name in the first line of a block that is a file: "// name" or "# name".
func (b block) file() string {
	first, _, _ := strings.Cut(b.text, "\n")
	for _, mark := range []string{"// ", "# "} {
		if name, ok := strings.CutPrefix(first, mark); ok && !strings.ContainsAny(name, " `$") {
			return name
		}
	}
	return ""
}

// tourScript is a shell script that does what a reader of the README does: saves the files, runs the commands. The output
// of the nth command block goes to the file n in $OUT. want has, for each of them, the lines that its output must have.
func tourScript(all []block) (script string, want [][]string) {
	var s strings.Builder
	s.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n")
	var saved strings.Builder // what was shown before there was a folder for it
	moved := false
	for _, b := range all {
		switch name := b.file(); {
		case b.language == "sh":
			fmt.Fprintf(&s, "{\n%s} >\"$OUT/%d\"\n", b.text, len(want))
			want = append(want, nil)
			if strings.Contains(b.text, "cd ~/square") {
				moved = true
				s.WriteString(saved.String())
			}
		case b.language == "text":
			want[len(want)-1] = append(want[len(want)-1], strings.Split(strings.TrimSpace(b.text), "\n")...)
		case name != "":
			to := &s
			if !moved {
				to = &saved
			}
			fmt.Fprintf(to, "mkdir -p %q\ncat >%q <<'END OF FILE'\n%sEND OF FILE\n", filepath.Dir(name), name, b.text)
		}
	}
	return s.String(), want
}

// TestAcceptanceTour does what the README tells a new user to do, and sees what it promises.
func TestAcceptanceTour(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, want := tourScript(blocks(string(readme)))
	if len(want) < 5 {
		t.Fatalf("the README has %d blocks of commands: the tour is not there", len(want))
	}
	home, out := t.TempDir(), t.TempDir()
	broker := "tcp://127.0.0.1:" + freePort(t)
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = "../.."
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "HOME="+home, "OUT="+out, "WEFT_BROKER="+broker, "WEFT_DEV_LISTEN="+broker, "WEFT_DEV_DIR="+home+"/agent")
	for _, name := range []string{"GOPATH", "GOCACHE", "GOMODCACHE"} { // else they would be in the new home
		cmd.Env = append(cmd.Env, name+"="+goEnv(t, name))
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	if err != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		t.Errorf("the tour ends with %v:\n%s", err, said.String())
	}
	for i, lines := range want {
		text, err := os.ReadFile(filepath.Join(out, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		rest := string(text)
		for _, line := range lines {
			_, after, found := strings.Cut(rest, line)
			if !found {
				t.Errorf("no %q where it is promised in the output of commands %d:\n%s", line, i, text)
				break
			}
			rest = after
		}
	}
}

// freePort is a tcp port that is free now, as are those of some loops after it.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestTourScript(t *testing.T) {
	text := "# x\n\n```go\n// a/a.go\n\npackage a\n```\n\n```\na picture\n```\n\n```sh\ncd ~/square\n```\n\n```yaml\n# s.yaml\nk: v\n```\n" +
		"```sh\necho hello\n```\n```text\nhello\n```\n"
	script, want := tourScript(blocks(text))
	at := 0
	for _, part := range []string{"{\ncd ~/square\n} >\"$OUT/0\"\n", "cat >\"a/a.go\"", "package a\nEND", "cat >\"s.yaml\"", "{\necho hello\n} >\"$OUT/1\"\n"} {
		i := strings.Index(script[at:], part)
		if i < 0 {
			t.Fatalf("no %q in its place in\n%s", part, script)
		}
		at += i
	}
	if len(want) != 2 || want[0] != nil || fmt.Sprint(want[1]) != "[hello]" {
		t.Errorf("wanted output %q", want)
	}
}
