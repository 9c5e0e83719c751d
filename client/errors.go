package client

import (
	"context"
	"errors"

	"github.com/weft-fabric/weft/protocol"
)

// Errors to compare with by errors.Is, which looks at their code alone. What a method returns says in words what was
// wrong with which value.
var (
	ErrInvalid         error = &protocol.Error{Code: protocol.CodeInvalid}
	ErrNoService       error = &protocol.Error{Code: protocol.CodeUnknownService}
	ErrNoSession       error = &protocol.Error{Code: protocol.CodeUnknownSession}
	ErrPayloadTooLarge error = &protocol.Error{Code: protocol.CodePayloadTooLarge}
	ErrNotFound        error = &protocol.Error{Code: protocol.CodeNotFound}
	ErrInterface       error = &protocol.Error{Code: protocol.CodeInterface}
	ErrNoEnvironment   error = &protocol.Error{Code: protocol.CodeNoEnvironment}
	ErrSessionClosed   error = &protocol.Error{Code: protocol.CodeSessionClosed}
	ErrSessionKilled   error = &protocol.Error{Code: protocol.CodeSessionKilled}
	ErrSessionExpired  error = &protocol.Error{Code: protocol.CodeSessionExpired}
	ErrInUse           error = &protocol.Error{Code: protocol.CodeInUse}
	ErrDetached        error = &protocol.Error{Code: protocol.CodeDetached}
	ErrNotAccepting    error = &protocol.Error{Code: protocol.CodeNotAccepting}
	ErrCancelled       error = &protocol.Error{Code: protocol.CodeCancelled}
	ErrDeadline        error = &protocol.Error{Code: protocol.CodeDeadline}
	ErrIndeterminate   error = &protocol.Error{Code: protocol.CodeIndeterminate}
	ErrDependency      error = &protocol.Error{Code: protocol.CodeDependency}
	ErrClosed          error = &protocol.Error{Code: protocol.CodeClosed}
	ErrOverloaded      error = &protocol.Error{Code: protocol.CodeOverloaded}
	ErrNoCapacity      error = &protocol.Error{Code: protocol.CodeNoCapacity}
	ErrUnavailable     error = &protocol.Error{Code: protocol.CodeUnavailable}
	ErrTaskFailed      error = &protocol.Error{Code: protocol.CodeTaskFailed}
	ErrTaskPanicked    error = &protocol.Error{Code: protocol.CodeTaskPanicked}
	ErrAttemptsSpent   error = &protocol.Error{Code: protocol.CodeAttemptsSpent}
	ErrHostLossSpent   error = &protocol.Error{Code: protocol.CodeHostLossSpent}
)

// errNoRoom says that there is no credit for a task now.
var errNoRoom = errors.New("no room")

// causedError is a *protocol.Error with what it came from, both found by errors.Is and errors.As.
type causedError struct {
	err   *protocol.Error
	cause error
}

func (e *causedError) Error() string   { return e.err.Error() }
func (e *causedError) Unwrap() []error { return []error{e.err, e.cause} }

// What the end of a context says of a task.
const (
	notSent   = "; the task was not sent"
	goesOn    = "; the task goes on"
	mayRunYet = "; the task is cancelled, and may run until it has heard of it"
)

// contextError says that ctx ended while op was being done, and what that means. It is a *protocol.Error with CodeDeadline or
// CodeCancelled and ctx.Err() at once.
func contextError(ctx context.Context, op, means string) error {
	code := protocol.CodeCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = protocol.CodeDeadline
	}
	return &causedError{
		err:   protocol.Errorf(code, op, "%v%s", context.Cause(ctx), means),
		cause: ctx.Err(),
	}
}

// taskError gives the error of a task as the application sees it. One that ended by its deadline and may have run is
// ErrDeadline as well.
func taskError(err *protocol.Error) error {
	switch {
	case err == nil:
		return nil
	case err.Code == protocol.CodeIndeterminate:
		return &causedError{err: err, cause: ErrDeadline}
	}
	return err
}

func closedError(op string) error {
	return protocol.Errorf(protocol.CodeClosed, op, "the client is closed")
}
