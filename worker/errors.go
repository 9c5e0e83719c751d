package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// ErrPanicked is what [Serve] returns, for errors.Is, when the instance ended because OnTaskExec panicked.
var ErrPanicked error = &protocol.Error{Code: protocol.CodeTaskPanicked}

// maxMessage is how many bytes of an error's text travel.
const maxMessage = 16 << 10

// What the wire says of a failure's retry.
const (
	retryYes uint8 = 1
	retryNo  uint8 = 2
)

type steered struct {
	err   error
	retry uint8
	after time.Duration
}

func (s *steered) Error() string { return s.err.Error() }
func (s *steered) Unwrap() error { return s.err }

// Retry marks an error of OnTaskExec as passing: the task is run again, on whatever instance, after the backoff of the
// retry policy in force for it (its own, its session's or its service's), up to that policy's limit of attempts. nil
// stays nil.
func Retry(err error) error { return steer(err, retryYes, 0) }

// RetryAfter is [Retry] for an error that will not pass before d: the task waits for that long at least, and for 24 hours
// at most.
func RetryAfter(d time.Duration, err error) error { return steer(err, retryYes, max(d, 0)) }

// Permanent marks an error of OnTaskExec as final: the task is never run again, and the client gets the error.
// nil stays nil.
func Permanent(err error) error { return steer(err, retryNo, 0) }

func steer(err error, retry uint8, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &steered{err, retry, after}
}

// failure gives an error of a hook the form in which it travels.
func failure(err error, code protocol.Code, op string) *protocol.Error {
	f := &protocol.Error{Code: code, Op: op, Msg: err.Error()}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		*f = *e
	}
	if s, ok := errors.AsType[*steered](err); ok {
		f.Retry = s.retry
		f.RetryAfter = max(f.RetryAfter, s.after)
	}
	f.Msg = shorten(f.Msg)
	return f
}

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + fmt.Sprintf(" … (%d bytes)", len(s))
}

// userStack gives of the stack of a recovered panic what is the service's own: without the frames of weft that recover it,
// those of the runtime that raise it, and those of weft that called the service. When nothing would be left it is whole.
func userStack(stack string) string {
	head, frames, _ := strings.Cut(stack, "\n")
	lines := strings.SplitAfter(frames, "\n")
	from, to := 0, len(lines)-len(lines)%2
	for i := 0; i < to; i += 2 { // a frame is a call and its place
		call := lines[i]
		switch {
		case strings.HasPrefix(call, "panic("):
			from = i + 2
		case from == i && strings.HasPrefix(call, "runtime."):
			from = i + 2
		case from > 0 && strings.HasPrefix(call, ownFrames):
			to = i
		}
	}
	if from == 0 || from >= to {
		return stack
	}
	return head + "\n" + strings.Join(lines[from:to], "")
}

// ownFrames begins the calls of this package in a stack.
const ownFrames = "github.com/weft-fabric/weft/worker."

// panicked gives a recovered panic the form of an error, with the service's part of the stack.
func panicked(what any, code protocol.Code, op string) *protocol.Error {
	return &protocol.Error{Code: code, Op: op, Msg: shorten(fmt.Sprintf("panic: %v\n%s", what, userStack(string(debug.Stack()))))}
}
