package manager

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// BenchmarkTask is the whole way of a 16-byte task through the core: taken from its client's frame, dispatched,
// answered, sent back. Tasks come and go in frames of 1024.
func BenchmarkTask(b *testing.B) {
	const batch = 1024
	c := New(Config{Epoch: protocol.NewEpoch(5, 0), Incarnation: incarnation, Broker: "b", MaxPayload: 1 << 20, PeerTimeout: protocol.PeerTimeout, QueuedBytes: 64 << 20})
	now := time.Unix(1_800_000_000, 0)
	step := func(o session.Order) { c.Step(now, Event{Kind: EventOrder, Order: o}) }
	step(session.Order{Serve: &session.Serve{Manager: 1, Service: protocol.Service{Name: "svc"}.WithDefaults(), Share: theShare}})
	step(session.Order{Open: &session.Open{Manager: 1, Session: 1, Client: 100, TaskCredit: 65536, ByteCredit: 64 << 20}})
	step(session.Order{Admit: &session.Admit{Manager: 1, Container: "a", Incarnation: 200, Node: "n", Slots: 1, Sessions: 10}})
	cl, in := link.NewNode(c.cfg.Epoch, 100), link.NewNode(c.cfg.Epoch, 200)
	links := [2]*link.Link{cl.Link(), in.Link()}
	ids := make([]uint64, 0, 2*batch)
	payload := make([]byte, 16)
	var out Batch
	pump := func() {
		for k, n := range [2]*link.Node{cl, in} {
			for _, f := range n.Take(nil) {
				if _, records, _, ok := f.Leave(); ok {
					c.Step(now, Event{Kind: EventFrame, Peer: protocol.Peer(k + 1), Records: records})
				}
				f.Sent()
			}
		}
		out.Reset()
		c.Take(&out)
		for _, f := range out.Frames {
			peer, records, _, ok := f.Leave()
			if ok {
				ids = receive(b, links[peer-1], records, ids)
			}
			f.Sent()
		}
	}
	for _, l := range links {
		l.Greet(protocol.Hello{MinVersion: 1, MaxVersion: 1})
	}
	pump()
	pump()
	links[1].Append(protocol.KindBound, 1, 0, nil)
	links[1].Append(protocol.KindExecuted, 1000, 1000, nil)
	pump()
	seq := uint64(0)
	round := func(n int) {
		for range n {
			seq++
			links[0].Append(protocol.KindTask, 1, uint64(protocol.NewTaskID(seq, 1)), payload)
		}
		ids = ids[:0]
		pump()
		if len(ids) != n {
			b.Fatalf("%d of %d tasks were dispatched", len(ids), n)
		}
		for _, id := range ids {
			links[1].Append(protocol.KindResult, 1, id, payload)
		}
		links[1].Append(protocol.KindExecuted, uint32(n), uint64(n)*100, nil)
		pump()
	}
	round(1) // the size of results is known from now on
	b.ReportAllocs()
	b.ResetTimer()
	for seq < uint64(b.N) {
		round(batch)
	}
}

// receive takes a frame on the other side and gathers the ids of dispatched tasks.
func receive(b *testing.B, l *link.Link, frame []byte, ids []uint64) []uint64 {
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
