package client

import (
	"context"
	"errors"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// WithDisconnect says what becomes of the session when this client is gone, be it closed, killed or not heard of. By
// [protocol.DisconnectClose], as without this option, it is killed: when the client was silent for the grace, at least the
// broker's peer timeout; 0 is the broker's own. By [protocol.DisconnectKeep] it goes on, its results are kept, and it waits
// for [Client.Attach] for the grace, 0 being an hour.
//
// Of a kept session the broker keeps each result until it was taken: by [Task.Wait] or [Session.Call], by the next turn of a
// loop over [Session.Results], or when the function of [Session.SubmitFunc] has returned. Until then a task counts against
// the session's credit. What is kept lives in the broker's memory and ends with it.
func WithDisconnect(policy string, grace time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Disconnect, c.spec.Grace = policy, grace }
}

// WithIdleTimeout has the session closed when it was without an unfinished task for d: it ends with [ErrSessionExpired].
// Without it, or with 0, it may be idle for ever.
func WithIdleTimeout(d time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Idle = d }
}

// WithLifetime has the session killed when it was open for d, whatever it does then: its unfinished tasks fail with
// [ErrSessionExpired]. Without it, or with 0, it lives until it is closed.
func WithLifetime(d time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Lifetime = d }
}

// checkTimes says what is wrong with the times that a session is to have.
func checkTimes(s *protocol.OpenSession) error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"WithIdleTimeout", s.Idle}, {"WithLifetime", s.Lifetime}, {"WithDisconnect: grace", s.Grace}} {
		if f.d < 0 {
			return protocol.Errorf(protocol.CodeInvalid, "open session", "%s: %v is negative", f.name, f.d)
		}
	}
	if d := s.Disconnect; d != "" && d != protocol.DisconnectClose && d != protocol.DisconnectKeep {
		return protocol.Errorf(protocol.CodeInvalid, "open session", "WithDisconnect: %q is neither %s nor %s",
			d, protocol.DisconnectClose, protocol.DisconnectKeep)
	}
	return nil
}

type attachConfig struct {
	force       bool
	windowTasks int
	windowBytes int64
}

// AttachOption changes how [Client.Attach] goes on with a session.
type AttachOption func(*attachConfig)

// WithForce takes the session from a client that is still there: its unfinished tasks end with [ErrDetached] there.
func WithForce() AttachOption { return func(c *attachConfig) { c.force = true } }

// WithAttachedWindow is [WithWindow] for a session that is attached to.
func WithAttachedWindow(tasks int, bytes int64) AttachOption {
	return func(c *attachConfig) { c.windowTasks, c.windowBytes = tasks, bytes }
}

// Attach goes on with a session that another client, maybe of another process, has left by [Session.Detach], or that was kept
// when its client was gone ([WithDisconnect]). All results that nobody has taken come by [Session.Results], those of tasks
// that are not finished yet when they are: the loop ends when the last of them was given. They are known by the ids of their
// tasks; a process gets each once. What the client before had taken without coming to tell the broker of it, since it was
// killed, is given again.
//
// The error is [ErrNoSession] when the broker does not know the session, as after a restart, [ErrInvalid] when it is not
// kept ([WithDisconnect]) and its client has not left it, [ErrInUse] while its client is there, or why the session is over.
func (c *Client) Attach(ctx context.Context, number protocol.SessionNumber, opts ...AttachOption) (*Session, error) {
	const op = "attach session"
	var cfg attachConfig
	if err := apply(op, &cfg, opts); err != nil {
		return nil, err
	}
	switch {
	case number == 0:
		return nil, protocol.Errorf(protocol.CodeInvalid, op, "number: is 0; it is what Session.Number said")
	case cfg.windowTasks < 0 || cfg.windowBytes < 0:
		return nil, protocol.Errorf(protocol.CodeInvalid, op, "WithAttachedWindow: %d tasks, %d bytes: neither may be negative",
			cfg.windowTasks, cfg.windowBytes)
	case ctx.Err() != nil:
		return nil, contextError(ctx, op, "")
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, closedError(op)
	}
	s := &Session{client: c, open: make(chan struct{}), done: make(chan struct{}), keeps: true}
	s.core = engine.Attach(c.eng, number, cfg.force, cfg.windowTasks, cfg.windowBytes)
	c.sessions[s.core] = s
	ring := c.poke()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	select {
	case <-s.open:
		return s, nil
	case <-s.done:
		return nil, s.Err()
	case <-ctx.Done():
		s.close(protocol.CloseKill) // which leaves a session that is not open yet as it is
		return nil, contextError(ctx, op, "")
	}
}

// Detach leaves the session, which goes on without this client, whatever [WithDisconnect] says, and waits for [Client.Attach]
// for the grace; 0: as it was opened, or an hour. Here it takes no more tasks and ends with [ErrDetached], as do the tasks that
// are not finished. Detach returns when the broker has all that was submitted, or when ctx ends; the session is being left then
// all the same. Results that came before stay here; those of a session that was to be kept, and that nobody has taken, are
// given to who attaches as well.
func (s *Session) Detach(ctx context.Context, grace time.Duration) error {
	const op = "detach session"
	if grace < 0 {
		return protocol.Errorf(protocol.CodeInvalid, op, "grace: %v is negative", grace)
	}
	c := s.client
	c.mu.Lock()
	if err := s.refusal(); err != nil {
		c.mu.Unlock()
		return err
	}
	engine.Detach(s.core, grace)
	c.harvest()
	s.wakeSubmitters()
	results := c.takeDone()
	ring := c.poke()
	c.mu.Unlock()
	c.hand(results)
	if ring {
		c.wake.Ring()
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return contextError(ctx, op, "")
	}
	err := s.Err()
	switch {
	case errors.Is(err, ErrDetached):
		return nil
	case err == nil:
		return protocol.Errorf(protocol.CodeSessionClosed, op, "the session was closed meanwhile")
	}
	return err
}

// taken tells that the application has the result of a task, which the broker may have kept until now.
func (s *Session) taken(id protocol.TaskID) {
	if !s.keeps {
		return
	}
	c := s.client
	c.mu.Lock()
	engine.Taken(s.core, id)
	s.wakeSubmitters()
	ring := c.poke()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
}

// foreignTask makes a task of one that another client has submitted and that has ended. The caller holds mu.
func foreignTask(c *Client, done *engine.Completion) pending {
	s := c.sessions[done.Session]
	if s == nil {
		return pending{} // given up while it was being attached to
	}
	s.unclaimed++
	return pending{session: s, task: &Task{session: s, id: done.Task}}
}
