package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/weft-fabric/weft/protocol"
)

// What the command exits with; exitHelp says it to the user.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnavailable = 4
	exitState       = 5
	exitInterrupted = 130 // 128 and the number of SIGINT
)

const exitHelp = `Exit codes:
  0  done
  1  it failed; the message says why
  2  bad usage or input: a flag, an argument, a file, a field
  3  what was named does not exist
  4  no broker answered, or the fabric cannot do it at the moment; the same command may succeed later
  5  what was named is not in a state for it (exists already, is in use, is closed)

weft exec exits with the code of the worst command:
  125  it is not known whether or how a command ran, or its output was cut
  126  a command could not be executed        127  a command was not found
  128  and the number of the signal that killed a command

130 is for a command that was interrupted by Ctrl-C. The daemons, and --watch, end by it in order.`

// errInterrupted is how a command ends by Ctrl-C before it is done.
var errInterrupted = errors.New("interrupted")

// interrupted takes what went wrong after Ctrl-C for what it is.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", errInterrupted, err)
}

// inputError is an error of what the user typed or wrote.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

func badInput(format string, args ...any) error { return inputError{fmt.Errorf(format, args...)} }

// exitCode gives what the command exits with after err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	if _, ok := errors.AsType[inputError](err); ok {
		return exitUsage
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		switch e.Code {
		case protocol.CodeInvalid, protocol.CodePayloadTooLarge, protocol.CodeInterface:
			return exitUsage
		case protocol.CodeUnknownService, protocol.CodeUnknownSession, protocol.CodeNotFound, protocol.CodeNoEnvironment:
			return exitNotFound
		case protocol.CodeUnavailable, protocol.CodeOverloaded, protocol.CodeNoCapacity, protocol.CodeIndeterminate, protocol.CodeDeadline:
			return exitUnavailable
		case protocol.CodeAlreadyExists, protocol.CodeInUse, protocol.CodeSessionClosed, protocol.CodeSessionKilled, protocol.CodeNotAccepting:
			return exitState
		default:
			return exitFailure
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exitUnavailable
	}
	return exitFailure
}
