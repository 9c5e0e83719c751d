package link

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
)

// world is a dialling process, an accepting process and the network between them: connections that deliver in order,
// break at any time with frames in flight, and deliver late what they had taken.
type world struct {
	t        *rapid.T
	dialler  *process
	acceptor *process
	conns    []*conn // the last is the present one
	epoch    protocol.Epoch
	draws    uint64
}

// conn is one connection. What was sent before it broke may still arrive.
type conn struct {
	peer   protocol.Peer
	broken bool
	lines  [2]line
}

const (
	upward   = 0 // to the acceptor
	downward = 1 // to the dialler
)

type line struct {
	sent []message
	next int // index of what arrives next
}

type message struct {
	records  []byte
	payloads []protocol.Handle
}

// process is one end with its shell.
type process struct {
	node      *Node
	dials     bool
	link      *Link                  // the dialler's; the acceptor's with the present dialler
	links     map[uint64]*Link       // of the acceptor, by incarnation
	peers     map[protocol.Peer]*end // of the acceptor
	held      []*Frame               // gated
	committed uint64
	after     uint64
	frames    map[*Frame]bool // ever taken

	appended uint64
	owing    map[uint64]bool // records that the present other end must get
	void     uint64          // records up to this one were dropped: they must not arrive any more
	handles  map[protocol.Handle]int
	got      map[uint64]*history // by the incarnation of the sender
}

type end struct {
	link        *Link
	incarnation uint64
}

// history is what was received of one sender: the highest number of each class.
type history struct{ last [2]uint64 }

func newWorld(t *rapid.T) *world {
	w := &world{t: t, epoch: protocol.NewEpoch(1, 1)}
	w.dialler, w.acceptor = w.process(true), w.process(false)
	w.connect()
	return w
}

func (w *world) process(dials bool) *process {
	w.draws++
	p := &process{
		node: NewNode(w.epoch, w.draws), dials: dials,
		links: map[uint64]*Link{}, peers: map[protocol.Peer]*end{}, frames: map[*Frame]bool{},
		owing: map[uint64]bool{}, handles: map[protocol.Handle]int{}, got: map[uint64]*history{},
	}
	if dials {
		p.link = p.node.Link()
	}
	return p
}

func (w *world) conn() *conn { return w.conns[len(w.conns)-1] }

func (w *world) connect() {
	w.conns = append(w.conns, &conn{peer: protocol.Peer(len(w.conns) + 1)})
}

// breakUp ends the present connection: of what is in flight in each direction a part still arrives.
func (w *world) breakUp() {
	c := w.conn()
	c.broken = true
	for i := range c.lines {
		l := &c.lines[i]
		l.sent = l.sent[:l.next+rapid.IntRange(0, len(l.sent)-l.next).Draw(w.t, "arrives late")]
	}
	w.connect()
}

// append adds a record, in turn plain, gated or with a payload frame.
func (w *world) append(p *process, how int) {
	l := p.link
	if l == nil {
		return
	}
	p.appended++
	n := p.appended
	p.owing[n] = true
	switch how {
	case 0:
		l.Append(protocol.KindTask, 0, n, fmt.Appendf(nil, "%d", n))
	case 1:
		p.after++
		l.AppendAfter(p.after, protocol.KindTask, 1, n, fmt.Appendf(nil, "%d", n))
	case 2:
		h := protocol.Handle(n)
		p.handles[h] = 1
		l.AppendExternal(protocol.KindTask, 0, n, protocol.InlinePayload, h)
	}
}

// pump is a turn of the shell: what was gated first or last, and sends that may meet a connection that is gone.
func (w *world) pump(p *process, gatedFirst bool) {
	var list []*Frame
	if gatedFirst || p.dials { // a dialler that holds frames back must let them go first: see Node.Take
		w.leave(p, p.takeHeld())
		list = p.node.Take(nil)
	} else {
		list = append(p.takeHeld(), p.node.Take(nil)...)
	}
	w.leave(p, list)
	p.release()
}

// forgot notes that what was appended so far need not, and must not, arrive any more.
func (p *process) forgot() {
	clear(p.owing)
	p.void = p.appended
}

func (p *process) takeHeld() []*Frame {
	held := p.held
	p.held = nil
	return held
}

func (p *process) release() {
	for _, h := range p.node.Released(nil) {
		p.handles[h]--
	}
}

func (w *world) leave(p *process, list []*Frame) {
	for _, f := range list {
		p.frames[f] = true
		if f.After > p.committed {
			p.held = append(p.held, f)
			continue
		}
		if peer, records, payloads, ok := f.Leave(); ok {
			w.send(p, peer, message{append([]byte(nil), records...), append([]protocol.Handle(nil), payloads...)})
		}
		f.Sent()
	}
}

func (w *world) send(p *process, peer protocol.Peer, m message) {
	if p.dials {
		c := w.conn()
		c.lines[upward].sent = append(c.lines[upward].sent, m)
		return
	}
	for _, c := range w.conns {
		if c.peer != peer {
			continue
		}
		if !c.broken {
			c.lines[downward].sent = append(c.lines[downward].sent, m)
		} else if e := p.peers[peer]; e != nil && rapid.Bool().Draw(w.t, "gone is noticed") {
			e.link.Lost()
			delete(p.peers, peer)
		}
		return
	}
}

