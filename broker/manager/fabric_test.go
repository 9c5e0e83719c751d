package manager_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// fabric is a broker's cores with the engines of real clients and instances, in simulated time, over connections that
// break. Messages and letters wait until they are delivered.
type fabric struct {
	t         tester
	now       time.Time
	control   *control.Core
	position  uint64
	loops     []*manager.Core
	orders    [][]session.Order
	notes     []control.Note
	clients   []*program
	instances []*worker
	wires     []*wire
	held      map[string]map[protocol.Handle]int // references, by process
	bodies    map[protocol.Handle]string
	retried   map[string]int // times that a task has asked to be run again
	retries   bool           // some tasks do
	handles   protocol.Handle
	peers     protocol.Peer
	memo      memo
}

// wire is one connection of a dialler. A ROUTER knows it by its peer, which changes when it breaks.
type wire struct {
	router   int // loop; -1: the control loop
	peer     protocol.Peer
	receive  func(records []byte, payloads []protocol.Handle)
	up, down []message
	owner    string
}

type message struct {
	records  []byte
	payloads []protocol.Handle
}

// program is a client.
type program struct {
	name     string
	engine   *client.Engine
	wires    map[uint32]*wire
	sessions []*client.Session
	taken    []client.Completion      // and not consumed
	answers  map[string][]string      // by session and task
	want     map[string]string        // the answer that is right
	ended    map[*client.Session]bool // in order
	greedy   bool                     // it consumes what it gets at once
	said     map[string]utterance     // by tasks, as it was heard
	parts    []client.Said            // heard and not consumed
}

// worker is an instance.
type worker struct {
	name   string
	engine *instance.Engine
	wires  [instance.Lines]*wire
	jobs   []instance.Job
	ran    map[string]int // tasks that began, by service, session and task
	said   map[string]utterance
	dead   bool
}

const broker = "broker"

// tester is what *testing.T and *rapid.T have in common here.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newFabric(t tester, loops int) *fabric { return newFabricOf(t, loops, 64<<20) }

