package manager_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// TestKeptAnswersDoNotHoldBackWhatTheyWaitFor: the answers of a kept session fill the share of its manager and are not taken
// before a task that was refused has ended. It is let in all the same, and everything ends.
func TestKeptAnswersDoNotHoldBackWhatTheyWaitFor(t *testing.T) {
	for _, c := range []struct {
		name    string
		ordered bool // the answers leave the engine in the order of the tasks; otherwise the program takes them in it
		held    bool // the first task waits for one of another session, and is sent behind the others
		share   int64
		queued  int64 // of the loop
	}{
		{"ordered", true, false, 90_000, 64 << 20},
		{"ordered, and the first is sent last", true, true, 90_000, 64 << 20},
		{"taken in order", false, false, 90_000, 64 << 20},
		{"the loop is full", true, false, 90_000, 90_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFabricOf(t, 1, c.queued)
			ops := f.client("ops", 99, 1<<20)
			ops.greedy = true
			ops.engine.Request(protocol.KindRegisterService, protocol.Service{
				Name: "a", Limits: protocol.Limits{Payload: 61_000}, Manager: protocol.Share{Memory: c.share},
			})
			f.pass(time.Second)
			p := f.client("p", 100, 1<<20)
			other := ops.engine.Open(protocol.OpenSession{Service: "a"}, 0, 0)
			s := p.engine.Open(protocol.OpenSession{Service: "a", Disconnect: protocol.DisconnectKeep}, 0, 0)
			plain := p.engine.Open(protocol.OpenSession{Service: "a"}, 0, 0)
			f.pass(time.Second)
			ops.submit(f, other, 40_000) // what is in the way of the first task below
			f.pass(time.Second)

			var order []client.Ref
			begin := func(s *client.Session, size int, ordered bool, after ...uint32) client.Ref {
				r, err := s.Start(f.now, &client.Task{
					Handle: f.payload("p", fmt.Sprintf("%d-%s", len(order), strings.Repeat("x", size-2))), Size: size, Ordered: ordered, After: after,
				})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			var after []uint32
			if c.held {
				after = append(after, begin(plain, 1000, false).Slot())
			}
			order = append(order, begin(s, 60_000, c.ordered, after...))
			for range 3 {
				order = append(order, begin(s, 10_000, c.ordered))
			}
			f.pass(time.Second)
			if !c.held && order[0].ID().Sequence() != 1 {
				t.Fatal("the first is not the first")
			}
			f.instance("a", 900, 5)
			took := 0
			for range 300 {
				f.pass(100 * time.Millisecond)
				for _, w := range f.instances {
					w.finish(f, 1000)
				}
				took += takeInOrder(f, p, s, order[took:], c.ordered)
			}
			if took != len(order) {
				t.Fatalf("%d of %d answers were taken, and nothing goes on%s", took, len(order), f.describe())
			}
			for i, l := range f.loops {
				if left := l.Left(); left != "" {
					t.Fatalf("loop %d: %s%s", i, left, f.describe())
				}
			}
		})
	}
}

// takeInOrder takes the answers of the tasks as far as they are there, and says how many.
func takeInOrder(f *fabric, p *program, s *client.Session, order []client.Ref, ordered bool) (took int) {
	for _, r := range order {
		i := slices.IndexFunc(p.taken, func(c client.Completion) bool { return c.Session == s && c.Task.Slot() == r.Slot() })
		if i < 0 {
			return took
		}
		c := p.taken[i]
		p.taken[0], p.taken[i] = c, p.taken[0]
		if ordered {
			r.Delivered()
		}
		client.Taken(s, c.Task)
		p.consume(f, 1)
		took++
	}
	return took
}