// deliver lets the next message of a line arrive and says whether there was one.
func (w *world) deliver(c *conn, way int) bool {
	l := &c.lines[way]
	if l.next == len(l.sent) {
		return false
	}
	m := l.sent[l.next]
	l.next++
	w.arrive(c, way, m)
	return true
}

func (w *world) arrive(c *conn, way int, m message) {
	h, rest, err := protocol.ParseHeader(m.records)
	if err != nil {
		w.t.Fatalf("header: %v", err)
	}
	if way == upward {
		w.accept(c, h, rest, m)
	} else {
		w.dial(h, rest, m)
	}
}

// accept is what a broker does with a frame.
func (w *world) accept(c *conn, h protocol.Header, rest []byte, m message) {
	p := w.acceptor
	e := p.peers[c.peer]
	if e != nil && e.incarnation == h.Incarnation {
		switch e.link.Receive(h, len(m.records)) {
		case Fresh:
			w.records(p, h.Incarnation, rest, m.payloads)
			return
		case Gap:
			w.rehello(c)
			return
		case Ignore:
			if first(w.t, rest).Kind != protocol.KindHello {
				return
			}
		}
	}
	rec := first(w.t, rest)
	if rec.Kind != protocol.KindHello {
		w.rehello(c)
		return
	}
	var hello protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
		w.t.Fatal(err)
	}
	l := p.links[h.Incarnation]
	if l == nil {
		l = p.node.Link()
		p.links[h.Incarnation] = l
	}
	if l.Stale(h) {
		return
	}
	if old, ok := l.Peer(); ok {
		delete(p.peers, old)
	}
	p.peers[c.peer] = &end{l, h.Incarnation}
	if !l.Accept(c.peer, h, hello, protocol.Welcome{Version: 1}) && h.Incarnation == w.dialler.node.Incarnation {
		p.forgot()
	}
	if h.Incarnation == w.dialler.node.Incarnation {
		p.link = l
	}
}

func (w *world) rehello(c *conn) {
	if !c.broken {
		c.lines[downward].sent = append(c.lines[downward].sent, message{records: w.acceptor.node.Rehello(nil)})
	}
}

// dial is what a client does with a frame.
func (w *world) dial(h protocol.Header, rest []byte, m message) {
	p := w.dialler
	if h.Sequence.Count() == 0 {
		if first(w.t, rest).Kind != protocol.KindRehello {
			w.t.Fatalf("a bare frame is no REHELLO")
		}
		if p.link.Up() {
			p.link.Greet(protocol.Hello{})
		}
		return
	}
	if !p.link.Up() {
		rec := first(w.t, rest)
		var body protocol.Welcome
		if rec.Kind != protocol.KindWelcome {
			return
		}
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			w.t.Fatal(err)
		}
		if p.link.Opened(h, body) && !body.Resumed {
			p.forgot()
		}
		return
	}
	switch p.link.Receive(h, len(m.records)) {
	case Fresh:
		w.records(p, h.Incarnation, rest, m.payloads)
	case Gap:
		p.link.Greet(protocol.Hello{})
	case Ignore:
	}
}

func (w *world) records(p *process, from uint64, rest []byte, payloads []protocol.Handle) {
	hist := p.got[from]
	if hist == nil {
		hist = &history{}
		p.got[from] = hist
	}
	other := w.dialler
	if p.dials {
		other = w.acceptor
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for {
		ok, err := r.Next(&rec)
		if err != nil {
			w.t.Fatal(err)
		}
		if !ok {
			break
		}
		if rec.Kind != protocol.KindTask {
			w.t.Fatalf("a frame of the conversation has a %v", rec.Kind)
		}
		if rec.Task <= hist.last[rec.Session] {
			w.t.Fatalf("record %d of class %d came after %d", rec.Task, rec.Session, hist.last[rec.Session])
		}
		hist.last[rec.Session] = rec.Task
		if from == other.node.Incarnation && rec.Task <= other.void {
			w.t.Fatalf("record %d was of the conversation before: up to %d they were dropped", rec.Task, other.void)
		}
		if rec.External {
			if len(payloads) == 0 || uint64(payloads[0]) != rec.Task {
				w.t.Fatalf("record %d came with payload frames %v", rec.Task, payloads)
			}
			payloads = payloads[1:]
		} else if string(rec.Payload) != fmt.Sprint(rec.Task) {
			w.t.Fatalf("record %d came with payload %q", rec.Task, rec.Payload)
		}
		if from == other.node.Incarnation {
			delete(other.owing, rec.Task)
		}
	}
	if len(payloads) > 0 {
		w.t.Fatalf("payload frames %v without a record", payloads)
	}
}

func first(t *rapid.T, rest []byte) protocol.Record {
	r := protocol.NewReader(rest)
	var rec protocol.Record
	if _, err := r.Next(&rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

// settle lets the network be whole until nothing moves any more.
func (w *world) settle() {
	for _, p := range []*process{w.dialler, w.acceptor} {
		p.committed = p.after
	}
	for round := range 40 {
		moved := true
		for moved {
			moved = false
			w.pump(w.dialler, true)
			w.pump(w.acceptor, true)
			for _, c := range w.conns {
				for way := range c.lines {
					for w.deliver(c, way) {
						moved = true
					}
				}
			}
		}
		if !w.dialler.link.Up() {
			w.dialler.link.Greet(protocol.Hello{})
			continue
		}
		for _, p := range []*process{w.dialler, w.acceptor} {
			if p.link != nil && round < 39 {
				p.link.Beat(p.dials)
			}
		}
	}
}
