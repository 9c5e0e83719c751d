package client

import (
	"fmt"
	"testing"
	"time"
)

// holding makes the broker keep tasks instead of answering them.
func (b *fakeBroker) holding() { b.do(func() { b.hold = true }) }

// release answers what was kept, and everything from now on.
func (b *fakeBroker) release() {
	b.do(func() {
		b.hold = false
		held := b.held
		b.held = nil
		for _, t := range held {
			b.answer(t)
		}
	})
}

// holds waits until the broker keeps n tasks.
func (b *fakeBroker) holds(n int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("the broker has %d tasks", n), func() (ok bool) {
		b.do(func() { ok = len(b.held) == n })
		return ok
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}
