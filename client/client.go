package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// Client is a connection to a fabric: to its brokers, and to the manager loops that serve its sessions. It is safe for
// concurrent use, and keeps itself connected until [Client.Close].
type Client struct {
	Operator
	Resources

	cfg      config
	payloads *zmqx.Payloads
	wake     *zmqx.Wake
	runner   runner
	kick     bell          // wakes the owner when it is parked
	over     chan struct{} // closed when the owner has closed the sockets

	intake intake

	mu        door
	eng       *engine.Engine
	batch     engine.Batch // taken from the engine, not carried out yet
	pending   []pending    // whom the task in this slot of the engine is for
	sessions  map[*engine.Session]*Session
	answers   map[uint64]chan engine.Answer
	accounts  []*account
	blocked   int        // callers that wait for a task or the end of a session, and tasks that Done was called for
	callbacks []callback // to be handed to the runner
	owed      []owed     // what their results count, where they have no account of their own
	heavy     []heavy    // results in payload frames, to be copied without the lock
	sweeps    sweeps     // of CancelAll
	closed    bool
	err       error         // why it is closed, when not by Close
	connected chan struct{} // closed when a broker has answered, or will not
	refused   error         // why it will not

	driver   driver // who has the sockets
	wasCall  bool   // what was finished last was a lonely Call
	lastLead time.Time

	io      io      // the driver's alone
	spinner spinner // the same
}

// Dial connects to a fabric by the control endpoints of its brokers, divided by commas: tcp://host:7700 (host and
// host:port mean tcp), ipc:///path/control or inproc://name; "" stands for those that the environment variable
// WEFT_BROKER has, else tcp://127.0.0.1:7700. It returns when a broker has answered. The error is
// a *[protocol.Error] in the sense of errors.As: CodeInvalid for bad arguments, CodeUnavailable when no broker answered
// in time, or why the broker refused. ctx bounds Dial only, not the client.
func Dial(ctx context.Context, endpoints string, opts ...Option) (*Client, error) {
	cfg := defaults()
	if err := apply("dial", &cfg, opts); err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	endpoints = endpointsOr(endpoints)
	list, err := protocol.ParseEndpoints(endpoints)
	if err != nil {
		return nil, err
	}
	if err := zmqx.Init(cfg.ioThreads); err != nil {
		return nil, protocol.Errorf(protocol.CodeInvalid, "dial", "WithIOThreads: %v", err)
	}
	if cfg.tuneMalloc {
		zmqx.TuneMalloc(zmqx.MallocKeep)
	}
	wake, err := zmqx.NewWake()
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := &Client{
		cfg: cfg, payloads: zmqx.NewPayloads(), wake: wake,
		kick: make(bell, 1), over: make(chan struct{}), connected: make(chan struct{}),
		sessions: map[*engine.Session]*Session{}, answers: map[uint64]chan engine.Answer{},
		runner: runner{logger: cfg.logger}, spinner: spinner{most: cfg.spin},
		eng: engine.New(engine.Config{
			Endpoints: list, Name: cfg.name, Host: zmqx.HostID(), KeepsScheme: cfg.keepsScheme,
			Incarnation: rand.Uint64() | 1, Seed: rand.Uint64(), ResultCredit: cfg.resultCredit,
		}),
	}
	c.client, c.via, c.mu.client = c, c, c
	c.io.lines = lines{waiter: zmqx.NewWaiter(wake), payloads: c.payloads, logger: cfg.logger}
	c.eng.Start(time.Now())
	go c.own()
	if err := awaitBroker(ctx, c, list); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// awaitBroker waits until a broker takes requests.
func awaitBroker(ctx context.Context, c *Client, endpoints []string) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.dialTimeout)
	defer cancel()
	select {
	case <-c.connected:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.refused
	case <-ctx.Done():
		c.mu.Lock()
		_, refusal := c.eng.Connected()
		c.mu.Unlock()
		if refusal != nil {
			return &causedError{err: refusal, cause: ctx.Err()}
		}
		where := strings.Join(endpoints, ",")
		if errors.Is(ctx.Err(), context.Canceled) {
			return contextError(ctx, "dial", "")
		}
		if why := whyNoAnswer(endpoints); why != "" {
			where += " (" + why + ")"
		}
		return &causedError{err: protocol.Errorf(protocol.CodeUnavailable, "dial", "no broker answers at %s: start one with "+
			"\"weft broker\" or \"weft dev\", or say where it is: %s", where, brokerVariable), cause: ctx.Err()}
	}
}

