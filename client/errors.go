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
	ErrDetached        error = &protocol.Error{Code: protocol.CodeDetached}
	ErrNotAccepting    error = &protocol.Error{Code: protocol.CodeNotAccepting}
	ErrCancelled       error = &protocol.Error{Code: protocol.CodeCancelled}
	ErrDeadline        error = &protocol.Error{Code: protocol.CodeDeadline}
	ErrClosed          error = &protocol.Error{Code: protocol.CodeClosed}
	ErrOverloaded      error = &protocol.Error{Code: protocol.CodeOverloaded}
	ErrNoCapacity      error = &protocol.Error{Code: protocol.CodeNoCapacity}
	ErrUnavailable     error = &protocol.Error{Code: protocol.CodeUnavailable}
	ErrTaskFailed      error = &protocol.Error{Code: protocol.CodeTaskFailed}
	ErrTaskPanicked    error = &protocol.Error{Code: protocol.CodeTaskPanicked}
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

// contextError says that ctx ended while op was being done. It is a *protocol.Error with CodeDeadline or CodeCancelled
// and ctx.Err() at once.
func contextError(ctx context.Context, op string) error {
	code := protocol.CodeCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = protocol.CodeDeadline
	}
	return &causedError{
		err:   protocol.Errorf(code, op, "%v; a task that was sent may still run", context.Cause(ctx)),
		cause: ctx.Err(),
	}
}

func closedError(op string) error {
	return protocol.Errorf(protocol.CodeClosed, op, "the client is closed")
}
