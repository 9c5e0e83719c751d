package link

import (
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// TestForgottenAndNotTold: the acceptor has forgotten the dialler, and the WELCOME that says so is lost. The dialler, which still
// believes in the conversation before, must be told by the next one.
func TestForgottenAndNotTold(t *testing.T) {
	for name, heard := range map[string]bool{"nothing was heard before": false, "frames were heard before": true} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			if heard {
				p.b.Append(protocol.KindDone, 0, 1, nil)
				p.take(p.a, leave(p.b))
			}
			p.a.Append(protocol.KindTask, 1, 1, []byte("x"))
			p.b = NewNode(7, 2).Link() // the same process: it gave the dialler up
			p.a.Lost()
			p.a.Greet(protocol.Hello{})
			h, hello := p.hello()
			if p.b.Accept(9, h, hello, protocol.Welcome{Version: 1}) {
				t.Fatal("the acceptor resumes what it does not remember")
			}
			leave(p.b) // is lost

			p.a.Lost()
			p.a.Greet(protocol.Hello{})
			p.open(false)

			// From now on they agree, and what follows is resumed.
			p.a.Lost()
			p.a.Greet(protocol.Hello{})
			p.open(true)
		})
	}
}

// TestKeeps: what was appended for a dialler that has not heard WELCOME is there when it says HELLO again, if the acceptor
// wishes so; once the dialler has said more, a first HELLO is one of somebody who has forgotten.
func TestKeeps(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		a, b := NewNode(7, 1).Link(), NewNode(7, 2).Link()
		p := &pair{t: t, a: a, b: b}
		b.Keeps = keeps
		p.append(b, 1) // before there was any conversation
		a.Greet(protocol.Hello{})
		h, hello := p.hello()
		b.Accept(9, h, hello, protocol.Welcome{Version: 1})
		p.append(b, 2)
		leave(b) // is lost with the WELCOME
		a.Lost()
		a.Greet(protocol.Hello{})
		h, hello = p.hello()
		if b.Accept(10, h, hello, protocol.Welcome{Version: 1}) || b.GoesOn() != keeps {
			t.Fatalf("keeps %v: goes on: %v", keeps, b.GoesOn())
		}
		var w protocol.Welcome
		sent := leave(b)
		if !a.Opened(body(t, sent[0], &w), w) {
			t.Fatal("not opened")
		}
		var all []uint64
		if keeps {
			all = []uint64{1, 2}
		}
		want(t, "down", p.take(a, sent[1:]), all...)

		p.append(a, 3)
		want(t, "up", p.take(b, leave(a)), 3)
		p.append(b, 4)
		a.Restart()
		a.Greet(protocol.Hello{})
		h, hello = p.hello()
		if b.Accept(11, h, hello, protocol.Welcome{Version: 1}) || b.GoesOn() {
			t.Error("what was for a dialler that has forgotten is kept")
		}
	}
}

// TestLateHelloOfAnotherLink: a process has closed a link and dialled again; the HELLO of the first comes last.
func TestLateHelloOfAnotherLink(t *testing.T) {
	n, b := NewNode(7, 1), NewNode(7, 2).Link()
	old := n.Link()
	for range 5 {
		old.Greet(protocol.Hello{})
	}
	p := &pair{t: t, a: old, b: b}
	late, hello := p.hello()
	old.Close()
	p.a = n.Link()
	p.a.Greet(protocol.Hello{})
	p.open(false)
	if !b.Stale(late) {
		t.Error("the HELLO of a link that was closed is taken for a new one")
	}
	b.Accept(10, late, hello, protocol.Welcome{Version: 1})
	p.append(b, 1)
	want(t, "down", p.take(p.a, leave(b)), 1)
}
