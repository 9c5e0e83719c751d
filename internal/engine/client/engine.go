package client

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Config says who the client is.
type Config struct {
	Endpoints    []string // control endpoints of the brokers
	Name         string   // program, for people
	Host         string   // equal for processes that can meet over ipc
	KeepsScheme  bool     // stay on the transport of Endpoints
	Incarnation  uint64   // drawn once by the process, not 0
	Seed         uint64   // of the jitter of retries
	ResultCredit int64    // bytes of results not consumed on one data connection; 0: protocol.DefaultResultCredit
}

// Engine is the whole client. Make it with [New].
type Engine struct {
	cfg    Config
	node   *link.Node
	random *rand.Rand

	conns    []*conn // controls first; those that were hung up are removed
	lastConn uint32
	lead     *conn // the control connection that requests go to; nil before the first WELCOME
	refusal  *protocol.Error
	nextBeat time.Time
	every    time.Duration // between two looks at silence
	shut     bool

	sessions []*Session // that are not over, in the order of their keys
	numbers  map[protocol.SessionNumber]*Session
	gone     map[protocol.SessionNumber]uint64 // tenures that are over, of sessions that may be opening, see detached
	used     map[protocol.SessionNumber]uint64 // last sequences of sessions that go on without this client, see letGo
	lastKey  uint64
	telling  []*Session // with answers that were taken, to be told

	requests    []*request // unanswered, in the order of their ids
	lastRequest uint64

	slots       []slot
	free        []uint32
	outstanding int
	alarms      alarms     // of single tasks
	resolved    []resolved // tasks whose end is being told to those that wait for them
	now         time.Time  // of the last call that had the time

	out Batch
}

// Batch is what is to be done outside. The lists are in order; those of one connection must be done in order.
type Batch struct {
	Dials    []Dial            // connections to open, before frames are sent
	Redials  []uint32          // connections to be made anew with nothing of the old one, before frames are sent
	Retained []protocol.Handle // one more reference each, before any is released
	Frames   []*link.Frame     // to be sent; the peer that Leave tells is the connection
	Released []protocol.Handle // one reference each is to be given back
	Hangups  []uint32          // connections to close, after frames were sent

	Said        []Said   // before Results and Completions
	Results     []Result // as Runs has them
	Runs        []Run
	Completions []Completion
	Stopped     []uint32 // slots of tasks whose completion was early: the fabric has answered now
	Answers     []Answer
	Notes       []Note
}

// Dial asks for a connection. It lasts, broken and made again by the transport, until it is named in Hangups.
type Dial struct {
	Conn     uint32
	Endpoint string
}

// Result is the result of a task of which there was nothing more to be said, as of most. It is what a [Completion] with
// that Task and Payload would be.
type Result struct {
	Task    protocol.TaskID
	Payload []byte // part of the received frame
}

// Run is what the next of [Batch].Results have in common.
type Run struct {
	Session *Session
	Source  Source
	Tasks   int   // how many they are
	Size    int64 // bytes of all of them, to be given to Consumed
	After   int   // how many of [Batch].Completions came before
}

// Unfold makes completions of results, for who does not tell them apart.
func (b *Batch) Unfold() {
	if len(b.Runs) == 0 {
		return
	}
	all := make([]Completion, 0, len(b.Completions)+len(b.Results))
	results, others := b.Results, b.Completions
	for _, run := range b.Runs {
		before := len(b.Completions) - len(others)
		all = append(all, others[:run.After-before]...)
		others = others[run.After-before:]
		for _, r := range results[:run.Tasks] {
			all = append(all, Completion{
				Session: run.Session, Task: r.Task, Payload: r.Payload, Size: uint32(len(r.Payload)), Source: run.Source,
			})
		}
		results = results[run.Tasks:]
	}
	b.Completions = append(all, others...)
	b.DropResults()
}

