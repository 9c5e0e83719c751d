package client

import (
	"context"
	"iter"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// Session is the use of a service by this client. It is safe for concurrent use. When a broker is lost, what is
// unfinished is sent again to the next; the number may change then.
type Session struct {
	client *Client
	core   *engine.Session
	open   chan struct{}
	done   chan struct{}
	types  checked

	taskTimeout time.Duration // of tasks that name none; 0: none
	ordered     *inOrder      // nil: results come as they come
	keeps       bool          // the broker keeps results until they are taken

	gate gate // guarded by the mu of the client's intake

	// Guarded by the client's mu.
	quick     bool   // its tasks may go by the intake
	entered   uint64 // tasks that did
	over      bool
	err       error // why it ended, when not in order
	queue     submissions
	unclaimed int   // unfinished tasks of Submit
	results   shelf // that nobody has taken
}

// shelf has finished tasks, in the order in which they were finished. It is guarded by the client's mu.
type shelf struct {
	head, tail *Task
	news       chan struct{} // closed when there is one more, or none can come any more; nil: nobody waits
}

func (r *shelf) push(t *Task) {
	if r.tail == nil {
		r.head = t
	} else {
		r.tail.next = t
	}
	r.tail = t
}

// pop takes the first; nil when there is none.
func (r *shelf) pop() *Task {
	t := r.head
	if t != nil {
		r.head, t.next = t.next, nil
		if r.head == nil {
			r.tail = nil
		}
	}
	return t
}

// wait gives what is closed by the next call of wake.
func (r *shelf) wait() <-chan struct{} {
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return r.news
}

// wake makes those who wait look again.
func (r *shelf) wake() {
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

// OpenSession opens a session with a service. It returns as soon as the broker has accepted it: tasks may be sent at
// once, and wait until there is an instance. The error is [ErrNoService], [ErrNoEnvironment], [ErrNoCapacity] and the like.
func (c *Client) OpenSession(ctx context.Context, service string, opts ...SessionOption) (*Session, error) {
	cfg := sessionConfig{spec: protocol.OpenSession{Service: service}}
	if err := apply("open session", &cfg, opts); err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx, "open session", "")
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, closedError("open session")
	}
	s := &Session{client: c, open: make(chan struct{}), done: make(chan struct{}), taskTimeout: cfg.spec.Timeout, keeps: cfg.spec.Disconnect == protocol.DisconnectKeep}
	if cfg.ordered {
		s.ordered = &inOrder{session: s}
	}
	s.core = c.eng.Open(cfg.spec, cfg.windowTasks, cfg.windowBytes)
	c.sessions[s.core] = s
	ring := c.poke()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	select {
	case <-s.open:
		if cfg.onWaiting != nil {
			go s.watch(cfg.waitsAfter, cfg.onWaiting)
		}
		return s, nil
	case <-s.done:
		return nil, s.Err()
	case <-ctx.Done():
		s.close(protocol.CloseKill)
		return nil, contextError(ctx, "open session", "")
	}
}

// Number is the session's number in the fabric.
func (s *Session) Number() protocol.SessionNumber {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.core.Number()
}

// Version is the version of the service that the session is with.
func (s *Session) Version() string {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.core.Version()
}

// Done is closed when the session is over, in whatever way.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session is over; nil while it is not, and when it was closed in order.
func (s *Session) Err() error {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.err
}

// Close closes the session: it takes no more tasks, those that were submitted are finished, their results arrive. It
// returns when the session is over, with why when that was not in order, or when ctx ends; the session is being closed
// then all the same.
func (s *Session) Close(ctx context.Context) error { return s.closeAndWait(ctx, protocol.CloseFinish) }

// Kill closes the session at once: unfinished tasks fail with [ErrSessionKilled]. It returns when the session is over,
// or when ctx ends.
func (s *Session) Kill(ctx context.Context) error { return s.closeAndWait(ctx, protocol.CloseKill) }

func (s *Session) closeAndWait(ctx context.Context, mode string) error {
	s.close(mode)
	c := s.client
	c.mu.Lock()
	ring := c.block()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	defer func() {
		c.mu.Lock()
		c.blocked--
		c.mu.Unlock()
	}()
	select {
	case <-s.done:
	case <-ctx.Done():
		return contextError(ctx, "close session", "; it is being closed all the same")
	}
	err := s.Err()
	if mode == protocol.CloseKill && protocol.CodeOf(err) == protocol.CodeSessionKilled {
		return nil
	}
	return err
}

// close asks the broker to close the session.
func (s *Session) close(mode string) {
	c := s.client
	c.mu.Lock()
	c.eng.Close(s.core, mode)
	s.wakeSubmitters()
	c.settle()
}

// refusal says why the session takes no tasks; nil when it does. The caller holds the client's mu.
func (s *Session) refusal() error {
	switch {
	case s.client.closed:
		return closedError("submit")
	case s.over && s.err != nil:
		return s.err
	case s.over:
		return protocol.Errorf(protocol.CodeSessionClosed, "submit", "the session was closed")
	}
	return nil
}

// Results gives the results of tasks of [Session.Submit] as they are finished, each once: of those that nobody asked
// for by [Task.Wait] or [Task.Done] when they were finished. It ends when there is none left and no such task is
// unfinished; a task that is submitted later is for the next call. The error is the task's, or, with a Result whose
// Task is 0, that ctx has ended. Several loops at once share the results.
func (s *Session) Results(ctx context.Context) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		for {
			t, ok := s.nextResult(ctx)
			switch {
			case !ok && ctx.Err() != nil:
				yield(Result{}, contextError(ctx, "results", ""))
				return
			case !ok:
				return
			}
			t.consumed()
			more := yield(Result{Payload: t.payload, Err: t.err, Task: t.ID()}, t.err)
			s.taken(t.ID())
			if !more {
				return
			}
		}
	}
}

// nextResult waits for a result that nobody has taken, and takes it. ok is false when none will come, or ctx has ended.
func (s *Session) nextResult(ctx context.Context) (t *Task, ok bool) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		for t = s.results.pop(); t != nil; t = s.results.pop() {
			if !t.given {
				t.take()
				return t, true
			}
		}
		if s.unclaimed == 0 && (s.over || engine.Awaited(s.core) == 0) {
			return nil, false
		}
		news := s.results.wait()
		c.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
		}
		c.mu.Lock()
	}
}
