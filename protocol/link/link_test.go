package link

import (
	"slices"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// pair is two links with an open conversation, and all that was sent so far taken over.
type pair struct {
	t    testing.TB
	a, b *Link // a dialled
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{t: t, a: NewNode(7, 1).Link(), b: NewNode(7, 2).Link()}
	p.a.Greet(protocol.Hello{})
	p.open(false)
	return p
}

// open carries the HELLO over, and the WELCOME back.
func (p *pair) open(resumed bool) {
	p.t.Helper()
	h, hello := p.hello()
	if got := p.b.Accept(9, h, hello, protocol.Welcome{Version: 1}); got != resumed {
		p.t.Fatalf("accepted: resumed %t, want %t", got, resumed)
	}
	var w protocol.Welcome
	sent := leave(p.b)
	h = body(p.t, sent[0], &w)
	if !p.a.Opened(h, w) {
		p.t.Fatal("not opened")
	}
	p.take(p.a, sent[1:])
}

func (p *pair) hello() (protocol.Header, protocol.Hello) {
	p.t.Helper()
	sent := leave(p.a)
	if len(sent) != 1 {
		p.t.Fatalf("%d frames left, want HELLO alone", len(sent))
	}
	var hello protocol.Hello
	h := body(p.t, sent[0], &hello)
	if h.Sequence.Count() != 1 {
		p.t.Fatalf("HELLO is frame %d", h.Sequence.Count())
	}
	return h, hello
}

func body(t testing.TB, frame []byte, v any) protocol.Header {
	t.Helper()
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		t.Fatal(err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	if ok, err := r.Next(&rec); !ok || err != nil {
		t.Fatal("no record", err)
	}
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, v); err != nil {
		t.Fatal(err)
	}
	return h
}

// leave sends what is ready and returns copies.
func leave(l *Link) [][]byte {
	var sent [][]byte
	for _, f := range l.node.Take(nil) {
		if _, records, _, ok := f.Leave(); ok {
			sent = append(sent, slices.Clone(records))
		}
		f.Sent()
	}
	return sent
}

// take lets l receive frames and returns the task numbers of their records.
func (p *pair) take(l *Link, frames [][]byte) []uint64 {
	p.t.Helper()
	var tasks []uint64
	for _, f := range frames {
		h, rest, err := protocol.ParseHeader(f)
		if err != nil {
			p.t.Fatal(err)
		}
		if v := l.Receive(h, len(f)); v != Fresh {
			p.t.Fatalf("frame %d: verdict %d", h.Sequence.Count(), v)
		}
		r := protocol.NewReader(rest)
		var rec protocol.Record
		for {
			ok, err := r.Next(&rec)
			if err != nil {
				p.t.Fatal(err)
			}
			if !ok {
				break
			}
			tasks = append(tasks, rec.Task)
		}
	}
	return tasks
}

func (p *pair) append(l *Link, tasks ...uint64) {
	for _, n := range tasks {
		l.Append(protocol.KindTask, 1, n, []byte("x"))
	}
}

func want[T comparable](t testing.TB, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func TestRecordsShareAFrame(t *testing.T) {
	p := newPair(t)
	p.append(p.a, 1, 2, 3)
	sent := leave(p.a)
	if len(sent) != 1 {
		t.Fatalf("%d frames", len(sent))
	}
	want(t, "records", p.take(p.b, sent), 1, 2, 3)
}

func TestFramesAreCut(t *testing.T) {
	p := newPair(t)
	big := make([]byte, protocol.InlinePayload-1)
	for n := range uint64(100) {
		p.a.Append(protocol.KindTask, 1, n, big)
	}
	sent := leave(p.a)
	for _, f := range sent {
		if len(f) > protocol.CutFrame+protocol.InlinePayload+protocol.RecordSize(0) {
			t.Errorf("a frame of %d bytes", len(f))
		}
	}
	if got := p.take(p.b, sent); len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("records %v", got)
	}
}

func TestRecordsOfDifferentPositionsShareNoFrame(t *testing.T) {
	p := newPair(t)
	p.a.Append(protocol.KindTask, 1, 1, nil)
	p.a.AppendAfter(5, protocol.KindTask, 1, 2, nil)
	p.a.AppendAfter(5, protocol.KindTask, 1, 3, nil)
	p.a.AppendAfter(6, protocol.KindTask, 1, 4, nil)
	p.a.Append(protocol.KindTask, 1, 5, nil)
	var after []uint64
	for _, f := range p.a.node.Take(nil) {
		after = append(after, f.After)
		f.Leave()
		f.Sent()
	}
	want(t, "positions", after, 0, 5, 6, 0)
}

func TestAcknowledgementIsSentOfItsOwn(t *testing.T) {
	p := newPair(t)
	for n := range uint64(ackFrames) {
		if got := leave(p.b); len(got) != 0 {
			t.Fatalf("after %d frames: an acknowledgement", n)
		}
		p.append(p.a, n)
		p.take(p.b, leave(p.a))
	}
	if p.a.Unacked() != ackFrames {
		t.Fatalf("%d frames are not acknowledged", p.a.Unacked())
	}
	sent := leave(p.b)
	if len(sent) != 1 || len(sent[0]) != protocol.HeaderSize {
		t.Fatalf("%d frames instead of one header", len(sent))
	}
	p.take(p.a, sent)
	if p.a.Unacked() != 0 || p.a.Held() != 0 {
		t.Errorf("%d frames, %d bytes are not acknowledged", p.a.Unacked(), p.a.Held())
	}
	if got := leave(p.a); len(got) != 0 {
		t.Errorf("a header was answered by %d frames", len(got))
	}
}

func TestAcknowledgementByBytes(t *testing.T) {
	p := newPair(t)
	h := protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 2)}
	if v := p.b.Receive(h, ackBytes); v != Fresh {
		t.Fatalf("verdict %d", v)
	}
	if got := leave(p.b); len(got) != 1 {
		t.Errorf("%d frames, want an acknowledgement", len(got))
	}
}

