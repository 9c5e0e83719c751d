package manager

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestRandomLives runs random lives of sessions and instances: whatever happens, each task of a session that is not
// killed is answered exactly once, by its result or because it was cancelled, and nothing is left.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.serve(func(s *protocol.Service) {
			s.Retry.HostLosses, s.Retry.Attempts = 200, 100
			s.Limits.Grace = protocol.Duration(testGrace)
		})
		c := w.client(100, 1, 2, 3)
		next := map[uint32]uint64{1: 0, 2: 0, 3: 0}
		killed := map[uint32]bool{}
		cancelled := map[uint64]bool{} // sequences
		var live []*party
		made := uint64(0)
		start := func() {
			made++
			live = append(live, w.instance(fmt.Sprintf("i%d", made), 1000+made, func(a *session.Admit) {
				a.Slots, a.Sessions = rapid.IntRange(1, 3).Draw(t, "slots"), rapid.IntRange(1, 3).Draw(t, "sessions")
			}))
		}
		start()
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 11).Draw(t, "op") {
			case 0, 1, 2, 3:
				n := rapid.Uint32Range(1, 3).Draw(t, "session")
				if killed[n] {
					continue
				}
				for range rapid.IntRange(1, 40).Draw(t, "tasks") {
					next[n]++
					size := rapid.SampledFrom([]int{0, 5, 9000}).Draw(t, "size")
					c.submit(n, next[n], strings.Repeat("p", size))
				}
			case 4, 5:
				if len(live) > 0 {
					p := live[rapid.IntRange(0, len(live)-1).Draw(t, "instance")]
					k := p.run(rapid.IntRange(1, 20).Draw(t, "run"))
					p.executed(k, time.Duration(k)*rapid.SampledFrom([]time.Duration{50, time.Millisecond, 5 * time.Millisecond}).Draw(t, "took"))
				}
			case 6:
				start()
			case 7:
				if len(live) > 0 {
					k := rapid.IntRange(0, len(live)-1).Draw(t, "victim")
					live[k].die()
					live = slices.Delete(live, k, k+1)
				}
			case 8:
				w.pass(rapid.SampledFrom([]time.Duration{busyTick, time.Second}).Draw(t, "time"))
			case 9:
				n := rapid.Uint32Range(1, 3).Draw(t, "session")
				if n == 3 && !killed[n] {
					killed[n] = true
					w.order(session.Order{Close: &session.Close{Session: n, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "", "")}})
				} else if len(live) > 1 {
					live[0].link.Append(protocol.KindDrain, 0, 0, nil)
				}
			case 10:
				n := rapid.Uint32Range(1, 3).Draw(t, "session")
				if killed[n] {
					continue
				}
				upTo := next[n]
				seq := rapid.Uint64Range(0, upTo).Draw(t, "cancelled")
				if seq > 0 {
					upTo = seq
				}
				for k := max(seq, 1); k <= upTo; k++ {
					cancelled[k] = true
				}
				c.cancel(n, seq)
			case 11:
				if len(live) > 0 {
					p := live[rapid.IntRange(0, len(live)-1).Draw(t, "instance")]
					p.stubborn = !p.stubborn
				}
			}
			w.settle()
			w.obeyKills(live)
			live = slices.DeleteFunc(live, func(p *party) bool { return p.dead })
			live = slices.DeleteFunc(live, func(p *party) bool { return p.left })
		}
		start()
		for _, p := range live {
			p.stubborn = false
		}
		for range 200 {
			w.runAll()
			w.pass(busyTick)
			w.obeyKills(live)
			if w.core.unfinished() == 0 {
				break
			}
		}
		for n := range uint32(2) {
			w.order(session.Order{Close: &session.Close{Session: n + 1}})
		}
		want := 0
		for n, k := range next {
			if !killed[n] {
				want += int(k)
			}
		}
		got := 0
		for id, a := range c.answers {
			for _, r := range a {
				if strings.HasPrefix(r, "!") && (r != "!Cancelled" || !cancelled[id.Sequence()]) {
					t.Fatalf("a task failed: %s", r)
				}
				got++
			}
		}
		if got < want || (len(killed) == 0 && got != want) {
			t.Fatalf("%d answers to %d tasks:%s", got, want, w.describe())
		}
		w.drained()
	})
}

// obeyKills ends instances as their manager wants it.
func (w *world) obeyKills(live []*party) {
	kills := w.kills()
	for _, p := range live {
		if !p.dead && !p.left && slices.Contains(kills, p.name) {
			p.die()
		}
	}
}
