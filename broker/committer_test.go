package broker

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weft-fabric/weft/broker/store"
)

// slowStore blocks each Append until it is let go, and fails when told.
type slowStore struct {
	*store.Mem
	appended chan int
	goOn     chan error
}

func (s *slowStore) Append(entries []store.Entry) error {
	s.appended <- len(entries)
	if err := <-s.goOn; err != nil {
		return err
	}
	return s.Mem.Append(entries)
}

func TestCommitterCommitsInGroupsAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{Mem: store.NewMem(), appended: make(chan int), goOn: make(chan error)}
		var mu sync.Mutex
		told := []string{}
		tell := func(core int) func(uint64) {
			return func(p uint64) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprintf("%d:%d", core, p))
			}
		}
		c := newCommitter(s, []func(uint64){tell(0), tell(1)}, func(err error) { t.Error(err) })
		done := make(chan struct{})
		go func() { c.run(); close(done) }()
		c.append(0, [][]byte{[]byte("a")})
		if n := <-s.appended; n != 1 {
			t.Fatalf("the first group has %d entries", n)
		}
		// What comes while the store is busy is one group.
		c.append(1, [][]byte{[]byte("b"), []byte("c")})
		c.append(0, nil)
		c.append(0, [][]byte{[]byte("d")})
		synctest.Wait()
		if len(told) != 0 {
			t.Fatalf("told %v before anything was durable", told)
		}
		s.goOn <- nil
		if n := <-s.appended; n != 2 {
			t.Fatalf("the second group has %d entries, want 2", n)
		}
		s.goOn <- nil
		c.close()
		<-done
		if got := fmt.Sprint(told); got != "[0:1 0:2 1:2]" {
			t.Fatalf("told %s", got)
		}
		var log string
		if err := s.Read(1, func(e store.Entry) bool { log += fmt.Sprintf("%d/%d/%s ", e.Index, e.Core, e.Records); return true }); err != nil {
			t.Fatal(err)
		}
		if log != "1/0/[a] 2/1/[b c] 3/0/[d] " {
			t.Fatalf("log %s", log)
		}
	})
}

func TestCommitterAcknowledgesNothingAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{Mem: store.NewMem(), appended: make(chan int, 1), goOn: make(chan error, 1)}
		boom := errors.New("disk on fire")
		s.goOn <- boom
		var failed error
		c := newCommitter(s, []func(uint64){func(uint64) { t.Error("acknowledged what is not durable") }}, func(err error) { failed = err })
		c.append(0, [][]byte{[]byte("a")})
		c.run()
		if !errors.Is(failed, boom) {
			t.Fatalf("failed with %v", failed)
		}
	})
}
