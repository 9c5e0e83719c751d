package manager

import (
	"fmt"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world drives a core with simulated clients and instances, in simulated time, over links that lose nothing until a
// test says so.
type world struct {
	t        fataler
	core     *Core
	now      time.Time
	nextPeer protocol.Peer
	parties  map[protocol.Peer]*party
	all      []*party
	refs     map[protocol.Handle]int
	bodies   map[protocol.Handle][]byte
	notes    []session.Note
	handles  protocol.Handle
}

// party is a simulated client or instance.
type party struct {
	w          *world
	name       string
	node       *link.Node
	link       *link.Link
	peer       protocol.Peer
	dead       bool
	hello      protocol.Hello
	answers    map[protocol.TaskID][]string // of a client: results and failures by task
	refused    []string                     // errors outside of the conversation
	tenures    []uint64                     // that are over, as errors within it say
	tasks      []given                      // of an instance: dispatched and unanswered, in order
	bound      map[uint32]bool
	left       bool
	stopped    bool // it takes and says nothing
	missed     []missed
	returned   int  // tasks of an instance that it gave back
	keeps      bool // a client that takes no results
	received   int  // bytes of results and failures
	consumed   int
	asked      []uint64                      // totals of consumed bytes that a client was asked to tell of
	hold       bool                          // an instance that answers Bind and Unbind only when told
	stubborn   bool                          // an instance whose hooks do not end when they are told to
	waits      bool                          // an instance that begins nothing
	owed       []uint32                      // sessions that such a one has to let go of
	dismissed  string                        // an instance that was told to leave at once: why
	executions map[uint64]protocol.Execution // of an instance, by task
	began      map[uint64]bool               // whose beginning was told
	words      []word
}

// given is a task at an instance.
type given struct {
	session uint32
	id      uint64
	payload string
	client  protocol.TaskID
	attempt uint8
}

const incarnation = 77

// theShare is that of every manager whose test does not care.
var theShare = protocol.Share{CPU: protocol.DefaultManagerCPU, Memory: 64 << 20}

func newWorld(t fataler) *world {
	return &world{
		t:       t,
		core:    New(Config{Epoch: protocol.NewEpoch(5, 0), Incarnation: incarnation, Broker: "b", MaxPayload: 1 << 20, PeerTimeout: protocol.PeerTimeout, QueuedBytes: 64 << 20}),
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		parties: map[protocol.Peer]*party{}, refs: map[protocol.Handle]int{}, bodies: map[protocol.Handle][]byte{},
	}
}

func (w *world) order(o session.Order) {
	w.core.Step(w.now, Event{Kind: EventOrder, Order: o})
	w.settle()
}

// serve makes manager 1 of a service.
func (w *world) serve(change func(*protocol.Service)) {
	s := protocol.Service{Name: "svc"}
	if change != nil {
		change(&s)
	}
	w.order(session.Order{Serve: &session.Serve{Manager: 1, Service: s.WithDefaults(), Share: theShare}})
}

func (w *world) party(name string, inc uint64, hello protocol.Hello) *party {
	w.nextPeer++
	p := &party{
		w: w, name: name, node: link.NewNode(protocol.NewEpoch(5, 0), inc), peer: w.nextPeer,
		answers: map[protocol.TaskID][]string{}, bound: map[uint32]bool{}, executions: map[uint64]protocol.Execution{}, began: map[uint64]bool{},
	}
	p.hello = hello
	p.hello.MinVersion, p.hello.MaxVersion, p.hello.Name = protocol.MinVersion, protocol.MaxVersion, name
	p.link = p.node.Link()
	w.parties[p.peer] = p
	w.all = append(w.all, p)
	return p
}

// client opens sessions with these numbers and connects.
func (w *world) client(inc uint64, numbers ...uint32) *party {
	for _, n := range numbers {
		w.open(inc, n)
	}
	p := w.party(fmt.Sprintf("client-%d", inc), inc, protocol.Hello{Role: protocol.RoleClient, ResultCredit: 1 << 20})
	p.link.Greet(p.hello)
	w.settle()
	return p
}

func (w *world) open(inc uint64, n uint32) {
	w.order(session.Order{Open: &session.Open{
		Manager: 1, Session: n, Client: inc, Bind: protocol.Bind{Session: n}, TaskCredit: 65536, ByteCredit: 32 << 20,
	}})
}

// instance admits an instance and connects it.
func (w *world) instance(name string, inc uint64, change func(*session.Admit)) *party {
	a := session.Admit{Manager: 1, Container: name, Incarnation: inc, Node: "node-" + name, Slots: 1, Sessions: 10}
	if change != nil {
		change(&a)
	}
	w.order(session.Order{Admit: &a})
	p := w.party(name, inc, protocol.Hello{Role: protocol.RoleInstance, Container: name})
	p.link.Greet(p.hello)
	w.settle()
	return p
}

// settle moves messages until nothing moves.
func (w *world) settle() {
	for moved := true; moved; {
		moved = false
		var b Batch
		if w.core.Take(&b) {
			moved = true
			w.carryOut(&b)
		}
		for _, p := range w.all {
			moved = p.flush() || moved
		}
	}
	w.check()
}

func (w *world) carryOut(b *Batch) {
	for _, h := range b.Retained {
		w.refs[h]++
	}
	for _, r := range b.Raw {
		if p := w.parties[r.Peer]; p != nil && !p.dead {
			p.receive(r.Bytes, nil)
		}
	}
	for _, f := range b.Frames {
		if peer, records, payloads, ok := f.Leave(); ok {
			p := w.parties[peer]
			if p == nil || p.dead {
				f.Unsent()
				w.core.Step(w.now, Event{Kind: EventGone, Peer: peer})
			} else {
				var bodies [][]byte
				for _, h := range payloads {
					bodies = append(bodies, w.bodies[h])
				}
				p.receive(append([]byte(nil), records...), bodies)
			}
		}
		f.Sent()
	}
	for _, n := range b.Notes {
		if d := n.Dead; d != nil && d.Handle != 0 { // as the shell does
			d.Payload = w.bodies[d.Handle]
			w.release([]protocol.Handle{d.Handle})
			d.Handle = 0
		}
		w.notes = append(w.notes, n)
	}
	w.release(b.Released)
}

func (w *world) release(handles []protocol.Handle) {
	for _, h := range handles {
		w.refs[h]--
		switch {
		case w.refs[h] < 0:
			w.t.Fatalf("payload frame %d was released once too often", h)
		case w.refs[h] == 0:
			delete(w.refs, h)
			delete(w.bodies, h)
		}
	}
}

// payload makes a payload frame that the core is about to receive.
func (w *world) payload(b []byte) protocol.Handle {
	w.handles++
	w.refs[w.handles] = 1
	w.bodies[w.handles] = b
	return w.handles
}

// flush sends what a party has ready and says whether there was anything.
func (p *party) flush() bool {
	if p.stopped {
		return false
	}
	frames := p.node.Take(nil)
	for _, f := range frames {
		if _, records, payloads, ok := f.Leave(); ok && !p.dead {
			var handles []protocol.Handle
			for _, h := range payloads { // a party's own handles index its world's bodies
				handles = append(handles, p.w.payload(p.w.bodies[h]))
			}
			p.w.core.Step(p.w.now, Event{Kind: EventFrame, Peer: p.peer, Records: append([]byte(nil), records...), Payloads: handles})
		}
		f.Sent()
	}
	p.w.release(p.node.Released(nil))
	return len(frames) > 0
}

// receive takes a frame from the core.
func (p *party) receive(frame []byte, bodies [][]byte) {
	if p.stopped {
		p.missed = append(p.missed, missed{append([]byte(nil), frame...), bodies})
		return
	}
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		p.w.t.Fatalf("%s got %v", p.name, err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	fresh := false
	for {
		ok, err := r.Next(&rec)
		if err != nil {
			p.w.t.Fatalf("%s got %v", p.name, err)
		}
		if !ok {
			if !fresh {
				p.link.Receive(h, len(frame))
			}
			return
		}
		switch {
		case rec.Kind == protocol.KindWelcome:
			var body protocol.Welcome
			if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
				p.w.t.Fatalf("%v", err)
			}
			p.link.Opened(h, body)
			fresh = true
			continue
		case h.Sequence == 0 && rec.Kind == protocol.KindRehello:
			p.link.Greet(p.hello)
			return
		case h.Sequence == 0:
			var e protocol.Error
			if err := protocol.Unmarshal(rec.Kind, rec.Payload, &e); err != nil {
				p.w.t.Fatalf("%v", err)
			}
			p.refused = append(p.refused, e.Code.String())
			return
		}
		if !fresh {
			if v := p.link.Receive(h, len(frame)); v != link.Fresh {
				return
			}
			fresh = true
		}
		payload := rec.Payload
		if rec.External {
			payload, bodies = bodies[0], bodies[1:]
		}
		p.record(&rec, payload)
	}
}

func (p *party) record(rec *protocol.Record, payload []byte) {
	if rec.Kind == protocol.KindResult || rec.Kind == protocol.KindFailure {
		p.received += len(payload)
	}
	if p.received > p.consumed && !p.keeps {
		p.consumed = p.received
		p.link.Append(protocol.KindCredit, 0, uint64(p.consumed), nil)
	}
	switch rec.Kind {
	case protocol.KindPartial, protocol.KindProgress, protocol.KindPartialGrant, protocol.KindDone, protocol.KindSessionData:
		p.hears(rec, payload)
	case protocol.KindResult:
		p.answers[protocol.TaskID(rec.Task)] = append(p.answers[protocol.TaskID(rec.Task)], string(payload))
	case protocol.KindFailure:
		var e protocol.Error
		if err := protocol.Unmarshal(rec.Kind, payload, &e); err != nil {
			p.w.t.Fatalf("%v", err)
		}
		p.answers[protocol.TaskID(rec.Task)] = append(p.answers[protocol.TaskID(rec.Task)], "!"+e.Code.String())
	case protocol.KindDispatch:
		x, ok := rec.Execution()
		if !ok {
			p.w.t.Fatalf("%s: dispatch without identity", p.name)
		}
		if !p.bound[rec.Session] {
			p.w.t.Fatalf("%s was given a task of session %d, which is not bound to it", p.name, rec.Session)
		}
		p.tasks = append(p.tasks, given{rec.Session, rec.Task, string(payload), x.ID, x.Attempt})
		p.executions[rec.Task] = x
		p.begin()
	case protocol.KindBind:
		if p.bound[rec.Session] {
			p.w.t.Fatalf("%s was bound to session %d twice", p.name, rec.Session)
		}
		p.bound[rec.Session] = true
		if !p.hold {
			p.link.Append(protocol.KindBound, rec.Session, 0, nil)
		}
	case protocol.KindUnbind:
		if !p.bound[rec.Session] {
			p.w.t.Fatalf("%s was unbound from session %d, which is not bound", p.name, rec.Session)
		}
		delete(p.bound, rec.Session)
		if p.unbind(rec.Session) {
			return
		}
		if !p.hold {
			p.link.Append(protocol.KindUnbound, rec.Session, 0, nil)
		}
	case protocol.KindRecall:
		for i, g := range p.tasks {
			if g.id == rec.Task && i >= 1 { // the first one runs
				p.tasks = append(p.tasks[:i], p.tasks[i+1:]...)
				p.returned++
				p.link.Append(protocol.KindRecalled, rec.Session, rec.Task, nil)
				break
			}
		}
	case protocol.KindAbort:
		p.abort(rec, payload)
	case protocol.KindAskCredit:
		p.asked = append(p.asked, rec.Task)
	case protocol.KindLeave:
		p.left = true
		var e protocol.Error
		if protocol.Unmarshal(rec.Kind, payload, &e) == nil {
			p.dismissed = e.Msg
		}
	case protocol.KindError:
		p.refused = append(p.refused, "record")
		p.tenures = append(p.tenures, rec.Task)
		p.hears(rec, payload)
	default:
	}
}

// submit sends task number seq of a session.
func (p *party) submit(number uint32, seq uint64, payload string) {
	id := uint64(protocol.NewTaskID(seq, uint32(seq)))
	if len(payload) >= protocol.InlinePayload {
		p.link.AppendExternal(protocol.KindTask, number, id, uint32(len(payload)), p.w.payload([]byte(payload)))
		return
	}
	p.link.Append(protocol.KindTask, number, id, []byte(payload))
}

// run answers the first n tasks of an instance with "r:" and their payload.
func (p *party) run(n int) int {
	done := 0
	for ; n > 0 && len(p.tasks) > 0; n-- {
		g := p.tasks[0]
		p.tasks = p.tasks[1:]
		out := "r:" + g.payload
		if len(out) >= protocol.InlinePayload {
			p.link.AppendExternal(protocol.KindResult, g.session, g.id, uint32(len(out)), p.w.payload([]byte(out)))
		} else {
			p.link.Append(protocol.KindResult, g.session, g.id, []byte(out))
		}
		done++
		p.begin()
		p.returns(g.session)
	}
	return done
}

// known has a manager know how large the results of its service are: small.
func (w *world) known(manager uint32) { w.core.byID[manager].expect = 1 }

// executed reports n tasks that took d together.
func (p *party) executed(n int, d time.Duration) {
	p.link.Append(protocol.KindExecuted, uint32(n), uint64(d), nil)
}

// die ends an instance without a word.
func (p *party) die() {
	p.dead = true
	p.tasks = nil
	p.link.Close()
	p.w.release(p.node.Released(nil))
	p.w.order(session.Order{Lost: &session.Lost{Container: p.name, Reason: "killed"}})
}

// runAll lets all instances answer until nothing is left.
func (w *world) runAll() {
	for again := true; again; {
		again = false
		for _, p := range w.all {
			if p.hello.Role == protocol.RoleInstance && !p.dead && len(p.tasks) > 0 {
				n := p.run(1 << 20)
				p.executed(n, time.Duration(n)*time.Microsecond)
				again = true
			}
		}
		w.settle()
	}
}

// pass lets time go by in ticks.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for w.now.Before(end) {
		w.now = w.now.Add(busyTick)
		w.core.Tick(w.now)
		for _, p := range w.all {
			if !p.dead && !p.stopped {
				p.link.Beat(p.hello.Role == protocol.RoleInstance)
			}
		}
		w.settle()
	}
}

