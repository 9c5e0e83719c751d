package client

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// TestOrderedCallbacks: functions are called in the order of submission, one at a time, whatever they do.
func TestOrderedCallbacks(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithOrderedResults(0))
	b.holding()
	var got []int
	var inside atomic.Int32
	last := make(chan struct{})
	const n = 200
	for i := range n {
		payload := []byte(fmt.Sprint(i))
		switch i % 10 {
		case 3:
			payload = []byte{askFailure}
		case 5:
			payload = make([]byte, protocol.InlinePayload+i)
		}
		err := s.SubmitFunc(soon(t), payload, func(r Result) {
			if inside.Add(1) != 1 {
				t.Error("two functions run at once")
			}
			defer inside.Add(-1)
			got = append(got, i)
			if failed := errors.Is(r.Err, ErrTaskFailed); failed != (i%10 == 3) || !failed && len(r.Payload) != len(payload) {
				t.Errorf("task %d: %d bytes, %v", i, len(r.Payload), r.Err)
			}
			switch {
			case i == n-1:
				close(last)
			case i%50 == 7:
				defer panic("as it was told")
			case i%50 == 8:
				inside.Add(-1)
				defer inside.Add(1)
				runtime.Goexit()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.holds(n)
	b.do(func() { slices.Reverse(b.held) })
	b.release()
	<-last
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("called in the order %v", got)
	}
	eventually(t, "all credit is back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0 && c.eng.Room(s.core, protocol.DefaultByteCredit)
	})
}

func TestOrderedResults(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect(WithOrderedResults(20))
	b.holding()
	var tasks []*Task
	for i := range 20 {
		tasks = append(tasks, submit(t, s, make([]byte, 1+i*900)))
	}
	b.holds(20)
	b.do(func() { // all but the first
		first := b.held[0]
		slices.Reverse(b.held)
		for _, task := range b.held[:19] {
			b.answer(task)
		}
		b.held = []heldTask{first}
	})
	out, err := s.Call(soon(t), nil, WithTimeout(20*time.Millisecond))
	if !errors.Is(err, ErrDeadline) {
		t.Errorf("there is no credit, and a call gives %q, %v", out, err)
	}
	tasks[4].Cancel()
	b.release()
	at := 0
	for r, err := range s.Results(soon(t)) {
		if at == 4 {
			at++
		}
		if err != nil || r.Task != tasks[at].ID() || len(r.Payload) != 1+at*900 {
			t.Fatalf("in place %d: %v with %d bytes, %v", at, r.Task, len(r.Payload), err)
		}
		at++
	}
	if at != 20 {
		t.Errorf("%d results", at)
	}
	// Credit is back, and what is waited for is not in Results.
	one, two := submit(t, s, []byte("1")), submit(t, s, []byte("2"))
	if out, err := two.Wait(soon(t)); err != nil || string(out) != "2" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := s.Call(soon(t), []byte("3")); err != nil || string(out) != "3" {
		t.Errorf("got %q, %v", out, err)
	}
	for r, err := range s.Results(soon(t)) {
		if err != nil || r.Task != one.ID() {
			t.Errorf("%v, %v", r.Task, err)
		}
	}
	var m Method[int, int]
	var sent atomic.Int64
	next := 0
	for out, err := range m.Map(soon(t), s, counting(100, &sent)) {
		if err != nil || out != next {
			t.Fatalf("got %d, %v, want %d", out, err, next)
		}
		next++
	}
}

// TestOrderedResultsAreBounded: who does not take results cannot send more than the limit.
func TestOrderedResultsAreBounded(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithOrderedResults(5))
	for range 5 {
		submit(t, s, []byte("x"))
	}
	eventually(t, "all are answered", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0
	})
	if _, err := s.Submit(soon(t), nil, WithTimeout(10*time.Millisecond)); !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v, want ErrDeadline: there is no credit", err)
	}
	sixth := make(chan error, 1)
	go func() {
		_, err := s.Submit(soon(t), nil)
		sixth <- err
	}()
	if err := first(s.Results(soon(t))); err != nil {
		t.Error(err)
	}
	if err := <-sixth; err != nil {
		t.Error(err)
	}
	if err := s.Close(soon(t)); err != nil { // which waits for nobody to take them
		t.Error(err)
	}
}

// TestOrderedResultsBeyondTheCredit has more bytes of results than the client takes wait for the first one.
func TestOrderedResultsBeyondTheCredit(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c := b.dial(WithResultCredit(64 << 10))
	s, err := c.OpenSession(soon(t), "echo", WithOrderedResults(0))
	if err != nil {
		t.Fatal(err)
	}
	b.holding()
	first := submit(t, s, []byte("first"))
	b.holds(1)
	b.do(func() { b.hold = false })
	var rest []*Task
	for range 100 {
		rest = append(rest, submit(t, s, make([]byte, 5000)))
	}
	eventually(t, "all but the first are answered", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 1
	})
	b.release()
	for _, task := range append([]*Task{first}, rest...) {
		if _, err := task.Wait(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
}