func TestVerdicts(t *testing.T) {
	p := newPair(t)
	for _, c := range []struct {
		name string
		h    protocol.Header
		want Verdict
	}{
		{"a stranger's", protocol.Header{Incarnation: 3, Sequence: protocol.NewStamp(1, 2)}, Ignore},
		{"another conversation's", protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(2, 2)}, Ignore},
		{"the greeting", protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 1)}, Ignore},
		{"one but the next", protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 3)}, Gap},
		{"the next", protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 2)}, Fresh},
		{"the same again", protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 2)}, Ignore},
		{"after the gap", protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 3)}, Fresh},
	} {
		if got := p.b.Receive(c.h, 100); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
	p.b.Lost()
	if got := p.b.Receive(protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1, 4)}, 100); got != Ignore {
		t.Errorf("without a peer: verdict %d", got)
	}
}

func TestBeat(t *testing.T) {
	p := newPair(t)
	beat := func(l *Link, alive bool) int {
		l.Beat(alive)
		n := 0
		for _, f := range leave(l) {
			if len(f) != protocol.HeaderSize {
				t.Fatalf("a beat of %d bytes", len(f))
			}
			n++
		}
		return n
	}
	p.append(p.a, 1)
	leave(p.a) // lost
	var got []int
	for range 5 {
		got = append(got, beat(p.a, false))
	}
	want(t, "with something unfinished", got, 0, 1, 0, 1, 0)
	got = nil
	for range 4 {
		got = append(got, beat(p.b, false))
	}
	want(t, "with nothing unfinished", got, 0, 0, 0, 0)
	want(t, "when it must be heard", []int{beat(p.b, true), beat(p.b, true), beat(p.b, true)}, 1, 0, 1)
	p.b.Lost()
	want(t, "without a peer", []int{beat(p.b, true), beat(p.b, true)}, 0, 0)
}

