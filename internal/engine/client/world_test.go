package client

import (
	"bytes"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
)

// world is an engine, a broker, and the network between them, in simulated time.
type world struct {
	t      rapid.TB
	now    time.Time
	e      *Engine
	broker *modelBroker
	lines  []*wire
	peers  protocol.Peer

	refs     map[protocol.Handle]int
	contents map[protocol.Handle][]byte
	handles  protocol.Handle

	done    map[*Session]map[protocol.TaskID]Completion
	order   []Completion
	notes   []Note
	answers []Answer
	said    []Said
	stopped map[uint32]bool // slots of Stopped
	early   map[uint32]bool // slots whose completion was early, and that have not stopped
	redials int
}

// wire is one connection. What is on it is lost when it is cut; it is there again at once.
type wire struct {
	id       uint32
	endpoint string
	peer     protocol.Peer
	out, in  []message
	dead     bool // nobody is at the other end
	refused  bool // a frame was not taken since it is dead
	mute     bool // it is a connection to nobody, until it is made anew
}

func newWorld(t rapid.TB) *world {
	w := &world{
		t: t, now: testStart, broker: newModelBroker(t, protocol.NewEpoch(7, 1), 99),
		refs: map[protocol.Handle]int{}, contents: map[protocol.Handle][]byte{},
		done: map[*Session]map[protocol.TaskID]Completion{}, stopped: map[uint32]bool{}, early: map[uint32]bool{},
	}
	w.e = New(Config{Endpoints: []string{"control"}, Incarnation: 42, Seed: 1, ResultCredit: 8 << 10})
	w.e.Start(w.now)
	return w
}

// newPeer gives a number by which the broker knows the router too.
func (w *world) newPeer(endpoint string) protocol.Peer {
	w.peers += 3
	return w.peers + map[string]protocol.Peer{"control": 0, "loop-0": 1, "loop-1": 2}[endpoint]
}

// pump carries out what the engine wants.
func (w *world) pump() {
	for {
		var b Batch
		if !w.e.Take(&b) {
			return
		}
		for _, h := range b.Retained {
			w.ref(h, 1)
		}
		for _, d := range b.Dials {
			w.lines = append(w.lines, &wire{id: d.Conn, endpoint: d.Endpoint, peer: w.newPeer(d.Endpoint)})
		}
		for _, id := range b.Redials {
			w.redials++
			w.cut(w.line(id))
			w.line(id).mute = false
		}
		failed := map[uint32]bool{}
		for _, f := range b.Frames {
			conn, records, handles, ok := f.Leave()
			if ok && !failed[conn] {
				l := w.line(conn)
				switch {
				case l != nil && l.mute:
				case l == nil:
					w.t.Fatalf("a frame for connection %d, which is not there", conn)
				case l.dead:
					failed[conn], l.refused = true, true
				default:
					m := message{peer: l.peer, records: bytes.Clone(records)}
					for _, h := range handles {
						w.ref(h, 0)
						m.payloads = append(m.payloads, w.contents[h])
					}
					l.out = append(l.out, m)
				}
			}
			f.Sent()
		}
		for _, l := range w.lines {
			if failed[l.id] {
				w.e.Unsent(w.now, l.id)
			}
		}
		for _, h := range b.Released {
			w.ref(h, -1)
		}
		for _, id := range b.Hangups {
			for i, l := range w.lines {
				if l.id == id {
					w.lines = append(w.lines[:i], w.lines[i+1:]...)
					break
				}
			}
		}
		w.collect(&b)
	}
}

func (w *world) collect(b *Batch) {
	b.Unfold()
	w.said = append(w.said, b.Said...)
	for _, c := range b.Completions {
		if w.done[c.Session] == nil {
			w.done[c.Session] = map[protocol.TaskID]Completion{}
		}
		if _, twice := w.done[c.Session][c.Task]; twice && c.Task.Sequence() > 0 {
			w.t.Fatalf("task %v of session %d finished twice", c.Task, c.Session.Number())
		}
		if c.Handle != 0 {
			c.Payload = w.contents[c.Handle]
			w.ref(c.Handle, -1)
		}
		w.done[c.Session][c.Task] = c
		w.order = append(w.order, c)
	}
	for _, c := range b.Completions {
		if c.Early {
			w.early[c.Task.Slot()] = true
		}
	}
	for _, at := range b.Stopped {
		if !w.early[at] {
			w.t.Fatalf("slot %d stopped, but its completion was not early", at)
		}
		delete(w.early, at)
		w.stopped[at] = true
	}
	w.notes = append(w.notes, b.Notes...)
	w.answers = append(w.answers, b.Answers...)
}

func (w *world) line(id uint32) *wire {
	for _, l := range w.lines {
		if l.id == id {
			return l
		}
	}
	return nil
}

// ref changes the references of a payload, which must be there.
func (w *world) ref(h protocol.Handle, n int) {
	if w.refs[h] <= 0 {
		w.t.Fatalf("payload %d is used after its last reference", h)
	}
	if w.refs[h] += n; w.refs[h] == 0 {
		delete(w.refs, h)
		delete(w.contents, h)
	}
}

func (w *world) payload(b []byte) protocol.Handle {
	w.handles++
	w.refs[w.handles], w.contents[w.handles] = 1, bytes.Clone(b)
	return w.handles
}

// up carries the oldest message of a wire to the broker, down the oldest to the engine.
func (w *world) up(l *wire) {
	m := l.out[0]
	l.out = l.out[1:]
	w.broker.routers[l.endpoint].receive(m)
	w.route()
}

func (w *world) down(l *wire) {
	m := l.in[0]
	l.in = l.in[1:]
	var handles []protocol.Handle
	for _, p := range m.payloads {
		handles = append(handles, w.payload(p))
	}
	w.e.Receive(w.now, l.id, m.records, handles)
	w.pump()
}

