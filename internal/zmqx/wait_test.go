package zmqx

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
	"golang.org/x/sys/unix"
)

func TestWaitTimesOut(t *testing.T) {
	router, _, _ := connected(t, inproc(t), Options{})
	for _, timeout := range []time.Duration{0, time.Nanosecond, 300 * time.Microsecond, 20 * time.Millisecond} {
		start := time.Now()
		ready, rang, err := router.waiter.Wait(timeout)
		if took := time.Since(start); len(ready) > 0 || rang || err != nil || took < timeout {
			t.Errorf("Wait(%v) = %v, %v, %v after %v", timeout, ready, rang, err, took)
		}
	}
}

func TestWaitReportsUntilDrained(t *testing.T) {
	router, dealer, _ := connected(t, inproc(t), Options{})
	for range 3 {
		dealer.send(t, 0, "r")
	}
	router.await(t)
	router.await(t) // nothing was received yet
	if messages, drained, _ := router.Recv(1); len(messages) != 1 || drained {
		t.Fatalf("%d messages, drained %v", len(messages), drained)
	}
	router.await(t)
	if messages, drained, _ := router.Recv(3); len(messages) != 2 || !drained {
		t.Fatalf("%d messages, drained %v", len(messages), drained)
	}
	if ready, _, _ := router.waiter.Wait(0); len(ready) != 0 {
		t.Error("an empty socket is reported")
	}
}

// libzmq's descriptor tells of a message once. A send may consume that; the message must be found all the same.
func TestASendDoesNotHideAMessage(t *testing.T) {
	router, dealer, peer := connected(t, "tcp://127.0.0.1:*", Options{})
	for range 20 {
		if _, drained, err := dealer.Recv(0); !drained || err != nil {
			t.Fatal("the socket is not empty", err)
		}
		router.send(t, peer, "r")
		fires(t, dealer.fd)
		if _, err := dealer.zmq.GetEvents(); err != nil { // what a send does to the descriptor at times
			t.Fatal(err)
		}
		dealer.send(t, 0, "r")
		dealer.await(t)
		if m := dealer.one(t); string(m.Records) != "r" {
			t.Fatalf("received %q", m.Records)
		}
		router.one(t)
	}
}

// A DEALER without a connection says so, and Wait reports it when it can send, even when a Recv in between
// took the news from the descriptor.
func TestWaitReportsAConnection(t *testing.T) {
	dealer, router := newParty(t, NewDealer, Options{}), newParty(t, NewRouter, Options{})
	endpoint := "ipc://" + filepath.Join(socketDir(t), "s")
	if err := dealer.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
	if err := dealer.Send(0, []byte("early"), nil); !errors.Is(err, ErrAgain) {
		t.Fatalf("Send without a connection: %v, want ErrAgain", err)
	}
	if ready, _, err := dealer.waiter.Wait(0); len(ready) > 0 || err != nil {
		t.Fatalf("reported without a connection (%v)", err)
	}
	router.bind(t, endpoint)
	for {
		fires(t, dealer.fd)
		if _, _, err := dealer.Recv(0); err != nil {
			t.Fatal(err)
		}
		events, err := dealer.zmq.GetEvents()
		if err != nil {
			t.Fatal(err)
		}
		if events&zmq.POLLOUT != 0 {
			break
		}
	}
	for range 2 { // until Recv is called
		dealer.await(t)
	}
	if _, _, err := dealer.Recv(0); err != nil {
		t.Fatal(err)
	}
	if dealer.look != armed || dealer.blocked {
		t.Error("it would be reported for ever")
	}
	dealer.send(t, 0, "early")
	if m := router.one(t); string(m.Records) != "early" {
		t.Errorf("received %q", m.Records)
	}
}

