package zmqx

/*
#cgo noescape wx_wait
#cgo nocallback wx_wait
#cgo noescape wx_spin
#cgo nocallback wx_spin
#include "native.h"
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	spinLimit = 300 * time.Microsecond
	// A yield that took longer than this ran somebody who wants the core for himself. The threads of a fabric that works on
	// the answer take less.
	yieldGuard = 100 * time.Microsecond
	// passEvery is the time between two passes through Go's scheduler, see Wait.
	passEvery = 4 * time.Millisecond
)

// The states of a Wake.
const (
	awake  int32 = iota // nobody sleeps, nothing was rung
	rung                // rung since the last Wait
	asleep              // somebody sleeps on the eventfd
)

// Wake wakes the goroutine that sleeps in a [Waiter]. Any number of rings before a Wait count as one, and no
// ring is lost: what was stored before Ring is seen after the Wait that reports it.
type Wake struct {
	state  atomic.Int32
	fd     int
	mu     sync.RWMutex // keeps fd open while it is written to
	closed bool
}

// NewWake makes a Wake. It uses one file descriptor until Close.
func NewWake() (*Wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("zmqx: make an eventfd: %w", err)
	}
	return &Wake{fd: fd}, nil
}

// Ring makes the Wait under way, or else the next, return. It is safe for concurrent use, costs a system call
// only when somebody sleeps, and does nothing after Close.
func (w *Wake) Ring() {
	if w.state.Swap(rung) != asleep {
		return
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		// The only other error is a full counter, which wakes as well.
		if _, err := unix.Write(w.fd, one[:]); err != unix.EINTR {
			return
		}
	}
}

// Close frees the descriptor. No Wait may be under way. Closing again does nothing.
func (w *Wake) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	fd := w.fd
	w.fd = -1
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("zmqx: close an eventfd: %w", err)
	}
	return nil
}

// Waiter sleeps until a socket has something or its [Wake] is rung. It belongs to the goroutine that owns the
// sockets; a Wake has one Waiter that waits at a time.
type Waiter struct {
	wake    *Wake
	sockets []*Socket
	fds     []C.struct_pollfd // of the wake, then of the sockets
	ready   []*Socket
	isReady []bool
	passed  time.Time // through Go's scheduler, last
}

// NewWaiter makes a Waiter for a Wake and the sockets.
func NewWaiter(w *Wake, sockets ...*Socket) *Waiter {
	waiter := &Waiter{wake: w}
	waiter.SetSockets(sockets...)
	return waiter
}

// SetSockets changes the set of sockets. A socket must be taken out before it is closed.
func (w *Waiter) SetSockets(sockets ...*Socket) {
	w.sockets = append(w.sockets[:0], sockets...)
	w.ready = make([]*Socket, 0, len(sockets))
	w.isReady = make([]bool, len(sockets))
	w.fds = make([]C.struct_pollfd, 1+len(sockets))
	w.fds[0] = C.struct_pollfd{fd: C.int(w.wake.fd), events: C.POLLIN}
	for i, s := range sockets {
		w.fds[1+i] = C.struct_pollfd{fd: C.int(s.fd), events: C.POLLIN}
	}
}

// Wait waits until a socket may have something, the Wake was rung, or timeout has passed (0: only look; below
// 0: for ever). ready are the sockets to call Recv on, until that has drained them; one whose Send returned
// ErrAgain is among them once it has a connection. The slice is valid until the next call. Both ready and
// rang may be reported without need, never the other way. The goroutine should not be locked to its thread: sockets may
// change threads with it, and a locked one is dear to schedule.
func (w *Waiter) Wait(timeout time.Duration) (ready []*Socket, rang bool, err error) {
	if err := w.look(); err != nil {
		return nil, false, err
	}
	if len(w.ready) > 0 && len(w.ready) == len(w.sockets) {
		return w.ready, w.wake.state.CompareAndSwap(rung, awake), nil
	}
	// The runtime's monitor takes the processor from a goroutine that it finds in C and that has not passed through the
	// scheduler for 10 ms, again and again, and then looks each 20 us for more: a tenth of all processor time at full load,
	// and a wake-up in each round trip. A goroutine that does nothing but wait and send never passes by itself.
	if now := time.Now(); now.Sub(w.passed) >= passEvery {
		w.passed = now
		runtime.Gosched()
	}
	limit := C.int64_t(-1)
	switch {
	case timeout == 0 || len(w.ready) > 0 || !w.wake.state.CompareAndSwap(awake, asleep):
		limit = 0
	case timeout > 0:
		limit = C.int64_t(timeout)
	}
	n := C.wx_wait(&w.fds[0], C.int(len(w.fds)), limit)
	runtime.KeepAlive(w)
	// A ring between the poll and this is reported now; its eventfd fires without need later.
	switch rang = w.wake.state.Swap(awake) == rung; {
	case n < 0:
		return nil, rang, fmt.Errorf("zmqx: poll: %w", errnoError(int(-n)))
	case n > 0:
		rang = w.collect() || rang
	}
	return w.ready, rang, nil
}

// Spin looks for up to d, at most 300 us, whether Wait would return at once, and tells. It keeps the core from
// halting for the time of a short round trip, and gives up as soon as somebody else wants the core. It is for
// a caller that is blocked on one answer, never for a loop.
func (w *Waiter) Spin(d time.Duration) bool {
	if err := w.look(); err != nil || len(w.ready) > 0 {
		return true
	}
	if !w.wake.state.CompareAndSwap(awake, asleep) {
		return true
	}
	found := C.wx_spin(&w.fds[0], C.int(len(w.fds)), C.int64_t(min(d, spinLimit)), C.int64_t(yieldGuard))
	runtime.KeepAlive(w)
	return !w.wake.state.CompareAndSwap(asleep, awake) || found != 0
}

// look puts the sockets that are known to have something into ready.
func (w *Waiter) look() error {
	w.ready = w.ready[:0]
	for i, s := range w.sockets {
		readable, err := s.readable()
		if err != nil {
			return err
		}
		w.isReady[i] = readable
		if readable {
			w.ready = append(w.ready, s)
		}
	}
	return nil
}

// collect adds the sockets whose descriptor fired to ready, and tells whether the eventfd fired.
func (w *Waiter) collect() bool {
	for i, s := range w.sockets {
		if !w.isReady[i] && w.fds[1+i].revents != 0 {
			w.ready = append(w.ready, s)
		}
	}
	return w.fds[0].revents != 0
}
