package launcher

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestValidate(t *testing.T) {
	good := func() Spec {
		return Spec{
			ID: "price-1.a_B", Command: "/bin/true", Args: []string{"-x"}, Env: []string{"A=", "B=c=d"}, Dir: "/",
			Identity: make([]byte, MaxIdentity),
		}
	}
	if s := good(); s.Validate() != nil {
		t.Fatalf("a good spec is refused: %v", s.Validate())
	}
	if s := (Spec{ID: "a", Command: "python3"}); s.Validate() != nil {
		t.Fatalf("the smallest spec is refused: %v", s.Validate())
	}
	for name, tt := range map[string]struct {
		field string
		spoil func(*Spec)
	}{
		"no id":             {"ID", func(s *Spec) { s.ID = "" }},
		"id with slash":     {"ID", func(s *Spec) { s.ID = "a/b" }},
		"id is a parent":    {"ID", func(s *Spec) { s.ID = ".." }},
		"long id":           {"ID", func(s *Spec) { s.ID = strings.Repeat("a", maxID+1) }},
		"no command":        {"Command", func(s *Spec) { s.Command = "" }},
		"relative command":  {"Command", func(s *Spec) { s.Command = "bin/true" }},
		"zero in command":   {"Command", func(s *Spec) { s.Command = "/bin/\x00" }},
		"zero in argument":  {"Args", func(s *Spec) { s.Args = []string{"\x00"} }},
		"relative folder":   {"Dir", func(s *Spec) { s.Dir = "tmp" }},
		"env without value": {"Env", func(s *Spec) { s.Env = []string{"A"} }},
		"env without key":   {"Env", func(s *Spec) { s.Env = []string{"=a"} }},
		"zero in env":       {"Env", func(s *Spec) { s.Env = []string{"A=\x00"} }},
		"owner mark":        {"Env", func(s *Spec) { s.Env = []string{EnvOwner + "=x"} }},
		"container mark":    {"Env", func(s *Spec) { s.Env = []string{EnvContainer + "=x"} }},
		"identity mark":     {"Env", func(s *Spec) { s.Env = []string{EnvIdentityFD + "=4"} }},
		"large identity":    {"Identity", func(s *Spec) { s.Identity = make([]byte, MaxIdentity+1) }},
	} {
		s := good()
		tt.spoil(&s)
		var bad *SpecError
		if err := s.Validate(); !errors.As(err, &bad) || !strings.Contains(bad.Field, tt.field) || bad.Want == "" {
			t.Errorf("%s: %v, want a SpecError about %s that says what would be right", name, err, tt.field)
		}
	}
}

func TestStartErrorSaysAll(t *testing.T) {
	err := error(&StartError{ID: "c1", Path: "/x/y", Want: "linux/amd64", Err: ErrPlatform})
	if got, want := err.Error(), "start container c1: /x/y: made for another platform: want linux/amd64"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, ErrPlatform) {
		t.Error("the reason is lost")
	}
}

func TestNewExit(t *testing.T) {
	for _, tt := range []struct {
		code, signal int
		cause        Cause
		wantCode     int
		reason       string
	}{
		{3, 0, Itself, 3, "ended by itself: exit code 3"},
		{0, 11, Itself, -1, "ended by signal 11 (SIGSEGV)"},
		{0, 9, Itself, -1, "killed, and not by its agent: signal 9 (SIGKILL); the kernel does this when memory runs out"},
		{0, 0, Stopped, 0, "stopped as told: exit code 0"},
		{0, 15, Stopped, -1, "stopped as told: signal 15 (SIGTERM)"},
		{0, 9, Overdue, -1, "did not stop within 2s and was killed: signal 9 (SIGKILL)"},
		{0, 9, Killed, -1, "killed as told: signal 9 (SIGKILL)"},
		{0, 99, Itself, -1, "ended by signal 99"},
	} {
		e := NewExit(tt.code, tt.signal, tt.cause, 2*time.Second, []string{"last"})
		if e.Code != tt.wantCode || e.Signal != tt.signal || e.Cause != tt.cause || e.Reason != tt.reason || len(e.Output) != 1 {
			t.Errorf("%+v: got %+v", tt, e)
		}
	}
}

func TestCauseString(t *testing.T) {
	for c, want := range map[Cause]string{Itself: "itself", Stopped: "stopped", Overdue: "overdue", Killed: "killed", 77: "cause 77"} {
		if c.String() != want {
			t.Errorf("%d: %q, want %q", c, c.String(), want)
		}
	}
}

func TestReadIdentity(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	if id, err := ReadIdentity(none); id != nil || err != nil {
		t.Errorf("started by hand: %q, %v", id, err)
	}
	for _, text := range []string{"", "x", "-1", "2", "987654"} {
		_, err := ReadIdentity(func(string) (string, bool) { return text, true })
		if err == nil || !strings.Contains(err.Error(), EnvIdentityFD) {
			t.Errorf("descriptor %q: %v, want an error that names %s", text, err, EnvIdentityFD)
		}
	}
	for size, ok := range map[int]bool{0: true, 5: true, MaxIdentity: true, MaxIdentity + 1: false} {
		want := bytes.Repeat([]byte{7}, size)
		fd := writeIdentity(t, want)
		got, err := ReadIdentity(func(string) (string, bool) { return strconv.Itoa(fd), true })
		if (err == nil) != ok || ok && !bytes.Equal(got, want) {
			t.Errorf("identity of %d bytes: got %d, %v", size, len(got), err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Errorf("identity of %d bytes: the descriptor is still open", size)
		}
	}
}

// writeIdentity returns a descriptor of its own from which the bytes can be read.
func writeIdentity(t *testing.T, b []byte) int {
	t.Helper()
	name := t.TempDir() + "/identity"
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