func TestGreetingTwice(t *testing.T) {
	p := newPair(t)
	p.append(p.a, 1)
	p.a.Greet(protocol.Hello{})
	p.a.Greet(protocol.Hello{}) // before the first left
	p.open(true)
	want(t, "records", p.take(p.b, leave(p.a)), 1)
}

func TestWelcomeIsFirst(t *testing.T) {
	p := newPair(t)
	p.b.AppendAfter(1, protocol.KindTask, 1, 1, nil)
	gated := p.b.node.Take(nil) // the shell holds it
	p.b.AppendAfter(2, protocol.KindTask, 1, 2, nil)
	p.a.Greet(protocol.Hello{})
	h, hello := p.hello()
	p.b.Accept(10, h, hello, protocol.Welcome{Version: 1})
	p.b.Accept(10, h, hello, protocol.Welcome{Version: 1}) // the same HELLO again
	for _, when := range []string{"before Take", "after Take"} {
		var next []*Frame
		if when == "after Take" {
			next = p.b.node.Take(nil)
		}
		for _, f := range gated {
			if _, _, _, ok := f.Leave(); ok {
				t.Fatalf("%s: a frame left before WELCOME", when)
			}
			f.Sent()
		}
		gated = next
	}
	var sent [][]byte
	for _, f := range gated {
		if _, records, _, ok := f.Leave(); ok {
			sent = append(sent, slices.Clone(records))
		}
		f.Sent()
	}
	sent = append(sent, leave(p.b)...)
	var w protocol.Welcome
	if !p.a.Opened(body(t, sent[0], &w), w) || !w.Resumed {
		t.Fatal("WELCOME did not come first")
	}
	want(t, "records", p.take(p.a, sent[1:]), 1, 2)
}

func TestOldGreetingIsStale(t *testing.T) {
	p := newPair(t)
	p.a.conversation, p.b.conversation = 1<<16-1, 1<<16-1
	for _, c := range []struct {
		conversation uint16
		incarnation  uint64
		want         bool
	}{
		{1<<16 - 1, 1, true},
		{1<<16 - 2, 1, true},
		{0, 1, false}, // wrapped around
		{1, 1, false},
		{1 << 15, 1, false}, // a day of greetings later
		{1<<16 - 2, 3, false},
	} {
		h := protocol.Header{Incarnation: c.incarnation, Sequence: protocol.NewStamp(c.conversation, 1)}
		if got := p.b.Stale(h); got != c.want {
			t.Errorf("conversation %d of %d: stale %t", c.conversation, c.incarnation, got)
		}
	}
	p.append(p.b, 1)
	p.b.Accept(11, protocol.Header{Incarnation: 1, Sequence: protocol.NewStamp(1<<16-2, 1)}, protocol.Hello{}, protocol.Welcome{})
	if peer, ok := p.b.Peer(); !ok || peer != 9 {
		t.Errorf("the link went over to peer %d", peer)
	}
}

func TestRestartResumesNothing(t *testing.T) {
	p := newPair(t)
	p.append(p.a, 1)
	p.a.Restart()
	if p.a.Unacked() != 0 || p.a.Other() != 0 || p.a.Up() {
		t.Fatal("something of the other end is left")
	}
	p.a.Greet(protocol.Hello{})
	p.open(false)
	p.append(p.a, 2)
	want(t, "records", p.take(p.b, leave(p.a)), 2)
}

