package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/builtin"
)

const (
	// mostSaid is how many failures are told in a line each.
	mostSaid = 10
	// The codes of a command that the node cannot execute, and of one that it does not have, as in a shell.
	exitNotExecutableThere = 126
	exitNotFoundThere      = 127
)

// said gathers what is told of the commands that failed, so that many that fail alike do not fill the screen.
type said struct {
	lines    int             // told
	kept     int             // not told
	problems map[string]bool // told of commands that cannot be started, which are not told again for the next argument
	hint     string          // added to a command that was not found
}

// of gives the line about a command that has ended, "" when there is nothing to say, or no more. What is not known of a
// command is always told, since its user has to look after it.
func (s *said) of(e ended) string {
	o := e.Outcome
	line := func(what string) string { return "weft exec: " + e.Command + ": " + what + "\n" }
	switch {
	case o.Lost > 0:
		return line(fmt.Sprintf("%d bytes of its output were cut (see --output-limit)", o.Lost))
	case o.Problem != "" && o.Code != exitNotExecutableThere && o.Code != exitNotFoundThere:
		return line(o.Problem)
	case o.Code == 0:
		return ""
	case s.lines >= mostSaid || s.problems[o.Problem]:
		s.kept++
		return ""
	}
	s.lines++
	if o.Problem == "" {
		return line(exitText(o.Code))
	}
	if s.problems == nil {
		s.problems = map[string]bool{}
	}
	s.problems[o.Problem] = true
	if o.Code == exitNotFoundThere {
		o.Problem += s.hint
	}
	return line(o.Problem)
}

// rest tells how many were not told of.
func (s *said) rest(w io.Writer) {
	if s.kept > 0 {
		fmt.Fprintf(w, "weft exec: … and %s more like these\n", humanCount(s.kept)) //nolint:errcheck // there is nobody else to tell
	}
}

// exitText names an exit code, with the signal that it stands for.
func exitText(code int) string {
	const signalled = 128
	if name := unix.SignalName(syscall.Signal(code - signalled)); code > signalled && name != "" {
		return fmt.Sprintf("exit code %d (%s)", code, name)
	}
	return fmt.Sprintf("exit code %d", code)
}

// shellHint says what may be wrong with a command that was not found: it is a line for a shell.
func (t template) shellHint() string {
	if t.shell || len(t.words) == 0 || !strings.ContainsAny(t.words[0], " \t;|&<>$`()*\n") {
		return ""
	}
	return "; a line for a shell needs --shell"
}

// name gives a command as it is named to people: in full when it is short, else its beginning and its arguments.
func (j job) name() string {
	const longest, begin = 100, 40
	words := j.args
	if len(words) == 3 && words[0] == "/bin/sh" { // of --shell
		words = words[2:]
	}
	name := strings.Join(words, " ")
	if len(j.input) == 0 && len(name) <= longest && !strings.Contains(name, "\n") {
		return abbreviated(name, longest)
	}
	return abbreviated(name, begin) + " ::: " + abbreviated(j.label, longest)
}

// abbreviated gives the first line of a text, or the beginning of it.
func abbreviated(s string, longest int) string {
	s = strings.ToValidUTF8(s, "?")
	line, _, more := strings.Cut(s, "\n")
	if r := []rune(line); len(r) > longest {
		line, more = string(r[:longest-1]), true
	}
	if more {
		line += "…"
	}
	return line
}

// brokenOff says what was not done because of --halt or an error.
func (r *runner) brokenOff(count int) string {
	var parts []string
	if r.cut > 0 {
		parts = append(parts, fmt.Sprintf("%s were killed or taken back", humanCount(r.cut)))
	}
	switch left := count - r.sent; {
	case count == 0:
		parts = append(parts, "arguments that had not been read were left")
	case left > 0:
		parts = append(parts, fmt.Sprintf("%s were not begun", humanCount(left)))
	}
	return strings.Join(parts, ", ")
}

// restarted is how a command ends whose broker was restarted, and with it forgot what it was told to run.
func restarted() builtin.Outcome {
	return builtin.Outcome{Code: exitFabric, Problem: "it is not known whether it ran: the broker was restarted meanwhile, and has forgotten it"}
}
