package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// statusOf gives the HTTP status of an error.
func statusOf(c protocol.Code) int {
	switch c {
	case protocol.CodeInvalid, protocol.CodeMalformed, protocol.CodeVersion:
		return http.StatusBadRequest
	case protocol.CodeUnknownService, protocol.CodeUnknownSession, protocol.CodeNotFound, protocol.CodeNoEnvironment:
		return http.StatusNotFound
	case protocol.CodePayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case protocol.CodeAlreadyExists, protocol.CodeInUse, protocol.CodeInterface, protocol.CodeDependency,
		protocol.CodeCancelled, protocol.CodeDetached, protocol.CodeNotAccepting:
		return http.StatusConflict
	case protocol.CodeSessionClosed, protocol.CodeSessionKilled, protocol.CodeSessionExpired:
		return http.StatusGone
	case protocol.CodePermission:
		return http.StatusForbidden
	case protocol.CodeUnknownKind:
		return http.StatusNotImplemented
	case protocol.CodeNoCapacity:
		return http.StatusUnprocessableEntity
	case protocol.CodeOverloaded, protocol.CodeUnavailable, protocol.CodeClosed:
		return http.StatusServiceUnavailable
	case protocol.CodeDeadline, protocol.CodeIndeterminate:
		return http.StatusGatewayTimeout
	case protocol.CodeTaskFailed, protocol.CodeTaskPanicked, protocol.CodeCreateFailed, protocol.CodeBindFailed,
		protocol.CodeAttemptsSpent, protocol.CodeHostLossSpent, protocol.CodeArtefact, protocol.CodeInstanceRejected:
		return http.StatusBadGateway
	default:
		return http.StatusInternalServerError
	}
}

// failure is the body of every answer that is an error.
type failure struct {
	Code       protocol.Code `json:"code"`
	Name       string        `json:"name"` // of the code
	Op         string        `json:"op,omitempty"`
	Message    string        `json:"message"`
	RetryAfter string        `json:"retry_after,omitempty"`
	Exists     []string      `json:"exists,omitempty"` // where the path or the method does not: what does
}

// fail answers by an error, with its own status where status is 0.
func fail(w http.ResponseWriter, status int, err error, exists ...string) {
	e := protocol.AsError(err, "http")
	if status == 0 {
		status = statusOf(e.Code)
	}
	f := failure{Code: e.Code, Name: e.Code.String(), Op: e.Op, Message: e.Msg, Exists: exists}
	if e.RetryAfter > 0 {
		f.RetryAfter = e.RetryAfter.String()
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	reply(w, status, f)
}

// reply answers by JSON.
func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		fail(w, 0, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // whoever asked may be gone
}