// newFabricOf makes one each of whose loops has so many bytes for tasks.
func newFabricOf(t tester, loops int, queued int64) *fabric {
	f := &fabric{
		t: t, now: time.Unix(1_800_000_000, 0), orders: make([][]session.Order, loops),
		retried: map[string]int{}, held: map[string]map[protocol.Handle]int{}, bodies: map[protocol.Handle]string{},
		memo: memo{open: map[string]*note{}},
	}
	epoch := protocol.NewEpoch(5, 0)
	var err error
	f.control, err = control.New(control.Config{Epoch: epoch, Incarnation: 9, Loops: loops, Token: func() string { return "t" }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range loops {
		f.loops = append(f.loops, manager.New(manager.Config{Loop: i, Epoch: epoch, Incarnation: 9, MaxPayload: 1 << 20, PeerTimeout: protocol.PeerTimeout, QueuedBytes: queued}))
	}
	return f
}

// retain and release keep the accounts of payload frames.
func (f *fabric) retain(owner string, handles ...protocol.Handle) {
	for _, h := range handles {
		if f.held[owner] == nil {
			f.held[owner] = map[protocol.Handle]int{}
		}
		f.held[owner][h]++
	}
}

func (f *fabric) release(owner string, handles ...protocol.Handle) {
	for _, h := range handles {
		if h == 0 {
			continue
		}
		f.held[owner][h]--
		switch n := f.held[owner][h]; {
		case n < 0:
			f.t.Fatalf("%s released payload frame %d once too often", owner, h)
		case n == 0:
			delete(f.held[owner], h)
		}
	}
}

func (f *fabric) payload(owner, body string) protocol.Handle {
	f.handles++
	f.bodies[f.handles] = body
	f.retain(owner, f.handles)
	return f.handles
}

// dial makes a connection. Endpoints are inproc://b for the control loop, inproc://b/loop-N for the others.
func (f *fabric) dial(owner, endpoint string, receive func([]byte, []protocol.Handle)) *wire {
	w := &wire{router: -1, receive: receive, owner: owner}
	if at := strings.LastIndexByte(endpoint, '-'); at >= 0 {
		w.router = int(endpoint[at+1] - '0')
	}
	f.wires = append(f.wires, w)
	f.reconnect(w)
	return w
}

// reconnect has the connection break: what is on its way is lost.
func (f *fabric) reconnect(w *wire) {
	f.peers++
	w.peer, w.up, w.down = f.peers, nil, nil
}

func (f *fabric) hangUp(w *wire) {
	f.wires = slices.DeleteFunc(f.wires, func(x *wire) bool { return x == w })
}

func (f *fabric) client(name string, incarnation uint64, credit int64) *program {
	p := &program{
		name: name, wires: map[uint32]*wire{}, answers: map[string][]string{}, want: map[string]string{}, ended: map[*client.Session]bool{}, said: map[string]utterance{},
		engine: client.New(client.Config{Endpoints: []string{"inproc://b"}, Name: name, Incarnation: incarnation, Seed: 1, ResultCredit: credit}),
	}
	p.engine.Start(f.now)
	f.clients = append(f.clients, p)
	return p
}

func (f *fabric) instance(service string, incarnation uint64, slots int) *worker {
	w := &worker{name: fmt.Sprintf("%s-%d", service, incarnation), ran: map[string]int{}, said: map[string]utterance{}}
	w.engine = instance.New(instance.Config{
		Incarnation: incarnation, Endpoints: []string{"inproc://b"}, Slots: slots,
		Hello: protocol.Hello{Service: service, Name: w.name, Sessions: 3},
	})
	w.engine.Start(f.now)
	f.instances = append(f.instances, w)
	return w
}

// turn is a turn of a ROUTER's shell: letters, some messages of each connection, timers, what comes of it.
func (f *fabric) turn(router, most int) (moved bool) {
	if router >= 0 {
		letters := f.orders[router]
		f.orders[router] = nil
		for _, o := range letters {
			f.loops[router].Step(f.now, manager.Event{Kind: manager.EventOrder, Order: o})
		}
		moved = len(letters) > 0
	} else {
		letters := f.notes
		f.notes = nil
		for _, n := range letters {
			f.control.Step(f.now, n)
		}
		moved = len(letters) > 0
	}
	for _, w := range f.wires {
		if w.router != router {
			continue
		}
		n := min(most, len(w.up))
		for _, m := range w.up[:n] {
			f.retain(broker, m.payloads...)
			if router >= 0 {
				f.loops[router].Step(f.now, manager.Event{Kind: manager.EventFrame, Peer: w.peer, Records: m.records, Payloads: m.payloads})
			} else {
				f.control.Step(f.now, control.Frame{Peer: w.peer, Bytes: m.records, Payloads: m.payloads})
			}
			moved = true
		}
		w.up = w.up[n:]
	}
	if router >= 0 {
		return f.loop(router) || moved
	}
	return f.lead() || moved
}

func (f *fabric) loop(i int) bool {
	c := f.loops[i]
	if at, ok := c.Deadline(); ok && !f.now.Before(at) {
		c.Tick(f.now)
	}
	var b manager.Batch
	if !c.Take(&b) {
		return false
	}
	f.retain(broker, b.Retained...)
	for _, n := range b.Notes {
		if d := n.Dead; d != nil && d.Handle != 0 { // as the shell does
			d.Payload = []byte(f.bodies[d.Handle])
			f.release(broker, d.Handle)
			d.Handle = 0
		}
		f.notes = append(f.notes, control.Note{Loop: i, Note: n})
	}
	for _, r := range b.Raw {
		f.send(i, r.Peer, r.Bytes, nil)
	}
	for _, peer := range f.leave(i, b.Frames) {
		c.Step(f.now, manager.Event{Kind: manager.EventGone, Peer: peer})
	}
	f.release(broker, b.Released...)
	if err := c.Verify(); err != nil {
		f.t.Fatalf("loop %d: %v", i, err)
	}
	return true
}

func (f *fabric) lead() bool {
	c := f.control
	if at, ok := c.Deadline(); ok && !f.now.Before(at) {
		c.Tick(f.now)
	}
	var b control.Batch
	if !c.Take(&b) {
		return false
	}
	f.position += uint64(len(b.Records))
	for _, o := range b.Orders {
		f.orders[o.Loop] = append(f.orders[o.Loop], o.Order)
	}
	for _, r := range b.Raw {
		f.send(-1, r.Peer, r.Bytes, nil)
	}
	for _, peer := range f.leave(-1, b.Frames) {
		c.Step(f.now, control.PeerGone{Peer: peer})
	}
	f.release(broker, b.Released...)
	c.Step(f.now, control.Committed{Position: f.position})
	return true
}

// leave sends frames and returns the peers that are gone.
func (f *fabric) leave(router int, frames []*link.Frame) (gone []protocol.Peer) {
	for _, frame := range frames {
		if peer, records, payloads, ok := frame.Leave(); ok && !f.send(router, peer, records, payloads) {
			gone = append(gone, peer)
		}
		frame.Sent()
	}
	return gone
}

func (f *fabric) send(router int, peer protocol.Peer, records []byte, payloads []protocol.Handle) bool {
	for _, w := range f.wires {
		if w.router == router && w.peer == peer {
			w.down = append(w.down, message{slices.Clone(records), slices.Clone(payloads)})
			return true
		}
	}
	return false
}

// deliver lets up to most messages of a connection reach its dialler.
func (f *fabric) deliver(w *wire, most int) {
	n := min(most, len(w.down))
	got := w.down[:n]
	w.down = w.down[n:]
	for _, m := range got {
		f.retain(w.owner, m.payloads...)
		w.receive(m.records, m.payloads)
	}
}

// serve carries out what a client's engine wants.
func (f *fabric) serve(p *program) (moved bool) {
	if at, ok := p.engine.Deadline(); ok && !f.now.Before(at) {
		p.engine.Tick(f.now)
	}
	var b client.Batch
	if !p.engine.Take(&b) {
		return false
	}
	for _, d := range b.Dials {
		p.wires[d.Conn] = f.dial(p.name, d.Endpoint, func(records []byte, payloads []protocol.Handle) {
			p.engine.Receive(f.now, d.Conn, records, payloads)
		})
	}
	f.retain(p.name, b.Retained...)
	for _, frame := range b.Frames {
		if conn, records, payloads, ok := frame.Leave(); ok {
			w := p.wires[conn]
			w.up = append(w.up, message{slices.Clone(records), slices.Clone(payloads)})
		}
		frame.Sent()
	}
	f.release(p.name, b.Released...)
	for _, conn := range b.Hangups {
		f.hangUp(p.wires[conn])
	}
	b.Unfold()
	for _, s := range b.Said {
		p.heard(f, s)
	}
	for _, c := range b.Completions {
		key := name(c.Session.Number(), c.Task)
		text := string(c.Payload)
		switch {
		case c.Err != nil:
			text = "!" + c.Err.Error()
		case c.Handle != 0:
			text = f.bodies[c.Handle]
		}
		p.answers[key] = append(p.answers[key], text)
		if c.Err == nil {
			p.taken = append(p.taken, c)
		}
	}
	for _, n := range b.Notes {
		if n.Ended {
			p.ended[n.Session] = n.Err == nil
		}
	}
	for _, a := range b.Answers {
		if a.Err != nil {
			f.t.Fatalf("%s: a request was refused: %v", p.name, a.Err)
		}
	}
	if p.greedy {
		p.consume(f, len(p.taken))
	}
	return true
}

func name(session uint32, task protocol.TaskID) string { return fmt.Sprintf("%d/%d", session, task) }

// consume has the application take n results.
func (p *program) consume(f *fabric, n int) {
	for _, c := range p.taken[:min(n, len(p.taken))] {
		f.release(p.name, c.Handle)
		p.engine.Consumed(c.Source, int64(c.Size))
	}
	p.taken = p.taken[min(n, len(p.taken)):]
	p.consumeParts()
}

func (p *program) submit(f *fabric, s *client.Session, size int) {
	body := fmt.Sprintf("%s-%d-", p.name, len(p.want))
	body += strings.Repeat("x", max(0, size-len(body)))
	if !s.Accepting() || !p.engine.Room(s, len(body)) {
		return
	}
	var id protocol.TaskID
	var err error
	if len(body) >= protocol.InlinePayload {
		id, err = p.engine.SubmitHandle(s, f.payload(p.name, body), len(body))
	} else {
		id, err = p.engine.Submit(s, []byte(body))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	p.want[name(s.Number(), id)] = "r:" + body
}

// work carries out what an instance's engine wants.
func (f *fabric) work(w *worker) (moved bool) {
	if w.dead {
		return false
	}
	if at, ok := w.engine.Deadline(); ok && !f.now.Before(at) {
		w.engine.Tick(f.now)
	}
	var b instance.Batch
	w.engine.Take(&b)
	for _, o := range b.Orders {
		if o.Kind != instance.Dial && o.Kind != instance.HangUp {
			continue
		}
		if old := w.wires[o.Line]; old != nil {
			f.hangUp(old)
		}
		w.wires[o.Line] = nil
		if o.Kind == instance.Dial {
			w.wires[o.Line] = f.dial(w.name, o.Endpoint, func(records []byte, payloads []protocol.Handle) {
				w.engine.Receive(f.now, o.Line, records, payloads)
			})
		}
	}
	for _, a := range b.Answers {
		f.memo.answered(f, w, a)
	}
	for line, frames := range b.Frames {
		for _, frame := range frames {
			moved = true
			if _, records, payloads, ok := frame.Leave(); ok {
				w.wires[line].up = append(w.wires[line].up, message{slices.Clone(records), slices.Clone(payloads)})
			}
			frame.Sent()
		}
	}
	f.release(w.name, w.engine.Released(b.Released)...)
	return moved || len(b.Orders) > 0
}

// begin takes hooks that are to run; those of services and sessions are over at once.
func (w *worker) begin(f *fabric) {
	var job instance.Job
	for w.engine.Next(&job) {
		if job.Kind != instance.Exec {
			w.engine.Done(f.now, &job, &instance.Outcome{})
			continue
		}
		w.ran[name(job.Session.Bind.Session, job.ID)]++
		w.jobs = append(w.jobs, job)
	}
}

// finish ends up to n tasks.
func (w *worker) finish(f *fabric, n int) {
	n = min(n, len(w.jobs))
	for _, job := range w.jobs[:n] {
		body := string(job.Payload)
		if job.Handle != 0 {
			body = f.bodies[job.Handle]
			f.release(w.name, job.Handle)
		}
		out := instance.Outcome{Result: []byte("r:" + body)}
		if key := name(job.Session.Bind.Session, job.ID); f.retries && job.ID.Sequence()%7 == 3 && f.retried[key] == 0 {
			f.retried[key]++
			delete(w.said, key) // of an attempt that is over nothing needs to be heard
			out = instance.Outcome{Err: &protocol.Error{Code: protocol.CodeTaskFailed, Retry: 1}}
			w.engine.Done(f.now, &job, &out)
			w.engine.Account(1, time.Millisecond)
			continue
		}
		if len(out.Result) >= protocol.InlinePayload {
			out = instance.Outcome{Handle: f.payload(w.name, "r:"+body), Size: uint32(len(out.Result))}
		}
		w.engine.Done(f.now, &job, &out)
		w.engine.Account(1, time.Millisecond)
	}
	w.jobs = slices.Delete(w.jobs, 0, n)
	w.begin(f)
}

// pump carries everything until nothing moves.
func (f *fabric) pump() {
	for moved := true; moved; {
		moved = false
		for i := -1; i < len(f.loops); i++ {
			moved = f.turn(i, 1000) || moved
		}
		for _, w := range slices.Clone(f.wires) {
			moved = len(w.down) > 0 || moved
			f.deliver(w, len(w.down))
		}
		for _, p := range f.clients {
			moved = f.serve(p) || moved
		}
		for _, w := range f.instances {
			if !w.dead {
				w.begin(f)
				moved = f.work(w) || moved
			}
		}
	}
}

// pass lets time go by with all that is due.
func (f *fabric) pass(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(50 * time.Millisecond)
		f.pump()
	}
}

// describe tells what the fabric is at, for a failing test.
func (f *fabric) describe() string {
	var b strings.Builder
	for i, c := range f.loops {
		fmt.Fprintf(&b, "\nloop %d:%s", i, c.Describe())
	}
	for _, p := range f.clients {
		fmt.Fprintf(&b, "\n%s: %d tasks unfinished, %d results not consumed", p.name, p.engine.Outstanding(), len(p.taken))
		for key := range p.want {
			if len(p.answers[key]) == 0 {
				fmt.Fprintf(&b, " %s", key)
			}
		}
	}
	for _, w := range f.instances {
		fmt.Fprintf(&b, "\n%s: %v, dead %v, %d jobs", w.name, w.engine.State(), w.dead, len(w.jobs))
	}
	return b.String()
}
