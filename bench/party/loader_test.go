package party

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// clockwork is a subject whose calls take 2 ms, and whose load completes 10 tasks every millisecond.
type clockwork struct {
	broken atomic.Bool
	most   atomic.Int64 // callers at once
	now    atomic.Int64
}

func (c *clockwork) state() error {
	if c.broken.Load() {
		return errors.New("broken")
	}
	return nil
}

func (c *clockwork) Call(context.Context) error {
	c.most.Store(max(c.most.Load(), c.now.Add(1)))
	<-time.After(2 * time.Millisecond)
	c.now.Add(-1)
	return c.state()
}

func (c *clockwork) Load(ctx context.Context, done *atomic.Uint64) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !c.broken.Load() {
		select {
		case <-tick.C:
			done.Add(10)
		case <-ctx.Done():
			return nil
		}
	}
	return c.state()
}

// give has a loader obey, and fails the test when it cannot.
func give(t *testing.T, l *Loader, o Order) Answer {
	t.Helper()
	a, err := l.Obey(t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", o.Do, err)
	}
	return a
}

func TestLoaderMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockwork{}
		l := NewLoader(c)
		a := give(t, l, Order{Do: "rtt", Time: 9 * time.Millisecond})
		if len(a.Trips) != 5 || a.Trips[4] != 2*time.Millisecond {
			t.Errorf("round trips: %+v", a)
		}
		const interval = 100*time.Millisecond + time.Microsecond // no tick falls on its ends
		for _, test := range []struct {
			load Order
			want uint64
		}{
			{Order{Do: "load", Time: 10*time.Millisecond + time.Microsecond}, 1000},
			{Order{Do: "call", Count: 16, Time: 10*time.Millisecond + time.Microsecond}, 16 * 50},
		} {
			begin := time.Now()
			give(t, l, test.load)
			if got := time.Since(begin); got != test.load.Time {
				t.Errorf("%s: steady after %v", test.load.Do, got)
			}
			for range 2 {
				if a := give(t, l, Order{Do: "count", Time: interval}); a.Tasks != test.want || a.Elapsed != interval {
					t.Errorf("%s: counted %d in %v, want %d", test.load.Do, a.Tasks, a.Elapsed, test.want)
				}
			}
			give(t, l, Order{Do: "rest"})
		}
		if c.most.Load() != 16 || c.now.Load() != 0 {
			t.Errorf("%d callers at once, %d left; want 16 and 0", c.most.Load(), c.now.Load())
		}
	})
}

func TestLoaderRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockwork{}
		l := NewLoader(c)
		refused := func(o Order, want string) {
			t.Helper()
			if _, err := l.Obey(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", o.Do, err, want)
			}
		}
		refused(Order{Do: "sing"}, `unknown order "sing"`)
		refused(Order{Do: "count"}, "no load")
		refused(Order{Do: "rest"}, "no load")
		give(t, l, Order{Do: "load"})
		refused(Order{Do: "call", Count: 1}, "a load already")
		c.broken.Store(true)
		refused(Order{Do: "count", Time: time.Second}, "ended early\nbroken")
		refused(Order{Do: "load", Time: time.Second}, "ended early\nbroken")
		refused(Order{Do: "rtt", Time: time.Second}, "broken")
		refused(Order{Do: "call", Count: 2, Time: time.Second}, "broken")
	})
}