func TestWaitOverSeveralSockets(t *testing.T) {
	table := NewPayloads()
	wake, err := NewWake()
	if err != nil {
		t.Fatal(err)
	}
	var routers, dealers []*Socket
	for range 3 {
		r, err := NewRouter(table, Options{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDealer(table, Options{})
		if err != nil {
			t.Fatal(err)
		}
		endpoint := inproc(t)
		if _, err := r.Bind(endpoint); err != nil {
			t.Fatal(err)
		}
		if err := d.Connect(endpoint); err != nil {
			t.Fatal(err)
		}
		routers, dealers = append(routers, r), append(dealers, d)
	}
	w := NewWaiter(wake, routers...)
	drain := func() {
		for _, r := range routers {
			for drained := false; !drained; {
				if _, drained, err = r.Recv(0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for mask := range 8 {
		drain()
		want := map[*Socket]bool{}
		for i := range 3 {
			if mask>>i&1 == 1 {
				want[routers[i]] = true
				for range 2 {
					if err := dealers[i].Send(0, []byte("r"), nil); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if want[routers[0]] { // the first is pending, the others must be looked at all the same
			if _, _, err := routers[0].Recv(1); err != nil {
				t.Fatal(err)
			}
		}
		ready, rang, err := w.Wait(0)
		if len(ready) != len(want) || rang || err != nil {
			t.Errorf("mask %b: %d sockets, %v, %v", mask, len(ready), rang, err)
		}
		for _, s := range ready {
			if !want[s] {
				t.Errorf("mask %b: a socket without messages", mask)
			}
		}
	}
	w.SetSockets(routers[1])
	drain()
	for _, d := range dealers {
		if err := d.Send(0, []byte("r"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if ready, _, err := w.Wait(deadline); len(ready) != 1 || ready[0] != routers[1] || err != nil {
		t.Errorf("after SetSockets: %v (%v)", ready, err)
	}
	w.SetSockets()
	if ready, _, err := w.Wait(0); len(ready) != 0 || err != nil {
		t.Errorf("without sockets: %v (%v)", ready, err)
	}
	for _, s := range append(routers, dealers...) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := wake.Close(); err != nil {
		t.Error(err)
	}
}

func TestRing(t *testing.T) {
	router, dealer, _ := connected(t, inproc(t), Options{})
	for range 3 {
		router.wake.Ring() // before the Wait: all count as one
	}
	if _, rang, err := router.waiter.Wait(-1); !rang || err != nil {
		t.Fatalf("rang %v, %v", rang, err)
	}
	if _, rang, err := router.waiter.Wait(0); rang || err != nil {
		t.Errorf("rang again: %v, %v", rang, err)
	}
	go router.wake.Ring() // during the Wait
	if _, rang, err := router.waiter.Wait(-1); !rang || err != nil {
		t.Fatalf("rang %v, %v", rang, err)
	}
	dealer.send(t, 0, "r") // with a message
	router.await(t)
	router.wake.Ring()
	if ready, rang, err := router.waiter.Wait(-1); len(ready) != 1 || !rang || err != nil {
		t.Errorf("ready %v, rang %v, %v, want both", ready, rang, err)
	}
}

func TestRingAfterClose(t *testing.T) {
	wake, err := NewWake()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				wake.Ring()
				wake.state.Store(asleep) // so that each Ring would write
			}
		})
	}
	for range 2 {
		if err := wake.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// Signals interrupt the poll; the time that has passed must count, or Wait would not end while they come.
func TestWaitSurvivesSignals(t *testing.T) {
	router, _, _ := connected(t, inproc(t), Options{})
	thread, done := make(chan int), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		thread <- unix.Gettid()
		const timeout = 100 * time.Millisecond
		start := time.Now()
		ready, rang, err := router.waiter.Wait(timeout)
		if took := time.Since(start); len(ready) > 0 || rang || err != nil || took < timeout {
			t.Errorf("Wait = %v, %v, %v after %v", ready, rang, err, took)
		}
	})
	tid := <-thread
	for end := time.Now().Add(deadline); ; {
		select {
		case <-done:
			wg.Wait()
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("Wait did not end")
		}
		_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
		runtime.Gosched()
	}
}

func TestSpin(t *testing.T) {
	router, dealer, peer := connected(t, inproc(t), Options{})
	for range 100 {
		if _, _, err := dealer.Recv(0); err != nil {
			t.Fatal(err)
		}
		if dealer.waiter.Spin(time.Microsecond) {
			t.Fatal("Spin found something in nothing")
		}
		router.send(t, peer, "r")
		if !dealer.waiter.Spin(time.Hour) {
			t.Fatal("Spin missed a message")
		}
		dealer.await(t)
		dealer.one(t)
		if _, _, err := dealer.Recv(0); err != nil {
			t.Fatal(err)
		}
		dealer.wake.Ring()
		if !dealer.waiter.Spin(time.Hour) {
			t.Fatal("Spin missed a ring")
		}
		if _, rang, err := dealer.waiter.Wait(-1); !rang || err != nil {
			t.Fatalf("the ring was lost in Spin (%v)", err)
		}
	}
}

// Two owners play ping-pong through their Waiters while others ring: neither a message nor a ring is lost.
func TestNoWakeUpIsLost(t *testing.T) {
	turns := map[string]int{"inproc": 100_000, "ipc": 10_000, "tcp": 10_000}
	for kind, endpoint := range endpoints(t) {
		t.Run(kind, func(t *testing.T) {
			n := turns[kind]
			if testing.Short() {
				n /= 20
			}
			router, dealer, peer := connected(t, endpoint, Options{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range n {
					m := router.one(t)
					if err := router.Send(peer, m.Records, nil); err != nil {
						t.Errorf("turn %d: %v", i, err)
						return
					}
				}
			})
			records := make([]byte, 8)
			for i := range n {
				binary.LittleEndian.PutUint64(records, uint64(i))
				if err := dealer.Send(0, records, nil); err != nil {
					t.Fatal(err)
				}
				if i%7 == 0 {
					dealer.waiter.Spin(5 * time.Microsecond)
				}
				if got := binary.LittleEndian.Uint64(dealer.one(t).Records); got != uint64(i) {
					t.Fatalf("turn %d brought %d", i, got)
				}
			}
			wg.Wait()
		})
	}
}

// Everything queued before a Ring is seen after the Wait that reports it, with messages coming all the while.
func TestRingsRaceWithMessages(t *testing.T) {
	const submitters, each, messages = 4, 5000, 5000
	router, dealer, _ := connected(t, inproc(t), Options{})
	var mu sync.Mutex
	queued := 0
	var wg sync.WaitGroup
	for range submitters {
		wg.Go(func() {
			for i := range each {
				mu.Lock()
				queued++
				mu.Unlock()
				router.wake.Ring()
				if i%64 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Go(func() {
		for range messages {
			if err := dealer.Send(0, []byte("r"), nil); err != nil {
				t.Error(err)
				return
			}
		}
	})
	taken, received := 0, 0
	for taken < submitters*each || received < messages {
		ready, rang, err := router.waiter.Wait(deadline)
		if err != nil || len(ready) == 0 && !rang {
			t.Errorf("stuck with %d queued and %d messages taken (%v)", taken, received, err)
			break
		}
		if rang {
			mu.Lock()
			taken, queued = taken+queued, 0
			mu.Unlock()
		}
		for _, s := range ready {
			got, _, err := s.Recv(0)
			if err != nil {
				t.Fatal(err)
			}
			received += len(got)
		}
	}
	wg.Wait()
}
