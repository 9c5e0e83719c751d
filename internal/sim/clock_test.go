package sim

import (
	"testing"
	"time"
)

// A clock never goes back, whatever is done to it, and is asked at the right time for what a core waits for.
func TestClock(t *testing.T) {
	draw := newSource(3, 1)
	for range 200 {
		var c clock
		at, last := int64(draw.n(1000)), int64(-1)<<62
		for range 50 {
			at += int64(draw.span(0, 10*time.Second))
			if v := c.reads(at); v < last {
				t.Fatalf("at %d the clock %+v shows %d, and has shown %d", at, c, v, last)
			} else {
				last = v
			}
			wish := last + int64(draw.span(0, time.Minute))
			if when := c.when(wish); c.reads(when) < wish || when > at && c.reads(when-1) >= wish {
				t.Fatalf("the clock %+v shows %d at %d, and is to show %d then for the first time", c, c.reads(when), when, wish)
			}
			switch draw.n(4) {
			case 0:
				c.jump(at, draw.span(0, time.Hour))
			case 1:
				c.set(at, c.reads(at), int64(draw.between(clockUnit/2, 2*clockUnit)))
			}
		}
	}
}

// A process that stands still finds its sockets full afterwards, and its clock further, or where it was.
func TestStandStill(t *testing.T) {
	for name, frozen := range map[string]bool{"its clock goes on": false, "its clock stands still": true} {
		for _, revived := range []bool{false, true} {
			w := calmWorld(t)
			p := w.seats[0].client.process
			w.until(t, "a session is open", func() bool { return w.tally[SessionsOpened] > 0 })
			before, at := p.now(), w.at
			p.standStill(20*time.Second, frozen)
			end := at + int64(20*time.Second)
			if revived {
				end = at + int64(5*time.Second)
				w.after(5*time.Second, p.revive)
			}
			steps := w.steps[atClient]
			w.until(t, "the pause is nearly over", func() bool { return w.at >= end-int64(time.Second) })
			if w.steps[atClient] != steps {
				t.Errorf("%s: it does something while it stands still", name)
			}
			w.until(t, "it goes on", func() bool { return w.steps[atClient] > steps })
			passed := p.now().Sub(before)
			if frozen {
				passed += time.Duration(end - at)
			}
			if d := passed - time.Duration(w.at-at); w.at < end || d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("%s, revived: %v: it goes on after %v, its clock has gone %v", name, revived, time.Duration(w.at-at), passed)
			}
		}
	}
}
