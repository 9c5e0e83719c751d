package link

import (
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

func TestWhatWasSaidBeforeTheFirstHello(t *testing.T) {
	p := &pair{t: t, a: NewNode(7, 1).Link(), b: NewNode(7, 2).Link()}
	p.b.Append(protocol.KindResult, 1, 1, []byte("early"))
	p.a.Greet(protocol.Hello{})
	h, hello := p.hello()
	if p.b.Accept(9, h, hello, protocol.Welcome{Version: 1}) {
		t.Fatal("the first conversation resumes one before")
	}
	var w protocol.Welcome
	sent := leave(p.b)
	if !p.a.Opened(body(t, sent[0], &w), w) || w.Resumed || len(sent) != 2 {
		t.Fatalf("%d frames, resumed %t; want WELCOME, not resumed, and what was appended before", len(sent), w.Resumed)
	}
	p.take(p.a, sent[1:])
	if n := p.b.Unacked(); n != 1 {
		t.Fatalf("%d frames are kept until they are acknowledged, want 1", n)
	}
}

func TestMovedLinkGoesOn(t *testing.T) {
	p := newPair(t)
	p.a.Append(protocol.KindTask, 1, 1, []byte("lost"))
	p.b.Append(protocol.KindResult, 1, 1, []byte("kept"))
	leave(p.b) // on its way when the connection is given up
	p.b.Append(protocol.KindResult, 1, 2, []byte("queued"))
	from := p.b.node
	has := from.Kept()
	from.Detach(p.b)
	to := NewNode(7, 2)
	to.Attach(p.b)
	if from.Kept() != 0 || to.Kept() != has || has < int64(len("kept")) {
		t.Errorf("of %d bytes %d stay and %d move", has, from.Kept(), to.Kept())
	}
	p.b.Append(protocol.KindResult, 1, 3, []byte("new"))
	if got := from.Take(nil); len(got) != 0 {
		t.Fatalf("%d frames leave where the link was", len(got))
	}
	leave(p.a)
	p.a.Greet(protocol.Hello{})
	h, hello := p.hello()
	if !p.b.Accept(4, h, hello, protocol.Welcome{Version: 1}) {
		t.Fatal("not resumed")
	}
	var w protocol.Welcome
	sent := leave(p.b)
	if len(sent) < 3 || !p.a.Opened(body(t, sent[0], &w), w) || !w.Resumed {
		t.Fatalf("%d frames, resumed %t; want WELCOME and what was not acknowledged", len(sent), w.Resumed)
	}
	p.take(p.a, sent[1:])
	p.take(p.b, leave(p.a))
	p.a.Beat(true)
	p.a.Beat(true)
	p.take(p.b, leave(p.a))
	if to.Kept() != 0 || from.Kept() != 0 {
		t.Errorf("%d and %d bytes are kept when all was acknowledged", to.Kept(), from.Kept())
	}
	if p.a.Unacked()+p.b.Unacked() > 1 || p.b.Held() != 0 {
		t.Fatalf("%d and %d frames, %d bytes are not acknowledged", p.a.Unacked(), p.b.Unacked(), p.b.Held())
	}
}
