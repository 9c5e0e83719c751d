package control_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// busy is a broker with a session of each of some services, whose managers finish so many tasks a second and are moved
// as they are ordered.
type busy struct {
	*world
	rates []uint64 // by session, which are numbered as their managers are, from 1
	done  []uint64
	at    []int // loop of each manager
	moves []session.Move
	seen  int // orders
}

func newBusy(t fataler, loops int, rates ...uint64) *busy {
	b := &busy{rates: rates, done: make([]uint64, len(rates)), at: make([]int, len(rates))}
	b.world = newWorld(t, func(c *Config) {
		c.Loops = loops
		c.Places.Ports = make([]int, loops)
	})
	app := b.join("app", protocol.Hello{Role: protocol.RoleClient}, 1)
	for i := range rates {
		name := fmt.Sprint("s", i)
		b.send(app, protocol.KindRegisterService, uint64(2*i+1), protocol.Service{Name: name})
		b.send(app, protocol.KindOpenSession, uint64(2*i+2), protocol.OpenSession{Key: uint64(i + 1), Service: name})
	}
	b.obey()
	return b
}

// obey does what the managers were ordered.
func (b *busy) obey() {
	for ; b.seen < len(b.orders); b.seen++ {
		switch o := b.orders[b.seen]; {
		case o.Order.Serve != nil:
			b.at[o.Order.Serve.Manager-1] = o.Loop
		case o.Order.Move != nil:
			b.moves = append(b.moves, *o.Order.Move)
			b.note(o.Loop, session.Note{Moved: &session.Moved{Manager: o.Order.Move.Manager, State: o.Order.Move.Manager}})
		case o.Order.Adopt != nil:
			b.at[o.Order.Adopt.State.(uint32)-1] = o.Loop
		}
	}
}

// work lets time pass, with figures every second.
func (b *busy) work(d time.Duration) {
	for ; d > 0; d -= time.Second {
		for i, r := range b.rates {
			b.done[i] += r
			b.note(b.at[i], session.Note{Figures: &session.Figures{Session: uint32(i + 1), Done: b.done[i] / 2, Failed: b.done[i] - b.done[i]/2}})
		}
		b.advance(time.Second)
		b.obey()
	}
}

// loads is what each loop finishes in a second.
func (b *busy) loads(loops int) []uint64 {
	loads := make([]uint64, loops)
	for i, r := range b.rates {
		loads[b.at[i]] += r
	}
	return loads
}

func TestLoad(t *testing.T) {
	for name, x := range map[string]struct {
		rates []uint64
		moves int
		want  []uint64
	}{
		"two busy, two idle":            {[]uint64{300_000, 10, 300_000, 10}, 1, []uint64{300_000, 300_020}},
		"one busy":                      {[]uint64{300_000, 0, 0, 0}, 0, []uint64{300_000, 0}},
		"one busy beside others":        {[]uint64{300_000, 0, 5_000, 0}, 0, []uint64{305_000, 0}},
		"not worth while":               {[]uint64{9_000, 0, 9_000, 0}, 0, []uint64{18_000, 0}},
		"both busy":                     {[]uint64{300_000, 200_000, 300_000, 200_000}, 0, []uint64{600_000, 400_000}},
		"one that is small enough goes": {[]uint64{300_000, 100_000, 200_000, 0, 100_000, 0}, 1, []uint64{400_000, 300_000}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBusy(t, 2, x.rates...)
			b.work(10 * time.Minute)
			got := b.loads(2)
			slices.Sort(got)
			slices.Sort(x.want)
			if len(b.moves) != x.moves || !slices.Equal(got, x.want) {
				t.Errorf("managers %v are moved, the loops have %v; want %d moves and %v", b.moves, got, x.moves, x.want)
			}
		})
	}
}

// TestLoadIsWatched: nothing is moved for bursts, and what was moved stays for a while.
func TestLoadIsWatched(t *testing.T) {
	b := newBusy(t, 2, 0, 0, 0, 0)
	high, none := []uint64{300_000, 0, 300_000, 0}, make([]uint64, 4)
	for range 4 {
		b.rates = none
		b.work(20 * time.Second)
		b.rates = high
		b.work(4 * time.Second)
	}
	if len(b.moves) > 0 {
		t.Fatalf("managers %v are moved for a burst", b.moves)
	}
	b.work(20 * time.Second)
	if len(b.moves) != 1 {
		t.Fatalf("managers %v are moved, want one", b.moves)
	}
	// Beside it one becomes busier, and where it was there is room for it again.
	moved := int(b.moves[0].Manager - 1)
	b.rates = make([]uint64, 4)
	other := slices.IndexFunc(b.at, func(at int) bool { return at == b.at[moved] })
	stays := slices.IndexFunc(b.at, func(at int) bool { return at != b.at[moved] })
	b.rates[moved], b.rates[other], b.rates[stays] = 250_000, 400_000, 100_000
	b.work(35 * time.Second)
	if len(b.moves) > 1 {
		t.Fatalf("manager %d was moved, and %d is after 35 s", b.moves[0].Manager, b.moves[1].Manager)
	}
	b.work(time.Minute)
	if len(b.moves) != 2 || int(b.moves[1].Manager-1) != moved {
		t.Fatalf("managers %v were moved, want %d again after a minute", b.moves, moved+1)
	}
}

// TestLoadComesToRest: with rates that stay as they are every move relieves the busiest loop, and they come to an end.
func TestLoadComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loops := rapid.IntRange(1, 4).Draw(t, "loops")
		rate := rapid.SampledFrom([]uint64{0, 1, 5_000, 30_000, 100_000, 300_000})
		b := newBusy(t, loops, rapid.SliceOfN(rate, 1, 8).Draw(t, "rates")...)
		before := slices.Max(b.loads(loops))
		for range 30 {
			moves := len(b.moves)
			b.work(20 * time.Second)
			high := slices.Max(b.loads(loops))
			if high > before {
				t.Fatalf("after %d moves the busiest loop has %d, before it had %d", len(b.moves), high, before)
			}
			if len(b.moves) > moves+1 {
				t.Fatalf("%d moves in 20 s", len(b.moves)-moves)
			}
			before = high
		}
		moves := len(b.moves)
		if moves > len(b.rates)*loops {
			t.Fatalf("%d moves of %d managers", moves, len(b.rates))
		}
		b.work(5 * time.Minute)
		if len(b.moves) > moves {
			t.Fatalf("after 10 minutes managers are moved still: %v", b.moves[moves:])
		}
	})
}
