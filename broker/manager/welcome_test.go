package manager

import (
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// arrive puts a task into a session whose client has not said HELLO to this loop: it came with a manager that moved.
func (w *world) arrive(number uint32, seq uint64, payload string) {
	s := w.core.sessions[number]
	buf := w.core.buffers.copyOf([]byte(payload), w.core.now)
	s.client.task(&protocol.Record{
		Kind: protocol.KindTask, Session: number, Task: uint64(protocol.NewTaskID(seq, uint32(seq))), Size: uint32(len(payload)),
	}, buf, 0, 0)
	w.core.buffers.drop(buf, 0)
	w.settle()
}

// reconnect has a party greet by a connection of its own.
func (p *party) reconnect() {
	delete(p.w.parties, p.peer)
	p.w.nextPeer++
	p.peer, p.dead = p.w.nextPeer, false
	p.w.parties[p.peer] = p
	p.link.Lost()
	p.link.Greet(p.hello)
	p.w.settle()
}

// A client that follows its session to another loop may have results there before it has heard WELCOME. When that is lost
// with them, its next HELLO, the first one once more, must bring them: they are not said twice.
func TestResultsOutliveALostWelcome(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.open(100, 1)
	i := w.instance("i", 200, nil)
	w.arrive(1, 1, "x")
	c := w.party("client-100", 100, protocol.Hello{Role: protocol.RoleClient, ResultCredit: 2})
	c.link.Greet(c.hello)
	c.flush()
	c.dead = true
	w.settle() // WELCOME is lost
	i.run(1)
	w.settle() // and so is the result
	c.reconnect()
	c.want(t, 1, "r:x")
	c.submit(1, 1, "x") // it is told that nothing was resumed
	w.settle()
	if n := len(i.tasks); n != 0 {
		t.Errorf("%d tasks are executed again", n)
	}
	c.want(t, 1, "r:x")
	c.submit(1, 2, "y")
	w.settle()
	i.run(1)
	w.settle()
	c.want(t, 2, "r:y")
}

// A client whose word makes room for results has its tasks dispatched.
func TestCreditOfHelloCounts(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.open(100, 1)
	i := w.instance("i", 200, nil)
	c := w.party("client-100", 100, protocol.Hello{Role: protocol.RoleClient, ResultCredit: 2})
	c.keeps = true
	c.link.Greet(c.hello)
	w.settle()
	c.submit(1, 1, "x")
	w.settle()
	i.run(1)
	w.settle()
	c.submit(1, 2, "y")
	w.settle()
	if n := len(i.tasks); n != 0 {
		t.Fatalf("%d tasks are dispatched for a client that takes no results", n)
	}
	c.hello.ResultCredit = 100
	c.reconnect()
	i.run(1)
	w.settle()
	c.want(t, 2, "r:y")
}
