package protocol

import (
	"errors"
	"fmt"
	"time"
)

// Code says what went wrong. Codes travel as numbers and are never used again for something else; the hundreds are the
// family: 1xx the caller's request, 2xx the state of what it names, 3xx capacity, 4xx availability, 5xx the service,
// 6xx weft itself.
type Code uint16

// The codes.
const (
	CodeInvalid          Code = 100 // a field is missing or impossible
	CodeUnknownService   Code = 101 // no service of that name is registered
	CodeUnknownSession   Code = 102 // no session of that number is open for this client
	CodePayloadTooLarge  Code = 103 // payload or result over the limit
	CodeAlreadyExists    Code = 104 // the name is taken by something else
	CodeVersion          Code = 105 // no common version of the protocol
	CodePermission       Code = 106 // the principal may not do this
	CodeUnknownKind      Code = 107 // the record's kind is not known here, or not from this peer
	CodeMalformed        Code = 108 // the frame or body cannot be read
	CodeNotFound         Code = 109 // what the request names does not exist
	CodeInterface        Code = 110 // the caller's types of task and result are not those of the service
	CodeNoEnvironment    Code = 111 // no environment of that name is there
	CodeSessionClosed    Code = 200 // the session was closed
	CodeSessionKilled    Code = 201 // the session was closed by kill
	CodeCancelled        Code = 202 // the task was cancelled
	CodeDeadline         Code = 203 // the deadline passed before there was a result
	CodeClosed           Code = 204 // this client or broker is closed
	CodeInUse            Code = 205 // something still depends on it
	CodeDependency       Code = 206 // a task that this one waits for did not succeed
	CodeSessionExpired   Code = 207 // the session was idle for longer, or has lived for longer, than it may
	CodeDetached         Code = 208 // the client has left the session; it goes on without it
	CodeNotAccepting     Code = 209 // the session takes no further tasks for now, or the queue no further sessions
	CodeOverloaded       Code = 300 // a limit is reached for now; try again after RetryAfter
	CodeNoCapacity       Code = 301 // the fabric as it is could never satisfy the request
	CodeUnavailable      Code = 400 // no broker answers, or it is not ready
	CodeIndeterminate    Code = 401 // it is not known whether it ran; safe to send again under the same id
	CodeTaskFailed       Code = 500 // OnTaskExec returned an error
	CodeTaskPanicked     Code = 501 // OnTaskExec panicked; the message has the stack
	CodeCreateFailed     Code = 502 // OnCreateService failed
	CodeBindFailed       Code = 503 // OnSessionBind failed
	CodeAttemptsSpent    Code = 504 // the task failed, or ended its instance, in each of its attempts
	CodeHostLossSpent    Code = 505 // too many instances were lost under the task
	CodeArtefact         Code = 506 // the artefact is missing, not executable or for another platform
	CodeInstanceRejected Code = 507 // the instance is not what the broker started
	CodeInternal         Code = 600 // a defect in weft
)

type codeInfo struct {
	name  string
	retry bool
}

var codes = map[Code]codeInfo{
	CodeInvalid: {"Invalid", false}, CodeUnknownService: {"UnknownService", false},
	CodeUnknownSession: {"UnknownSession", false}, CodePayloadTooLarge: {"PayloadTooLarge", false},
	CodeAlreadyExists: {"AlreadyExists", false}, CodeVersion: {"Version", false},
	CodePermission: {"Permission", false}, CodeUnknownKind: {"UnknownKind", false},
	CodeMalformed: {"Malformed", false}, CodeNotFound: {"NotFound", false},
	CodeInterface: {"Interface", false}, CodeNoEnvironment: {"NoEnvironment", false},
	CodeSessionClosed: {"SessionClosed", false}, CodeSessionKilled: {"SessionKilled", false},
	CodeCancelled: {"Cancelled", false}, CodeDeadline: {"Deadline", false}, CodeClosed: {"Closed", false},
	CodeDependency: {"Dependency", false}, CodeSessionExpired: {"SessionExpired", false},
	CodeDetached: {"Detached", false}, CodeNotAccepting: {"NotAccepting", false},
	CodeInUse: {"InUse", false}, CodeOverloaded: {"Overloaded", true}, CodeNoCapacity: {"NoCapacity", false},
	CodeUnavailable: {"Unavailable", true}, CodeIndeterminate: {"Indeterminate", true},
	CodeTaskFailed: {"TaskFailed", false}, CodeTaskPanicked: {"TaskPanicked", false},
	CodeCreateFailed: {"CreateFailed", false}, CodeBindFailed: {"BindFailed", false},
	CodeAttemptsSpent: {"AttemptsSpent", false}, CodeHostLossSpent: {"HostLossSpent", false},
	CodeArtefact: {"Artefact", false}, CodeInstanceRejected: {"InstanceRejected", false},
	CodeInternal: {"Internal", false},
}

// String gives the code's name in docs/rfc, or "code 999".
func (c Code) String() string {
	if i, ok := codes[c]; ok {
		return i.name
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// Retryable says whether the same request may succeed when it is sent again unchanged.
func (c Code) Retryable() bool { return codes[c].retry }

// Error is every error that crosses the wire, and the body of [KindError], [KindFailure], [KindRefused] and
// [KindInstanceFailed].
// errors.Is compares two of them by Code alone, so that errors.Is(err, client.ErrNoService) holds across the wire.
type Error struct {
	Code       Code          `json:"code"`
	Op         string        `json:"op,omitempty"`  // what was being done
	Msg        string        `json:"msg,omitempty"` // what was wrong with which value, and what would be right
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// Retry is how a service steers retries of a failed task: 0 by the code, 1 run it again, 2 never again.
	Retry uint8 `json:"retry,omitempty"`
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// Error gives "op: Code: message".
func (e *Error) Error() string {
	s := e.Code.String()
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Msg != "" {
		s += ": " + e.Msg
	}
	return s
}

// Is says whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) // one level: errors.Is walks the chain
	return ok && t.Code == e.Code
}

// CodeOf is the code of the first *Error in err's chain; [CodeInternal] for any other error, 0 for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// AsError gives the first *Error in err's chain, or one with [CodeInternal] that carries err's text; nil for nil.
func AsError(err error, op string) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Op: op, Msg: err.Error()}
}
