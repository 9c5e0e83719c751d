package manager

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// plainPath is a core with a client and an instance, which stand for real ones: plain tasks of 16 bytes go through it in
// frames.
type plainPath struct {
	t     testing.TB
	core  *Core
	now   time.Time
	nodes [2]*link.Node // client, instance
	links [2]*link.Link
	seq   uint64
	ids   []uint64 // of tasks that the instance was given
	body  []byte
	out   Batch
	sent  []*link.Frame
}

func newPlainPath(t testing.TB) *plainPath {
	c := New(Config{Epoch: protocol.NewEpoch(5, 0), Incarnation: incarnation, Broker: "b", MaxPayload: 1 << 20, PeerTimeout: protocol.PeerTimeout, QueuedBytes: 64 << 20})
	p := &plainPath{t: t, core: c, now: time.Unix(1_800_000_000, 0), body: make([]byte, 16)}
	step := func(o session.Order) { c.Step(p.now, Event{Kind: EventOrder, Order: o}) }
	step(session.Order{Serve: &session.Serve{Manager: 1, Service: protocol.Service{Name: "svc"}.WithDefaults(), Share: theShare}})
	step(session.Order{Open: &session.Open{Manager: 1, Session: 1, Client: 100, TaskCredit: 65536, ByteCredit: 64 << 20}})
	step(session.Order{Admit: &session.Admit{Manager: 1, Container: "a", Incarnation: 200, Node: "n", Slots: 1, Sessions: 10}})
	for k, inc := range [2]uint64{100, 200} {
		p.nodes[k] = link.NewNode(c.cfg.Epoch, inc)
		p.links[k] = p.nodes[k].Link()
		p.links[k].Greet(protocol.Hello{MinVersion: 1, MaxVersion: 1})
	}
	p.pump()
	p.pump()
	p.links[1].Append(protocol.KindBound, 1, 0, nil)
	p.links[1].Append(protocol.KindExecuted, 1000, 1000, nil)
	p.pump()
	p.round(1) // the size of results is known from now on
	return p
}

// pump takes what both sides have said through the core, and what it says to them.
func (p *plainPath) pump() {
	for k, n := range p.nodes {
		p.sent = n.Take(p.sent[:0])
		for _, f := range p.sent {
			if _, records, _, ok := f.Leave(); ok {
				p.core.Step(p.now, Event{Kind: EventFrame, Peer: protocol.Peer(k + 1), Records: records})
			}
			f.Sent()
		}
	}
	p.out.Reset()
	p.core.Take(&p.out)
	for _, f := range p.out.Frames {
		peer, records, _, ok := f.Leave()
		if ok {
			p.ids = receive(p.t, p.links[peer-1], records, p.ids)
		}
		f.Sent()
	}
}

// round has n tasks done.
func (p *plainPath) round(n int) {
	run := link.NewRun(p.links[0], protocol.KindTask, 1)
	for range n {
		p.seq++
		run.Add(uint64(protocol.NewTaskID(p.seq, 1)), p.body)
	}
	run.End()
	p.ids = p.ids[:0]
	p.pump()
	if len(p.ids) != n {
		p.t.Fatalf("%d of %d tasks were dispatched", len(p.ids), n)
	}
	run = link.NewRun(p.links[1], protocol.KindResult, 1)
	for _, id := range p.ids {
		run.Add(id, p.body)
	}
	run.End()
	p.links[1].Append(protocol.KindExecuted, uint32(n), uint64(n)*100, nil)
	p.pump()
}

// BenchmarkTask is the whole way of a 16-byte task through the core: taken from its client's frame, dispatched,
// answered, sent back. Tasks come and go in frames of 1024.
func BenchmarkTask(b *testing.B) {
	const batch = 1024
	p := newPlainPath(b)
	b.ReportAllocs()
	b.ResetTimer()
	for p.seq < uint64(b.N) {
		p.round(batch)
	}
}

// receive takes a frame on the other side and gathers the ids of dispatched tasks.
func receive(b testing.TB, l *link.Link, frame []byte, ids []uint64) []uint64 {
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		b.Fatal(err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for first := true; ; first = false {
		ok, err := r.Next(&rec)
		if err != nil {
			b.Fatal(err)
		}
		if first {
			if ok && rec.Kind == protocol.KindWelcome {
				var body protocol.Welcome
				if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
					b.Fatal(err)
				}
				l.Opened(h, body)
			} else {
				l.Receive(h, len(frame))
			}
		}
		if !ok {
			return ids
		}
		if rec.Kind == protocol.KindDispatch {
			ids = append(ids, rec.Task)
		}
	}
}