func TestClose(t *testing.T) {
	p := newPair(t)
	n := p.a.node
	p.a.AppendExternal(protocol.KindTask, 1, 1, 9000, 51)
	sent := n.Take(nil)
	sent[0].Leave()
	sent[0].Sent()
	p.a.AppendAfter(3, protocol.KindTask, 1, 2, nil)
	gated := n.Take(nil)
	p.a.AppendExternal(protocol.KindTask, 1, 3, 9000, 52)
	p.a.Close()
	p.a.AppendExternal(protocol.KindTask, 1, 4, 9000, 53)
	p.a.AppendDispatchExternal(1, 5, 9000, 54, &protocol.Execution{ID: 1, Attempt: 1})
	if f, off := p.a.Append(protocol.KindTask, 1, 6, []byte("seen")); string(f.At(off, 4)) != "seen" {
		t.Error("what is appended to a closed link cannot be read")
	}
	for _, f := range gated {
		if _, _, _, ok := f.Leave(); ok {
			t.Error("a frame left a closed link")
		}
		f.Sent()
	}
	got := n.Released(nil)
	slices.Sort(got)
	want(t, "released", got, 51, 52, 53, 54)
	if len(n.Take(nil)) != 0 {
		t.Error("a closed link has frames to send")
	}
	p.a.Greet(protocol.Hello{})
	p.a.Beat(true)
	p.a.Restart()
	if p.b.Accept(1, protocol.Header{}, protocol.Hello{}, protocol.Welcome{}) || len(n.Take(nil)) != 0 {
		t.Error("a closed link speaks")
	}
}

// The last frame acknowledges what came, also when it overtakes what was to leave before it.
func TestFarewell(t *testing.T) {
	p := newPair(t)
	p.append(p.b, 1)
	p.take(p.a, leave(p.b))
	p.append(p.a, 2)
	if n := p.b.Unacked(); n != 1 {
		t.Fatalf("%d not acknowledged, want 1", n)
	}
	last := p.a.Farewell([]byte("x"))[1:]
	p.a.Close()
	p.take(p.b, [][]byte{last})
	if n := p.b.Unacked(); n != 0 {
		t.Errorf("%d not acknowledged after a farewell", n)
	}
}

func TestHeldFrame(t *testing.T) {
	p := newPair(t)
	f, off := p.a.Append(protocol.KindTask, 1, 1, []byte("kept"))
	f.Hold()
	p.take(p.b, leave(p.a))
	p.append(p.b, 2)
	p.take(p.a, leave(p.b))
	if p.a.Held() != 0 || p.a.Unacked() != 0 {
		t.Errorf("%d bytes in %d frames are not acknowledged", p.a.Held(), p.a.Unacked())
	}
	for range 300 {
		p.append(p.a, 3)
		leave(p.a)
	}
	if string(f.At(off, 4)) != "kept" || f.Size() == 0 {
		t.Errorf("the frame changed while it was held: %q", f.At(off, 4))
	}
	f.Drop()
}

func TestRetainAndRelease(t *testing.T) {
	n := NewNode(1, 1)
	n.Release(0)
	n.Release(n.Retain(5))
	want(t, "retained", n.Retained(nil), 5)
	want(t, "released", n.Released(nil), 5)
	want(t, "retained again", n.Retained(nil))
	want(t, "released again", n.Released(nil))
}