// DropResults empties Results and Runs.
func (b *Batch) DropResults() {
	clear(b.Results)
	clear(b.Runs)
	b.Results, b.Runs = b.Results[:0], b.Runs[:0]
}

// Completion is the end of a task.
type Completion struct {
	Session *Session
	Task    protocol.TaskID
	Payload []byte          // part of the received frame; nil when Handle is set
	Handle  protocol.Handle // the payload frame that is the result, with one reference; 0: none
	Size    uint32          // bytes of the result, to be given to Consumed
	Source  Source
	Err     *protocol.Error // why there is no result
	Early   bool            // its time is over, but the fabric has not answered: that follows in Stopped
	Foreign bool            // another client has submitted the task, see [Attach]
}

// Answer is the answer to a request.
type Answer struct {
	Request uint64
	Kind    protocol.Kind
	Body    []byte // part of the received frame
	Err     *protocol.Error
}

// Note tells what happened to a session. It is opened at most once, and ends once; after its end nothing follows.
type Note struct {
	Session *Session
	Ended   bool            // otherwise: it is open
	Err     *protocol.Error // why it ended; nil when it was closed in order
}

// New makes an engine. The config is the caller's to check.
func New(cfg Config) *Engine {
	if cfg.ResultCredit == 0 {
		cfg.ResultCredit = protocol.DefaultResultCredit
	}
	return &Engine{
		cfg:     cfg,
		node:    link.NewNode(0, cfg.Incarnation),
		random:  rand.New(rand.NewPCG(cfg.Seed, cfg.Incarnation)),
		numbers: map[protocol.SessionNumber]*Session{},
		gone:    map[protocol.SessionNumber]uint64{},
		used:    map[protocol.SessionNumber]uint64{},
		every:   protocol.Heartbeat / 2,
	}
}

// Start dials the brokers.
func (e *Engine) Start(now time.Time) {
	e.now, e.nextBeat = now, now.Add(e.every)
	for _, endpoint := range e.cfg.Endpoints {
		e.dial(now, endpoint, true)
	}
}

// Connected says whether a broker takes requests. refusal is why the last one that answered otherwise refused, nil
// when none did.
func (e *Engine) Connected() (yes bool, refusal *protocol.Error) {
	return e.lead != nil && e.lead.phase == up, e.refusal
}

// Broker is the broker that requests go to, as its last WELCOME says; the zero value when there was none.
type Broker struct {
	Name, Endpoint string
	Epoch          protocol.Epoch
	Version        uint8 // of the protocol
}

// BrokerOf says to which broker requests go.
func BrokerOf(e *Engine) Broker {
	if e.lead == nil {
		return Broker{}
	}
	return Broker{Name: e.lead.broker, Endpoint: e.lead.endpoint, Epoch: e.lead.epoch, Version: e.node.Version}
}

// Outstanding is the number of unfinished tasks of all sessions.
func (e *Engine) Outstanding() int { return e.outstanding }

// Quiet says that nothing is unfinished: no task, no request, no session on its way, and every connection is up.
func (e *Engine) Quiet() bool {
	if e.outstanding > 0 || len(e.requests) > 0 || e.shut {
		return false
	}
	for _, c := range e.conns {
		if c.phase != up {
			return false
		}
	}
	for _, s := range e.sessions {
		if s.conn == nil {
			return false
		}
	}
	return true
}

