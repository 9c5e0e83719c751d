package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-fabric/weft/internal/engine/instance"
)

// The goroutines of an instance. There is one more than slots, and all are alike. One at a time is the driver: it owns
// the sockets. While hooks are quick the driver runs them itself, between receiving and sending: a round trip needs no
// other thread, and a burst of tasks no hand-over. Results leave when they are through, and when the first of them has
// waited for holdLimit. When a hook takes longer than that can wait, the watch takes the driver's role from the
// goroutine that is in the hook, and another one goes on: results leave, heartbeats are sent. Where hooks are known to
// be slow, or may run side by side, the driver leaves them to the others from the start.
//
// Of plain tasks the driver takes all that a session has, and runs a stride of them without the lock: what a task costs
// beside its hook is to read it, one compare-and-swap to begin it, and to write its result. What it has not begun is queued
// again when its stride is over, when the watch has looked, or when somebody takes the role from it.
const (
	// holdLimit is how long a result waits for others of its burst.
	holdLimit = 50 * time.Microsecond
	// watchEvery is how often the watch looks whether the driver is stuck in a hook.
	watchEvery = time.Millisecond
	// watchIdle is after how many looks in vain the watch goes to sleep.
	watchIdle = 100
	// slowAlone and slowTogether are the means from which hooks are left to other goroutines, with one slot and with
	// several.
	slowAlone    = time.Millisecond
	slowTogether = 20 * time.Microsecond
	// maxStride is the most tasks between two looks at the clock, and of one session when others have tasks too.
	maxStride = 256
)

// baton is who does what.
type baton struct {
	idle    *sync.Cond // of goroutines without work
	sleeper int        // how many of them wait

	driven bool   // somebody is the driver
	term   uint64 // grows when the role is taken from a driver in a hook
	inHook bool   // the driver is in a hook
	runner *hand  // the driver's, when the hook is of a run of tasks
	begun  uint64 // counts hooks that drivers have begun, but for those of a run that goes on
	hurry  bool   // the watch looked: results must leave

	watching bool
	awake    chan struct{} // to wake the watch

	slow   time.Duration // mean from which the driver runs no hooks
	mean   time.Duration // of OnTaskExec, of late
	known  bool
	stride uint32
}

func (b *baton) init(mu *sync.Mutex, slots int) {
	b.idle = sync.NewCond(mu)
	b.awake = make(chan struct{}, 1)
	b.slow = slowTogether
	if slots == 1 {
		b.slow = slowAlone
	}
	b.stride = 1
}

// inline says whether the driver runs hooks itself.
func (b *baton) inline() bool {
	if !b.known {
		return b.slow == slowAlone
	}
	return b.mean < b.slow
}

// learn notes that n tasks took d together.
func (b *baton) learn(n uint32, d time.Duration) {
	m := d / time.Duration(n)
	if b.known {
		m = (3*b.mean + m) / 4
	}
	b.mean, b.known = m, true
	b.stride = uint32(min(max(holdLimit/4/max(m, 1), 1), maxStride))
}

// hand is what one goroutine works on.
type hand struct {
	server *server

	job   instance.Job
	out   instance.Outcome
	task  TaskContext
	frame frame
	busy  bool // a hook of its job runs, and it is not of a run

	run   instance.Run
	begun atomic.Uint32 // how many tasks of the run were begun; halted when no more may be
}

// halted is said of a run by whoever holds server.mu, and cannot be taken back.
const halted = 1 << 31

// halt ends a run of tasks, if there is one, when the task under way has ended, and gives how many were begun.
func (h *hand) halt() int { return int(h.begun.Or(halted) &^ halted) }

func newHand(s *server) *hand {
	h := &hand{server: s}
	h.task.hand = h
	h.task.ctx = &taskContext{task: &h.task}
	return h
}

