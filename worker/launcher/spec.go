package launcher

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Errors that Start gives, directly or wrapped.
var (
	// ErrMissing: the command, or the interpreter it needs, is not there.
	ErrMissing = errors.New("no such file")
	// ErrNotExecutable: the command is there and is nothing that can be run.
	ErrNotExecutable = errors.New("not an executable")
	// ErrPlatform: the command was made for another platform.
	ErrPlatform = errors.New("made for another platform")
	// ErrDuplicate: a container with this id still lives.
	ErrDuplicate = errors.New("a container with this id is still running")
	// ErrClosed: the launcher was closed.
	ErrClosed = errors.New("the launcher is closed")
)

// maxID is the longest id of a container or owner, in bytes: both become names of files.
const maxID = 128

// Spec says what to start.
type Spec struct {
	// ID names the container: 1 to 128 letters, digits, dots, underscores and hyphens, not starting with a dot.
	// It is unique among the living containers of one launcher.
	ID string
	// Command is the executable: an absolute path, or a bare name to be looked up in PATH.
	Command string
	// Args are its arguments, without the command itself.
	Args []string
	// Env are environment variables, KEY=VALUE. Of the agent's own the container gets PATH, HOME and LANG, which
	// may be replaced here; of two values for one key the later counts.
	Env []string
	// Dir is the working folder, an absolute path; "/" when empty.
	Dir string
	// Identity is handed to the container by the descriptor IdentityFD, to be read until its end; at most
	// MaxIdentity bytes. Empty: there is no such descriptor.
	Identity []byte
}

// SpecError is a field of a Spec that cannot be, and what would be right.
type SpecError struct {
	Field string // the field's name in Spec
	Value string // what it held
	Want  string // what would be right
}

// Error names the field, its value and what would be right.
func (e *SpecError) Error() string {
	return fmt.Sprintf("container spec: %s %q: want %s", e.Field, e.Value, e.Want)
}

// StartError is a container that could not be started.
type StartError struct {
	ID   string // the container
	Path string // the file that stands in the way
	Want string // what would be right; may be empty
	Err  error  // why; ErrMissing, ErrNotExecutable, ErrPlatform, or what the system said
}

// Error names the container, the file, the reason and what would be right.
func (e *StartError) Error() string {
	s := fmt.Sprintf("start container %s: %s: %v", e.ID, e.Path, e.Err)
	if e.Want != "" {
		s += ": want " + e.Want
	}
	return s
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// Validate returns a *SpecError for the first field that cannot be. Whether the command exists is for the launcher to
// find out.
func (s *Spec) Validate() error {
	switch {
	case !ValidID(s.ID):
		return &SpecError{"ID", s.ID, "1 to 128 letters, digits, dots, underscores and hyphens, not starting with a dot"}
	case s.Command == "":
		return &SpecError{"Command", s.Command, "the path of an executable"}
	case !filepath.IsAbs(s.Command) && strings.ContainsRune(s.Command, '/'):
		return &SpecError{"Command", s.Command, "an absolute path, or a name without a slash to be looked up in PATH"}
	case s.Dir != "" && !filepath.IsAbs(s.Dir):
		return &SpecError{"Dir", s.Dir, "an absolute path"}
	case len(s.Identity) > MaxIdentity:
		return &SpecError{"Identity", fmt.Sprintf("%d bytes", len(s.Identity)), fmt.Sprintf("at most %d bytes", MaxIdentity)}
	}
	for _, text := range append([]string{s.Command, s.Dir}, s.Args...) {
		if strings.ContainsRune(text, 0) {
			return &SpecError{"Command, Args or Dir", text, "text without a zero byte"}
		}
	}
	for _, variable := range s.Env {
		key, _, ok := strings.Cut(variable, "=")
		switch {
		case !ok || key == "" || strings.ContainsRune(variable, 0):
			return &SpecError{"Env", variable, "KEY=VALUE without a zero byte"}
		case key == EnvOwner || key == EnvContainer || key == EnvIdentityFD:
			return &SpecError{"Env", variable, "another key: weft sets this one itself"}
		}
	}
	return nil
}

// ValidID tells whether s can be the id of a container, or an owner mark.
func ValidID(s string) bool {
	if s == "" || len(s) > maxID || s[0] == '.' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}
