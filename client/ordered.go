package client

import (
	"sync"

	"github.com/weft-fabric/weft/protocol"
)

// WithOrderedResults gives the results of the session's tasks in the order in which they were submitted: the functions of
// [Session.SubmitFunc] are called in that order, one after the other, [Session.Results] gives the results in it, and
// [Task.Wait] returns when those before it have ended as well. A task counts against the session's credit until its
// function is called or its result is taken, so that no more results wait in this process than the credit allows: at
// most limit tasks, or as many as the broker grants when limit is 0. Who submits more than that has to take results
// meanwhile. [Session.Call] and [Method.Map] are as in any session.
func WithOrderedResults(limit int) SessionOption {
	return func(c *sessionConfig) {
		c.ordered = true
		c.orderedLimit = limit
	}
}

// inOrder calls the functions of an ordered session, one after the other, on a goroutine that is there as long as there
// is something to call.
type inOrder struct {
	session *Session

	mu      sync.Mutex
	queue   []turn
	running bool

	words words // what its tasks say
}

// turn is one call, of the task in a slot.
type turn struct {
	callback callback
	slot     uint32
}

func (o *inOrder) push(cb callback, id protocol.TaskID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, turn{cb, id.Slot()})
	if !o.running {
		o.running = true
		go o.work()
	}
}

func (o *inOrder) work() {
	done := false
	defer func() {
		if !done { // a callback ended its goroutine
			go o.work()
		}
	}()
	c := o.session.client
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.queue, o.running, done = nil, false, true
			o.mu.Unlock()
			return
		}
		t := o.queue[0]
		o.queue[0] = turn{}
		o.queue = o.queue[1:]
		o.mu.Unlock()
		c.mu.Lock()
		o.delivered(t.slot)
		c.mu.Unlock()
		c.runner.run(&t.callback)
	}
}

// delivered gives the credit of an ordered task back whose result is taken. The caller holds the client's mu.
func (o *inOrder) delivered(slot uint32) {
	o.session.core.At(slot).Delivered()
	o.session.wakeSubmitters()
}