func TestRehelloIsBare(t *testing.T) {
	h, rest, err := protocol.ParseHeader(NewNode(7, 5).Rehello(nil))
	if err != nil || h.Sequence != 0 || h.Incarnation != 5 || h.Epoch != 7 {
		t.Fatalf("header %+v, %v", h, err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	if ok, err := r.Next(&rec); !ok || err != nil || rec.Kind != protocol.KindRehello {
		t.Fatalf("%v %v", rec, err)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	p := newPair(t)
	turn := p.turner()
	turn()
	if n := testing.AllocsPerRun(200, turn); n != 0 {
		t.Errorf("%v allocations for a frame of tasks and its answer", n)
	}
}

// turner makes a function that sends 16 records over and 16 back.
func (p *pair) turner() func() {
	payload := []byte("sixteen bytes ..")
	var frames []*Frame
	var rec protocol.Record
	move := func(from, to *Link) {
		for n := range uint64(16) {
			from.Append(protocol.KindTask, 1, n, payload)
		}
		frames = from.node.Take(frames[:0])
		for _, f := range frames {
			_, records, _, ok := f.Leave()
			if !ok {
				p.t.Fatal("no peer")
			}
			h, rest, err := protocol.ParseHeader(records)
			if err != nil || to.Receive(h, len(records)) != Fresh {
				p.t.Fatal("not taken", err)
			}
			r := protocol.NewReader(rest)
			for ok, err := r.Next(&rec); ok || err != nil; ok, err = r.Next(&rec) {
				if err != nil {
					p.t.Fatal(err)
				}
			}
			f.Sent()
		}
	}
	return func() {
		move(p.a, p.b)
		move(p.b, p.a)
	}
}

// BenchmarkTurn is 16 records over and 16 back: appended, stamped, received, read, acknowledged.
func BenchmarkTurn(b *testing.B) {
	turn := newPair(b).turner()
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
}

func BenchmarkAppend(b *testing.B) {
	l := NewNode(1, 1).Link()
	payload := []byte("sixteen bytes ..")
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		l.Append(protocol.KindTask, 1, n, payload)
		if n%1000 == 999 {
			l.forget()
		}
	}
}

// A broker that answers a HELLO before it has left is lying, and must not keep the dialler busy for ever.
func TestWelcomeBeforeHelloLeft(t *testing.T) {
	n := NewNode(protocol.NewEpoch(1, 0), 7)
	l := n.Link()
	l.Greet(protocol.Hello{})
	frames := n.Take(nil)
	h := protocol.Header{Incarnation: 9, Sequence: protocol.NewStamp(1, 1)}
	if !l.Opened(h, protocol.Welcome{}) {
		t.Fatal("the answer to the greeting was refused")
	}
	for _, f := range frames {
		if _, _, _, ok := f.Leave(); ok {
			t.Fatal("a greeting left after it was answered")
		}
		f.Sent()
	}
	l.Append(protocol.KindTask, 1, 1, nil)
	left := 0
	for range 10 {
		for _, f := range n.Take(nil) {
			if _, _, _, ok := f.Leave(); ok {
				left++
			}
			f.Sent()
		}
	}
	if left != 1 {
		t.Fatalf("%d frames left, want the one with the task", left)
	}
}

// A frame can have come when it has left and was not found missing since.
func TestLeft(t *testing.T) {
	p := newPair(t)
	p.b.Append(protocol.KindDispatch, 1, 1, nil)
	name := Last(p.b)
	want := func(when string, left bool) {
		t.Helper()
		if got := name.Left(); got != left {
			t.Errorf("%s: left %t, want %t", when, got, left)
		}
	}
	want("when it is being filled", false)
	leave(p.b)
	want("when it has left", true)
	p.b.Lost()
	want("when the connection is gone", true)
	p.a.Greet(protocol.Hello{})
	h, hello := p.hello()
	p.b.Accept(9, h, hello, protocol.Welcome{Version: 1})
	want("when it was found missing", false)
	leave(p.b)
	want("when it has left again", true)
	p.b.Append(protocol.KindDispatch, 1, 2, nil)
	name = Last(p.b)
	for _, f := range p.b.node.Take(nil) {
		f.Leave()
		f.Unsent()
		f.Sent()
	}
	want("when there was no connection", false)
	p.b.Lost()
	p.b.Append(protocol.KindDispatch, 1, 3, nil)
	name = Last(p.b)
	p.b.cut()
	want("when it cannot leave", false)
}

// Who waits for less does not wait for the others.
func TestReady(t *testing.T) {
	l := NewNode(7, 1).Link()
	var waiting []*Frame
	for _, after := range []uint64{4, 2, 6, 2, 4} {
		waiting = append(waiting, l.node.frame(l, 0))
		waiting[len(waiting)-1].After = after
	}
	all := slices.Clone(waiting)
	for _, step := range []struct {
		committed uint64
		ready     []*Frame
	}{{1, nil}, {3, []*Frame{all[1], all[3]}}, {4, []*Frame{all[0], all[4]}}, {9, []*Frame{all[2]}}, {10, nil}} {
		var ready []*Frame
		if ready, waiting = Ready(waiting, step.committed); !slices.Equal(ready, step.ready) {
			t.Fatalf("%d frames may leave at %d", len(ready), step.committed)
		}
	}
	if len(waiting) != 0 {
		t.Fatalf("%d frames wait", len(waiting))
	}
}
