package link

import (
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

func TestLostWelcome(t *testing.T) {
	p := newPair(t)
	p.append(p.b, 1)
	p.append(p.a, 2)
	for range 3 {
		p.a.Greet(protocol.Hello{})
		h, hello := p.hello()
		p.b.Accept(9, h, hello, protocol.Welcome{Version: 1})
		leave(p.b) // lost with all that follows
	}
	p.a.Greet(protocol.Hello{})
	h, hello := p.hello()
	if !p.b.Accept(9, h, hello, protocol.Welcome{Version: 1}) {
		t.Fatal("not resumed")
	}
	sent := leave(p.b)
	var w protocol.Welcome
	if !p.a.Opened(body(t, sent[0], &w), w) {
		t.Fatal("not opened")
	}
	want(t, "down", p.take(p.a, sent[1:]), 1)
	want(t, "up", p.take(p.b, leave(p.a)), 2)
}

// A dialler that knows an acceptor from before says HELLO to one that has forgotten it, and does not hear the answer. What
// the acceptor has for it is not lost by its next HELLO.
func TestLostWelcomeOfAnAcceptorThatHasForgotten(t *testing.T) {
	p := newPair(t)
	p.append(p.b, 1)
	want(t, "down", p.take(p.a, leave(p.b)), 1)
	forgetful := p.b.node.Link()
	forgetful.Keeps = true
	p.b = forgetful
	p.append(p.b, 2)
	for range 2 {
		p.a.Greet(protocol.Hello{})
		h, hello := p.hello()
		if hello.Peer == 0 || p.b.Accept(9, h, hello, protocol.Welcome{Version: 1}) {
			t.Fatal("resumed what is no more")
		}
		if !p.b.GoesOn() {
			t.Fatal("what was appended is dropped")
		}
		leave(p.b) // lost with all that follows
	}
	p.a.Greet(protocol.Hello{})
	h, hello := p.hello()
	p.b.Accept(9, h, hello, protocol.Welcome{Version: 1})
	sent := leave(p.b)
	var w protocol.Welcome
	if !p.a.Opened(body(t, sent[0], &w), w) || w.Resumed {
		t.Fatal("not opened anew")
	}
	want(t, "down", p.take(p.a, sent[1:]), 2)
}
