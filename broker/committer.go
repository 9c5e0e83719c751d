package broker

import (
	"sync"

	"github.com/weft-fabric/weft/broker/store"
)

// committer is the one goroutine that writes the store: it gives the records of all cores their indices in one log,
// commits together what came together, and tells each core how far it is durable. A core's records never wait for
// anything but the store.
type committer struct {
	store store.Store
	tell  []func(position uint64) // by core
	fail  func(error)

	mu      sync.Mutex
	arrived sync.Cond
	pending []store.Entry
	closed  bool

	positions []uint64 // by core
}

func newCommitter(s store.Store, tell []func(uint64), fail func(error)) *committer {
	c := &committer{store: s, tell: tell, fail: fail, positions: make([]uint64, len(tell))}
	c.arrived.L = &c.mu
	return c
}

// append hands over records of a core, in its order.
func (c *committer) append(core int, records [][]byte) {
	if len(records) == 0 {
		return
	}
	c.mu.Lock()
	c.pending = append(c.pending, store.Entry{Core: core, Records: append([][]byte(nil), records...)})
	c.mu.Unlock()
	c.arrived.Signal()
}

// close lets run end when everything is committed.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.arrived.Signal()
}

// run commits until close, or until the store fails: then nothing is acknowledged any more.
func (c *committer) run() {
	next := c.store.Last() + 1
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && !c.closed {
			c.arrived.Wait()
		}
		group := c.pending
		c.pending = nil
		c.mu.Unlock()
		if len(group) == 0 {
			return
		}
		for i := range group {
			group[i].Index = next
			next++
		}
		if err := c.store.Append(group); err != nil {
			c.fail(err)
			return
		}
		told := make([]bool, len(c.tell))
		for _, e := range group {
			c.positions[e.Core] += uint64(len(e.Records))
			told[e.Core] = true
		}
		for core, t := range told {
			if t {
				c.tell[core](c.positions[core])
			}
		}
	}
}