// route puts what the broker sent onto the wires. What is for a connection that is gone is lost.
func (w *world) route() {
	for _, name := range []string{"control", "loop-0", "loop-1"} {
		r := w.broker.routers[name]
		for _, m := range r.out {
			for _, l := range w.lines {
				if l.peer == m.peer && !l.dead && !l.mute {
					l.in = append(l.in, m)
				}
			}
		}
		r.out = nil
	}
}

// cut breaks a connection; it is made again at once.
func (w *world) cut(l *wire) {
	l.out, l.in = nil, nil
	l.peer = w.newPeer(l.endpoint)
}

// kill makes the other end of a connection vanish, revive brings it back.
func (w *world) kill(l *wire) {
	w.cut(l)
	l.dead = true
}

func (w *world) revive(l *wire) {
	l.dead = false
	if l.refused {
		l.refused = false
		w.e.Reachable(w.now, l.id)
		w.pump()
	}
}

// restart puts a new broker in the place of the old one, which forgot everything.
func (w *world) restart() { w.restartIn(protocol.NewEpoch(w.broker.node.Epoch.Counter()+1, 1)) }

// forget has the broker give all its clients up: it knows nothing of their sessions, and opens them under other numbers.
func (w *world) forget() {
	last := w.broker.last
	w.restartIn(w.broker.node.Epoch)
	w.broker.last = last
}

func (w *world) restartIn(epoch protocol.Epoch) {
	old := w.broker
	w.broker = newModelBroker(w.t, epoch, old.node.Incarnation+1)
	w.broker.credits, w.broker.refuse, w.broker.late = old.credits, old.refuse, old.late
	for _, l := range w.lines {
		w.cut(l)
	}
}

// step lets d pass.
func (w *world) step(d time.Duration) {
	w.now = w.now.Add(d)
	if at, ok := w.e.Deadline(); ok && !w.now.Before(at) {
		w.e.Tick(w.now)
	}
	w.pump()
}

// settle carries everything until nothing is on the way.
func (w *world) settle() {
	w.pump()
	w.route()
	for {
		moved := false
		for i := 0; i < len(w.lines); i++ {
			l := w.lines[i]
			for len(l.out) > 0 {
				w.up(l)
				moved = true
			}
			if err := Verify(w.e); err != nil {
				w.t.Fatal(err)
			}
			for len(l.in) > 0 {
				w.down(l)
				moved = true
			}
		}
		if !moved {
			return
		}
	}
}

// run lets time pass, with everything carried at once.
func (w *world) run(d time.Duration) {
	for until := w.now.Add(d); w.now.Before(until); {
		w.step(100 * time.Millisecond)
		w.broker.beat()
		w.route()
		w.settle()
	}
}

// open opens a session and expects it to be open.
func (w *world) open() *Session {
	w.t.Helper()
	s := w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0)
	w.settle()
	if !s.Accepting() {
		w.t.Fatalf("the session is not open: %+v", w.notes)
	}
	return s
}

func (w *world) submit(s *Session, payload []byte) protocol.TaskID {
	w.t.Helper()
	var (
		id  protocol.TaskID
		err error
	)
	if len(payload) >= protocol.InlinePayload {
		id, err = w.e.SubmitHandle(s, w.payload(payload), len(payload))
	} else {
		id, err = w.e.Submit(s, payload)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.pump()
	return id
}

// start submits a task with options.
func (w *world) start(s *Session, task Task) Ref {
	w.t.Helper()
	if len(task.Payload) >= protocol.InlinePayload {
		task.Handle, task.Size, task.Payload = w.payload(task.Payload), len(task.Payload), nil
	}
	r, err := s.Start(w.now, &task)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pump()
	return r
}

// answerAll answers what the broker has, and carries it.
func (w *world) answerAll() {
	w.settle()
	for _, n := range w.numbers() {
		s := w.broker.sessions[n]
		for len(s.queue) > 0 {
			w.broker.answer(s, 0, false)
		}
	}
	w.route()
	w.settle()
}

// numbers gives the broker's sessions in order.
func (w *world) numbers() []protocol.SessionNumber {
	var all []protocol.SessionNumber
	for n := protocol.SessionNumber(1); n <= w.broker.last; n++ {
		if w.broker.sessions[n] != nil {
			all = append(all, n)
		}
	}
	return all
}

func (w *world) expect(s *Session, id protocol.TaskID, payload []byte) {
	w.t.Helper()
	c, ok := w.done[s][id]
	if !ok || c.Err != nil || !bytes.Equal(c.Payload, payload) {
		w.t.Fatalf("task %v: finished %t with %d bytes, error %v; want its %d bytes", id, ok, len(c.Payload), c.Err, len(payload))
	}
}

// dump says how things stand, for a failure.
func (w *world) dump() string {
	out := ""
	for _, s := range w.e.sessions {
		at := "parked"
		if s.conn != nil {
			at = s.conn.endpoint
		}
		out += fmt.Sprintf("session %d at %s tasks %d first %d\n", s.number, at, s.tasks, s.first)
	}
	for _, c := range w.e.conns {
		out += fmt.Sprintf("conn %d %s phase %d unacked %d\n", c.id, c.endpoint, c.phase, c.link.Unacked())
	}
	for _, n := range w.numbers() {
		s := w.broker.sessions[n]
		out += fmt.Sprintf("broker %d at %s queue %d done %d seen %v\n", n, s.at, len(s.queue), len(s.done), s.seen)
	}
	for n, r := range w.broker.routers {
		for _, e := range r.ends {
			_, up := e.link.Peer()
			out += fmt.Sprintf("end at %s up %t unacked %d\n", n, up, e.link.Unacked())
		}
	}
	return out
}
