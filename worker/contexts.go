package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// ServiceContext says which instance of which service this is.
type ServiceContext struct {
	Service   string
	Version   string // empty when the instance was started by hand without one
	Container string // empty when the instance was started by hand
	Node      string // name of the compute node; empty when the instance was started by hand
	Slots     int    // OnTaskExec at once
	Logger    zerolog.Logger
}

// SessionContext is one session at this instance, from OnSessionBind to OnSessionUnbind. It is safe for concurrent use.
type SessionContext struct {
	bind   protocol.Bind
	log    zerolog.Logger
	ctx    context.Context //nolint:containedctx // of the session's hooks; it is handed to them
	cancel context.CancelCauseFunc
	state  any // of Stateful
	server *server
	bound  *instance.Session
}

// Number is the session's number in its fabric.
func (s *SessionContext) Number() protocol.SessionNumber { return s.bind.Session }

// Name is what the client called the session; it may be empty.
func (s *SessionContext) Name() string { return s.bind.Name }

// Environment is the name of the environment that the session belongs to.
func (s *SessionContext) Environment() string { return s.bind.Environment }

// Parameters is what the client gave the session on its way. It must not be changed.
func (s *SessionContext) Parameters() []byte { return s.bind.Parameters }

// Logger is the instance's logger, with the session's number.
func (s *SessionContext) Logger() *zerolog.Logger { return &s.log }

// TaskContext is one task in OnTaskExec, and valid only until that returns. What Payload gave is valid for as long as
// somebody refers to it.
type TaskContext struct {
	session *SessionContext
	ctx     *taskContext
	hand    *hand // whose job it is
}

// begin has it stand for the task of a job, or for those of a run.
func (t *TaskContext) begin() {
	t.session, _ = t.hand.job.Session.Shell.(*SessionContext)
	t.ctx.begin(t.session)
}

// Session is the task's session.
func (t *TaskContext) Session() *SessionContext { return t.session }

// TaskID is the client's id of the task.
func (t *TaskContext) TaskID() protocol.TaskID { return t.hand.job.ID }

// Key names the task in its fabric, as "session/sequence": the same in each attempt, and so a key of idempotency.
func (t *TaskContext) Key() string {
	return fmt.Sprintf("%d/%d", t.session.bind.Session, t.hand.job.ID.Sequence())
}

// Attempt counts the times that the task is run, from 1.
func (t *TaskContext) Attempt() int { return int(t.hand.job.Attempt) }

// Context is the context that OnTaskExec got.
func (t *TaskContext) Context() context.Context { return t.ctx }

// Deadline is when the task's context ends by itself, because the time of the task is over, and whether it does.
func (t *TaskContext) Deadline() (time.Time, bool) { return t.ctx.Deadline() }

// Logger is a logger with the numbers of session and task.
func (t *TaskContext) Logger() zerolog.Logger {
	return t.session.log.With().Uint64("task", t.hand.job.ID.Sequence()).Int("attempt", int(t.hand.job.Attempt)).Logger()
}
