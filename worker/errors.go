package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/weft-fabric/weft/protocol"
)

// ErrPanicked is what [Serve] returns, for errors.Is, when the instance ended because OnTaskExec panicked. Programs
// that an agent starts exit with code 2 then.
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
}

func (s *steered) Error() string { return s.err.Error() }
func (s *steered) Unwrap() error { return s.err }

// Retry marks an error of OnTaskExec as passing: the task is run again, on whatever instance, up to the service's
// limit of attempts. nil stays nil.
func Retry(err error) error { return steer(err, retryYes) }

// Permanent marks an error of OnTaskExec as final: the task is never run again, and the client gets the error.
// nil stays nil.
func Permanent(err error) error { return steer(err, retryNo) }

func steer(err error, retry uint8) error {
	if err == nil {
		return nil
	}
	return &steered{err, retry}
}

// failure gives an error of a hook the form in which it travels.
func failure(err error, code protocol.Code, op string) *protocol.Error {
	f := &protocol.Error{Code: code, Op: op, Msg: err.Error()}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		*f = *e
	}
	if s, ok := errors.AsType[*steered](err); ok {
		f.Retry = s.retry
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

// panicked gives a recovered panic the form of an error, with the stack of the panic.
func panicked(what any, code protocol.Code, op string) *protocol.Error {
	return &protocol.Error{Code: code, Op: op, Msg: shorten(fmt.Sprintf("panic: %v\n%s", what, debug.Stack()))}
}