// work is the life of each of the goroutines.
func (s *server) work() {
	h := newHand(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hands = append(s.hands, h)
	for !s.over {
		switch {
		case !s.baton.driven:
			s.baton.driven = true
			s.drive(h)
		case !s.baton.inline() && s.engine.Next(&h.job):
			s.runAside(h)
		default:
			s.baton.sleeper++
			s.baton.idle.Wait()
			s.baton.sleeper--
		}
	}
}

// drive does the driver's work until the role is taken away or the instance has ended. The caller holds s.mu, and
// holds it again afterwards.
func (s *server) drive(h *hand) {
	for {
		more := false
		if s.baton.inline() {
			var mine bool
			if more, mine = s.runInline(h); !mine {
				return
			}
		} else {
			s.offer()
		}
		s.flush()
		if s.over {
			return
		}
		timeout := time.Duration(0)
		if !more {
			if at, ok := s.engine.Deadline(); ok {
				timeout = max(time.Until(at), 0)
			}
		}
		s.mu.Unlock()
		ready, _, err := s.waiter.Wait(timeout)
		s.mu.Lock()
		s.now = time.Now()
		if err != nil {
			s.log.Error().Err(err).Msg("cannot wait for messages")
			s.engine.Fail(s.now, err)
			s.finish()
			return
		}
		s.receive(ready)
		if at, ok := s.engine.Deadline(); ok && !s.now.Before(at) {
			s.engine.Tick(s.now)
		}
	}
}

// offer wakes as many goroutines as there is work for.
func (s *server) offer() {
	for range min(s.engine.Ready(), s.baton.sleeper) {
		s.baton.idle.Signal()
	}
}

// runInline runs hooks on the driver. more says that it stopped for results to leave; mine is false when the role was
// taken away meanwhile.
func (s *server) runInline(h *hand) (more, mine bool) {
	b := &s.baton
	b.hurry = false
	var start time.Time
	for n := uint32(0); ; {
		run := h.run.Begin(s.engine, &h.job)
		if !run && !s.engine.Next(&h.job) {
			if n > 0 {
				s.account(n, start)
			}
			return false, true
		}
		task := h.job.Kind == instance.Exec
		if !task && n > 0 {
			s.account(n, start)
			n = 0
		}
		if n == 0 {
			start = time.Now()
		}
		s.watched()
		before := n / b.stride
		if run {
			n, mine = s.runTasks(h, start, n)
		} else {
			n, mine = s.runHook(h, start, n)
		}
		if !mine {
			s.wake.Ring()
			return false, false
		}
		if task && (b.hurry || n/b.stride > before && time.Since(start) >= holdLimit) {
			s.account(n, start)
			return true, true
		}
	}
}

// runHook runs one hook on the driver, after before tasks since start, and gives how many there are now.
func (s *server) runHook(h *hand, start time.Time, before uint32) (n uint32, mine bool) {
	b := &s.baton
	term := b.term
	b.inHook = true
	b.begun++
	s.prepare(h)
	s.mu.Unlock()
	s.run(h)
	s.mu.Lock()
	if b.term != term {
		s.done(h, start, before)
		return 0, false
	}
	b.inHook = false
	h.through()
	s.engine.Done(s.now, &h.job, &h.out)
	if h.job.Kind == instance.Exec {
		before++
	}
	return before, true
}

// runTasks runs the tasks of a run on the driver, for a stride at most, after before tasks since start, and gives how many
// there are now.
func (s *server) runTasks(h *hand, start time.Time, before uint32) (n uint32, mine bool) {
	b := &s.baton
	term, most := b.term, min(b.stride, uint32(h.run.Count()))
	b.inHook, b.runner = true, h
	h.begun.Store(1)
	h.out = instance.Outcome{}
	h.task.begin()
	s.mu.Unlock()
	begun, odd := h.execRun(most)
	s.mu.Lock()
	h.through()
	mine = b.term == term
	now := s.now
	if mine {
		b.inHook, b.runner = false, nil
		b.begun += uint64(begun)
	} else {
		now = time.Now()
	}
	out := &h.out
	if !odd {
		out = nil
	}
	h.run.End(s.engine, now, &h.job, int(begun), out)
	if n = before + begun; !mine {
		s.account(n, start)
	}
	return n, mine
}

// account tells manager and baton of n tasks since start.
func (s *server) account(n uint32, start time.Time) {
	s.now = time.Now()
	d := s.now.Sub(start)
	s.baton.learn(n, d)
	s.engine.Account(n, d)
}

// done takes the outcome of a hook that was run beside the driver, after before tasks since start.
func (s *server) done(h *hand, start time.Time, before uint32) {
	h.through()
	s.engine.Done(time.Now(), &h.job, &h.out)
	if h.job.Kind == instance.Exec {
		before++
	}
	if before > 0 {
		s.account(before, start)
	}
}

// runAside runs one hook beside the driver.
func (s *server) runAside(h *hand) {
	s.prepare(h)
	s.mu.Unlock()
	start := time.Now()
	s.run(h)
	s.mu.Lock()
	s.done(h, start, 0)
	s.wake.Ring()
}

// watched sees to it that the watch is awake while the driver runs hooks.
func (s *server) watched() {
	if b := &s.baton; !b.watching {
		b.watching = true
		b.awake <- struct{}{} // has room: the watch takes it before it says again that it sleeps
	}
}

// watch takes the driver's role from a goroutine that stays in a hook, until the instance has ended.
func (s *server) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var seen uint64
	vain := watchIdle
	for {
		if vain >= watchIdle {
			ticker.Stop()
			select {
			case <-s.ended:
				return
			case <-s.baton.awake:
			}
			ticker.Reset(watchEvery)
			vain = 0
		}
		select {
		case <-s.ended:
			return
		case <-ticker.C:
		}
		seen, vain = s.look(seen, vain)
	}
}

// look is one look of the watch: seen is the hook that the driver was in at the last one, vain counts those that found
// none.
func (s *server) look(seen uint64, vain int) (uint64, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.baton
	switch {
	case !b.inHook:
		if vain++; vain == watchIdle {
			b.watching = false
		}
		return seen, vain
	case b.runner != nil:
		if at := b.begun + uint64(b.runner.halt()); at != seen {
			b.hurry = true
			return at, 0
		}
	case b.begun != seen:
		b.hurry = true
		return b.begun, 0
	}
	s.stepAside()
	return seen, 0
}

// stepAside takes the driver's role from a goroutine that is in a hook, if one is, so that another one goes on. The caller
// holds s.mu.
func (s *server) stepAside() {
	b := &s.baton
	if !b.inHook {
		return
	}
	if b.runner != nil {
		b.runner.run.Cut(s.engine, b.runner.halt())
		b.runner = nil
	}
	b.term++
	b.inHook, b.driven = false, false
	if !b.known || b.mean < b.slow {
		b.mean, b.known = b.slow, true
	}
	b.idle.Broadcast()
}