// Close ends the client: its sessions are closed by kill, every call under way returns [ErrClosed] at once, callbacks of
// unfinished tasks run with ErrClosed. It returns when the sockets are closed; callbacks may still be running. It may be
// called at any time, in a callback, and again.
func (c *Client) Close() error {
	c.mu.Lock()
	c.shut()
	results := c.takeDone()
	ring := c.poke()
	c.mu.Unlock()
	c.hand(results)
	if ring {
		c.wake.Ring()
	}
	<-c.over
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// shut closes the client for all but the driver. The caller holds mu.
func (c *Client) shut() {
	if c.closed {
		return
	}
	c.closed = true
	c.intake.open(false)
	c.intake.empty(c)
	c.eng.Shut()
	c.harvest()
	for _, s := range c.sessions {
		s.wakeSubmitters()
	}
}

// CallbackPanics is how many callbacks of this client have panicked. Each was recovered and logged.
func (c *Client) CallbackPanics() uint64 { return c.runner.panics.Load() }

// request sends a request and waits for its answer.
func (c *Client) request(ctx context.Context, kind protocol.Kind, body any) (engine.Answer, error) {
	op := kind.String()
	if err := ctx.Err(); err != nil {
		return engine.Answer{}, contextError(ctx, op, "")
	}
	answer := make(chan engine.Answer, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return engine.Answer{}, closedError(op)
	}
	id := c.eng.Request(kind, body)
	c.answers[id] = answer
	ring := c.poke()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	select {
	case a := <-answer:
		if a.Err != nil {
			return a, a.Err
		}
		return a, nil
	case <-ctx.Done():
		c.mu.Lock()
		c.eng.Forget(id)
		delete(c.answers, id)
		c.mu.Unlock()
		return engine.Answer{}, contextError(ctx, op, "")
	}
}

// heavy is a result whose payload frame is to be copied.
type heavy struct {
	done engine.Completion
	to   pending
}

// harvest takes what the engine has to say and passes it on; what is for the driver stays in batch. The caller holds mu.
func (c *Client) harvest() {
	c.checkConnected()
	if !c.eng.Take(&c.batch) {
		return
	}
	b := &c.batch
	for i := range b.Said {
		c.pending[b.Said[i].Task.Slot()].said(c, &b.Said[i])
	}
	c.passOn(b)
	for _, at := range b.Stopped {
		if t := c.pending[at].task; t != nil {
			t.stop()
		}
		c.pending[at].session.wakeSubmitters()
		c.pending[at] = pending{}
	}
	c.sweeps.tell()
	clear(b.Said)
	clear(b.Completions)
	b.Said, b.Completions, b.Stopped = b.Said[:0], b.Completions[:0], b.Stopped[:0]
	for _, a := range b.Answers {
		if ch := c.answers[a.Request]; ch != nil {
			delete(c.answers, a.Request)
			ch <- a
		}
	}
	for _, n := range b.Notes {
		c.note(n)
	}
	clear(b.Answers)
	clear(b.Notes)
	b.Answers, b.Notes = b.Answers[:0], b.Notes[:0]
}

// passOn passes the ends of tasks on in the order in which they came. The caller holds mu.
func (c *Client) passOn(b *engine.Batch) {
	results, passed := b.Results, 0
	for i := range b.Runs {
		run := &b.Runs[i]
		c.complete(b.Completions[passed:run.After])
		passed = run.After
		passRun(c, run, results[:run.Tasks])
		results = results[run.Tasks:]
	}
	c.complete(b.Completions[passed:])
	b.DropResults()
}

// passRun passes results on of tasks of which there was nothing more to be said: nearly all are. What is the same for all of
// them is looked up once. The caller holds mu.
func passRun(c *Client, run *engine.Run, list []engine.Result) {
	s := c.pending[list[0].Task.Slot()].session
	calls := c.callbacks
	var bytes int64
	for i := range list {
		r := &list[i]
		p := &c.pending[r.Task.Slot()]
		if p.fn == nil {
			whom := *p
			*p = pending{}
			whom.deliver(c, &engine.Completion{
				Session: run.Session, Task: r.Task, Payload: r.Payload, Size: uint32(len(r.Payload)), Source: run.Source,
			})
			continue
		}
		n := len(calls)
		if n == cap(calls) {
			if calls == nil {
				calls = c.runner.list()
			}
			calls = slices.Grow(calls, len(list)-i)
		}
		calls = calls[:n+1]
		cb := &calls[n] // filled where it is, and was empty: there is one for each task
		cb.fn, cb.result.Payload, cb.result.Task = p.fn, r.Payload, r.Task
		bytes += int64(len(r.Payload))
		p.session, p.fn = nil, nil
	}
	if len(calls) > len(c.callbacks) {
		c.callbacks, c.wasCall = calls, false
	}
	if bytes > 0 {
		c.owed = append(c.owed, owed{accountFor(c, run.Source), bytes})
	}
	s.wakeSubmitters()
}

// complete passes the ends of tasks on to whom they are for. The caller holds mu.
func (c *Client) complete(list []engine.Completion) {
	for i := range list {
		done := &list[i]
		at := done.Task.Slot()
		var to pending
		if done.Foreign {
			to = foreignTask(c, done)
		} else {
			to = c.pending[at]
			c.pending[at] = pending{}
		}
		if done.Early {
			c.pending[at] = pending{session: to.session, task: to.task}
		}
		if to.session != nil {
			to.session.wakeSubmitters()
		}
		if done.Handle != 0 && to.copyLater(c, done) {
			continue
		}
		to.deliver(c, done)
	}
}

func (c *Client) checkConnected() {
	select {
	case <-c.connected:
		return
	default:
	}
	yes, refusal := c.eng.Connected()
	if !yes && refusal != nil && !refusal.Code.Retryable() {
		c.refused = refusal
		yes = true
	}
	if yes {
		close(c.connected)
	}
}

// note takes what happened to a session.
func (c *Client) note(n engine.Note) {
	s := c.sessions[n.Session]
	if s == nil {
		return // given up while it was being opened
	}
	if !n.Ended {
		close(s.open)
		return
	}
	delete(c.sessions, n.Session)
	if n.Err != nil {
		s.err = n.Err
	}
	s.over = true
	s.wakeSubmitters()
	s.results.wake()
	close(s.done)
}