// Take appends what is to be done to b, and says whether there was anything.
func (e *Engine) Take(b *Batch) bool {
	tellTaken(e)
	before := len(b.Frames)
	b.Frames = e.node.Take(b.Frames)
	o := &e.out
	o.Released = e.node.Released(o.Released)
	if len(b.Frames) == before && len(o.Dials)+len(o.Redials)+len(o.Retained)+len(o.Released)+len(o.Hangups)+
		len(o.Runs)+len(o.Said)+len(o.Completions)+len(o.Stopped)+len(o.Answers)+len(o.Notes) == 0 {
		return false
	}
	b.Dials = move(b.Dials, &o.Dials)
	b.Redials = move(b.Redials, &o.Redials)
	b.Retained = move(b.Retained, &o.Retained)
	b.Released = move(b.Released, &o.Released)
	b.Hangups = move(b.Hangups, &o.Hangups)
	for i := range o.Runs {
		o.Runs[i].After += len(b.Completions)
	}
	b.Results = move(b.Results, &o.Results)
	b.Runs = move(b.Runs, &o.Runs)
	b.Said = move(b.Said, &o.Said)
	b.Completions = move(b.Completions, &o.Completions)
	b.Stopped = move(b.Stopped, &o.Stopped)
	b.Answers = move(b.Answers, &o.Answers)
	b.Notes = move(b.Notes, &o.Notes)
	return true
}

// move appends src to dst, and empties it. Where dst is empty they change places.
func move[T any](dst []T, src *[]T) []T {
	switch {
	case len(*src) == 0:
		return dst
	case len(dst) == 0:
		dst, *src = *src, dst
		return dst
	}
	dst = append(dst, *src...)
	clear(*src)
	*src = (*src)[:0]
	return dst
}

// Deadline is when Tick is to be called next; ok is false before Start and after Shut.
func (e *Engine) Deadline() (at time.Time, ok bool) {
	if e.nextBeat.IsZero() || e.shut {
		return time.Time{}, false
	}
	at = e.nextBeat
	for _, c := range e.conns {
		if !c.retry.IsZero() && c.retry.Before(at) {
			at = c.retry
		}
	}
	if len(e.alarms) > 0 && e.alarms[0].due().Before(at) {
		at = e.alarms[0].due()
	}
	return at, true
}

// Tick does what is due: greetings again, heartbeats, sessions whose last results did not come, tasks that are to be sent
// again or whose time is over.
func (e *Engine) Tick(now time.Time) {
	if e.shut {
		return
	}
	e.now = now
	ring(e, now)
	for _, c := range e.conns {
		if !c.retry.IsZero() && !now.Before(c.retry) {
			c.greetAgain(now)
		}
	}
	if now.Before(e.nextBeat) {
		return
	}
	e.nextBeat = now.Add(e.every)
	for _, c := range e.conns {
		c.beat(now)
	}
	for i := 0; i < len(e.sessions); {
		if s := e.sessions[i]; !s.drainBy.IsZero() && !now.Before(s.drainBy) {
			s.end(protocol.Errorf(protocol.CodeSessionClosed, "session",
				"%d results did not arrive within %v of its end", s.tasks, protocol.PeerTimeout))
			continue // e.sessions lost its i-th
		}
		i++
	}
}

// Shut ends the client: every unfinished task and request fails with CodeClosed, every session ends, and BYE leaves
// on every connection that is up. After the next Take the connections may be closed; what the broker is to know for sure
// it does when [Engine.Leaving] is no longer true.
func (e *Engine) Shut() {
	if e.shut {
		return
	}
	tellTaken(e)
	closed := protocol.Errorf(protocol.CodeClosed, "client", "the client was closed")
	for len(e.sessions) > 0 {
		e.sessions[len(e.sessions)-1].end(closed)
	}
	for _, r := range e.requests {
		if r.session == nil {
			e.out.Answers = append(e.out.Answers, Answer{Request: r.id, Err: closed})
		}
	}
	e.requests = nil
	for _, c := range e.conns {
		if c.phase == up {
			c.link.Append(protocol.KindBye, 0, 0, nil)
		}
	}
	e.shut = true
}

// Leaving says whether the broker has not confirmed yet, after [Engine.Shut], that it heard BYE. It does so at once; one
// that is not connected never will.
func (e *Engine) Leaving() bool {
	return e.shut && slices.ContainsFunc(e.conns, func(c *conn) bool { return c.control && c.phase == up && c.link.Unacked() > 0 })
}
