package client

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/protocol"
)

const (
	// maxCallbacks is how many callbacks run at once.
	maxCallbacks = 10_000
	// stallAfter is how long callbacks wait for one of the few usual goroutines before there are more.
	stallAfter = time.Millisecond
)

// callback is a result on its way to the function that it is for.
type callback struct {
	fn      func(Result)
	result  Result
	account *account // of the bytes of the result; nil: they do not count, or are counted with others
}

// owed are bytes of results that count as consumed when the first of the callbacks that they came with begins. Those are of
// one burst, and none is large.
type owed struct {
	account *account
	bytes   int64
}

// done forgets a callback that has returned, and counts its result as taken: those that are slow hold up the broker, not
// this process's memory.
func (cb *callback) done() {
	if a := cb.account; a != nil {
		a.client.mu.Lock()
		n := a.release(int64(len(cb.result.Payload)))
		a.client.mu.Unlock()
		a.add(n)
	}
	*cb = callback{}
}

// chunk is what one burst of results brought.
type chunk struct {
	items   []callback
	owed    []owed
	next    atomic.Int64 // the first that nobody has claimed
	workers int          // that look into it
}

func (c *chunk) claimed() bool { return c.next.Load() >= int64(len(c.items)) }

// What is kept of lists of callbacks for use again: how many, and none that a stall has made longer.
const (
	maxSpare     = 4
	maxSpareList = 8192
)

// runner runs callbacks on goroutines of its own: on one while they get on, which is cheapest, on as many as there are
// processors when that has more to do than it can, and on more for as long as these do not get on because callbacks block.
// No goroutine is left when there is nothing to run.
type runner struct {
	logger zerolog.Logger
	panics atomic.Uint64

	mu      sync.Mutex
	chunks  []*chunk
	spare   [][]callback // empty
	workers int
	watched bool // a look at the progress is due
	step    int  // how many more at the next stall

	// Where the head was at the last look.
	seen     *chunk
	seenNext int64
}

// push queues callbacks, which the runner owns from now on.
func (r *runner) push(items []callback, owed []owed) {
	if len(items) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trim()
	r.chunks = append(r.chunks, &chunk{items: items, owed: owed})
	if r.workers == 0 || len(r.chunks) > 1 {
		r.help()
	}
	if !r.watched {
		r.watched, r.step = true, 1
		r.seen = nil
		time.AfterFunc(stallAfter, r.look)
	}
}

// help adds a worker while there are fewer than processors. The caller holds mu.
func (r *runner) help() {
	if r.workers < runtime.GOMAXPROCS(0) {
		r.spawn()
	}
}

// spawn starts a worker. The caller holds mu.
func (r *runner) spawn() {
	if r.workers < maxCallbacks {
		r.workers++
		go r.work()
	}
}

// look adds workers when nothing was claimed since the last look, and looks again while there is something to claim.
func (r *runner) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trim()
	if len(r.chunks) == 0 {
		r.watched = false
		return
	}
	head, next := r.chunks[0], r.chunks[0].next.Load()
	if head == r.seen && next == r.seenNext {
		for range r.step {
			r.spawn()
		}
		r.step *= 2
	} else {
		r.help()
	}
	r.seen, r.seenNext = head, next
	time.AfterFunc(stallAfter, r.look)
}

// trim drops chunks whose callbacks were all claimed. The caller holds mu.
func (r *runner) trim() {
	n := 0
	for n < len(r.chunks) && r.chunks[n].claimed() {
		n++
	}
	clear(r.chunks[:n])
	r.chunks = r.chunks[n:]
}

func (r *runner) work() {
	done := false
	defer func() {
		if !done { // a callback ended its goroutine
			r.mu.Lock()
			r.workers--
			r.mu.Unlock()
		}
	}()
	for {
		r.mu.Lock()
		r.trim()
		if len(r.chunks) == 0 {
			r.workers--
			done = true
			r.mu.Unlock()
			return
		}
		c := r.chunks[0]
		c.workers++
		r.mu.Unlock()
		for !r.claim(c) {
		}
		r.leave(c)
	}
}

// list gives an empty list of callbacks, for push.
func (r *runner) list() []callback {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.spare)
	if n == 0 {
		return nil
	}
	l := r.spare[n-1]
	r.spare = r.spare[:n-1]
	return l
}

// leave notes that a worker has found everything in c claimed. The last one keeps the list: all callbacks have returned.
func (r *runner) leave(c *chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trim()
	if c.workers--; c.workers == 0 && len(r.spare) < maxSpare && cap(c.items) <= maxSpareList {
		r.spare = append(r.spare, c.items[:0])
	}
}

// panicked notes that a function of the application panicked.
func (r *runner) panicked(task protocol.TaskID, what any, stack []byte) {
	r.panics.Add(1)
	r.logger.Error().Stringer("task", task).Any("panic", what).Bytes("stack", stack).Msg("a callback panicked")
}

// claim calls callbacks of c that nobody has claimed, and says whether there are no more. It returns as well when one has
// panicked, which ends nothing but itself.
func (r *runner) claim(c *chunk) (over bool) {
	var cb *callback
	defer func() {
		if over {
			return
		}
		if p := recover(); p != nil {
			r.panicked(cb.result.Task, p, debug.Stack())
		}
		cb.done()
	}()
	for {
		i := c.next.Add(1) - 1
		if i >= int64(len(c.items)) {
			return true
		}
		if i == 0 {
			for _, o := range c.owed {
				o.account.add(o.bytes)
			}
		}
		cb = &c.items[i]
		cb.fn(cb.result)
		cb.done()
	}
}

// run calls one callback. A panic ends nothing but itself.
func (r *runner) run(cb *callback) {
	c := chunk{items: []callback{*cb}}
	for !r.claim(&c) {
	}
}