// unfinished is what the core counts as unfinished tasks.
func (c *Core) unfinished() (n int) {
	for _, m := range c.managers {
		n += m.slab.used
	}
	return n
}

// eachTask calls f for each unfinished task, and returns how many there are.
func (c *Core) eachTask(f func(i int, t *slot)) (n int) {
	for _, m := range c.managers {
		for i := range m.slab.slots {
			if t := &m.slab.slots[i]; t.state != taskFree {
				f(i, t)
				n++
			}
		}
	}
	return n
}

// check holds the core against what must always be true.
func (w *world) check() {
	c := w.core
	var bytes int64
	inSession := map[*hosted]int{}
	perSeat := map[*seat]int{}
	used := c.eachTask(func(i int, t *slot) {
		if t.answered() {
			return
		}
		bytes += int64(t.size)
		inSession[t.session]++
		if (t.state == taskFlying || t.state == taskRecalling || t.state == taskStopping) != (t.seat != nil) {
			w.t.Fatalf("slot %d: state %d, seat %v", i, t.state, t.seat != nil)
		}
		if t.seat != nil {
			perSeat[t.seat]++
		}
	})
	if used != c.unfinished() || bytes != c.bytes {
		w.t.Fatalf("%d slots and %d bytes are in use, the core counts %d and %d", used, bytes, c.unfinished(), c.bytes)
	}
	for s, n := range inSession {
		if s.unfinished() != n {
			w.t.Fatalf("session %d has %d slots and %d tasks in its lists", s.number, n, s.unfinished())
		}
	}
	ofManager := map[*manager]int64{}
	for s := range inSession {
		ofManager[s.manager] += s.bytes
	}
	for _, m := range c.managers {
		if m.bytes != ofManager[m] || m.bytes > m.share.Memory {
			w.t.Fatalf("manager %d counts %d bytes of its share of %d, its sessions have %d", m.id, m.bytes, m.share.Memory, ofManager[m])
		}
		reserved := 0
		for _, i := range m.instances {
			flight := 0
			for _, t := range i.seats {
				flight += t.flight
				if t.flight < perSeat[t] || (!t.session.closed && t.flight != perSeat[t]) {
					w.t.Fatalf("%s: seat of session %d counts %d tasks, %d are there", i.container, t.session.number, t.flight, perSeat[t])
				}
			}
			if i.flight != flight || i.bytes < 0 {
				w.t.Fatalf("%s counts %d tasks and %d bytes, its seats have %d", i.container, i.flight, i.bytes, flight)
			}
			if i.reserved {
				reserved++
			}
			if max := i.credit + i.places; i.flight > max && i.mean == 0 {
				w.t.Fatalf("%s has %d tasks, at most %d are allowed", i.container, i.flight, max)
			}
		}
		if reserved != m.reserved {
			w.t.Fatalf("%d instances are reserved, the manager counts %d", reserved, m.reserved)
		}
	}
}

