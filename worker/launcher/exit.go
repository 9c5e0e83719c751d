package launcher

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cause says whether the launcher had a hand in a container's end.
type Cause uint8

// The causes of an end.
const (
	// Itself: nobody had told the container to end.
	Itself Cause = iota
	// Stopped: Stop was called, and the container ended within its grace.
	Stopped
	// Overdue: Stop was called, and the container had to be killed when its grace was over.
	Overdue
	// Killed: Kill was called.
	Killed
)

// String names the cause in a word.
func (c Cause) String() string {
	switch c {
	case Itself:
		return "itself"
	case Stopped:
		return "stopped"
	case Overdue:
		return "overdue"
	case Killed:
		return "killed"
	default:
		return fmt.Sprintf("cause %d", uint8(c))
	}
}

// Exit says how a container ended.
type Exit struct {
	// Code is the exit code, or -1 when a signal ended the container or its end could not be observed.
	Code int
	// Signal is the number of the signal that ended it, or 0.
	Signal int
	// Cause says whether the container was told to end.
	Cause Cause
	// Reason says all that in words, for people.
	Reason string
	// Output holds the last lines that the container wrote, as Container.Output gives them.
	Output []string
}

// NewExit makes an Exit with its Reason in words. A signal other than 0 takes the place of the code; grace is what
// Stop was given, and matters when the cause is Overdue.
func NewExit(code, signal int, cause Cause, grace time.Duration, output []string) Exit {
	e := Exit{Code: code, Signal: signal, Cause: cause, Output: output}
	how := fmt.Sprintf("exit code %d", code)
	if signal != 0 {
		e.Code = -1
		how = "signal " + signalName(signal)
	}
	switch cause {
	case Stopped:
		e.Reason = "stopped as told: " + how
	case Overdue:
		e.Reason = fmt.Sprintf("did not stop within %v and was killed: %s", grace, how)
	case Killed:
		e.Reason = "killed as told: " + how
	case Itself:
		e.Reason = "ended by itself: " + how
		if signal == int(unix.SIGKILL) {
			e.Reason = "killed, and not by its agent: " + how + "; the kernel does this when memory runs out"
		} else if signal != 0 {
			e.Reason = "ended by " + how
		}
	}
	return e
}

// signalName writes a signal as "9 (SIGKILL)".
func signalName(signal int) string {
	if name := unix.SignalName(syscall.Signal(signal)); name != "" {
		return fmt.Sprintf("%d (%s)", signal, name)
	}
	return fmt.Sprint(signal)
}