// left says what is left when all is over.
func left(c *Core) string {
	var out string
	if c.bytes != 0 || c.kept != 0 || c.buffers.pinned != 0 || c.unfinished() != 0 || c.buffers.live != 0 {
		out = fmt.Sprintf("%d tasks, %d bytes, %d bytes pinned of which %d are in use", c.unfinished(), c.bytes, c.buffers.pinned, c.buffers.live)
	}
	return out
}

// owing says what credit is left to be given back when all is over.
func owing(c *Core) string {
	var out string
	for _, e := range c.order {
		if cl := e.client; cl != nil && cl.sent-cl.consumed >= cl.allowed/4 {
			out += fmt.Sprintf("; client %x has consumed %d of %d bytes", e.other, cl.consumed, cl.sent)
		}
		if n := e.link.Held(); n > 0 {
			out += fmt.Sprintf("; %x has not acknowledged %d bytes", e.other, n)
		}
	}
	return out
}

// drained holds that nothing is kept when everything was answered and acknowledged.
func (w *world) drained() {
	w.t.Helper()
	w.pass(3 * time.Second)
	if l := left(w.core); l != "" {
		w.t.Fatalf("left: %s", l)
	}
	if len(w.refs) != 0 {
		w.t.Fatalf("%d payload frames are left", len(w.refs))
	}
}

// changed gives the states that a session was told to be in.
func (w *world) changed(number uint32) (states []string) {
	for _, n := range w.notes {
		if n.Changed != nil && n.Changed.Session == number {
			s := n.Changed.State
			if n.Changed.Error != nil {
				s += ":" + n.Changed.Error.Code.String()
			}
			states = append(states, s)
		}
	}
	return states
}

func (p *party) want(t *testing.T, seq uint64, answer string) {
	t.Helper()
	got := p.answers[protocol.NewTaskID(seq, uint32(seq))]
	if len(got) != 1 || got[0] != answer {
		t.Fatalf("task %d was answered %q, want %q once", seq, got, answer)
	}
}
