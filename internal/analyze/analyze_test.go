package analyze

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// all counts n durations of d.
func all(n uint64, d time.Duration) (h protocol.Histogram) {
	h.Add(d, n)
	return h
}

// healthy is a session of ten seconds in which 10,000 tasks of 1 ms were executed one by one on two instances, for a client
// that takes results at once. What a test is about is changed by it.
func healthy(change func(s *protocol.Stats)) *protocol.Stats {
	began := time.Unix(1_800_000_000, 0)
	s := &protocol.Stats{
		Since: began, At: began.Add(11 * time.Second), Submitted: 10_000, Done: 10_000, BytesIn: 10_000 * 16, BytesOut: 10_000 * 16,
		Queued: all(10_000, 2*time.Microsecond), Executing: all(10_000, 40*time.Microsecond), InFlight: all(900, 300*time.Microsecond),
		Returning: all(100, 200*time.Microsecond), Active: 10 * time.Second, Serving: 20 * time.Second, Busy: 400 * time.Millisecond,
		Instances: 2, Most: 4, Slots: 1,
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestOf(t *testing.T) {
	cases := []struct {
		name string
		want Bottleneck
		says []string // in summary, evidence or advice
		s    *protocol.Stats
	}{
		{"all is well", Nothing, []string{"executes for 40 us"}, healthy(nil)},
		{"nothing at all", TooLittle, []string{"0 tasks finished so far", "0 tasks wait, 0 in flight; 0 instances at work"}, &protocol.Stats{}},
		{"the first tasks run", TooLittle, []string{"No task was finished in 30 s; 2 tasks in flight"}, &protocol.Stats{
			Submitted: 2, Flying: 2, Active: 30 * time.Second, Serving: time.Minute, Busy: time.Minute, Instances: 2, Slots: 1,
		}},
		{"no instance comes", TooFewInstances, []string{"without any instance", "weft service info", "100 tasks wait now"}, &protocol.Stats{
			Submitted: 100, Waiting: 100, Active: 30 * time.Second, Starved: 30 * time.Second, Most: 4, Slots: 1,
		}},
		{"a queue", TooFewInstances, []string{"wait for 2.01 s", "executed for 10 ms", "more than 2", "100 %"}, healthy(func(s *protocol.Stats) {
			s.Queued, s.InFlight, s.Executing = all(2000, 2*time.Second), all(900, 20*time.Millisecond), all(2000, 10*time.Millisecond)
			s.Done, s.Starved, s.Busy, s.Most, s.Waiting = 2000, 10*time.Second, 20*time.Second, 2, 5000
		})},
		{"a queue for one", TooFewInstances, []string{"while the only instance is at work", "; 1 task waits now", "with 1 slot each", "at most 10 ms, 99 of 100"}, healthy(func(s *protocol.Stats) {
			s.Queued, s.InFlight, s.Executing = all(2000, 2*time.Second), all(900, 20*time.Millisecond), all(2000, 10*time.Millisecond)
			s.Done, s.Starved, s.Busy, s.Serving, s.Instances, s.Most, s.Waiting = 2000, 10*time.Second, 10*time.Second, 10*time.Second, 1, 1, 1
		})},
		{"a queue, and nodes are missing", TooFewInstances, []string{"there may be 40", "while all 2 instances are at work"}, healthy(func(s *protocol.Stats) {
			s.Queued, s.InFlight, s.Executing = all(2000, 2*time.Second), all(900, 20*time.Millisecond), all(2000, 10*time.Millisecond)
			s.Done, s.Starved, s.Busy, s.Most = 2000, 10*time.Second, 20*time.Second, 40
		})},
		{"a hook that takes long", SlowHook, []string{"OnTaskExec", "200 ms", "95 %"}, healthy(func(s *protocol.Stats) {
			s.Submitted, s.Done = 100, 100
			s.InFlight, s.Executing, s.Busy = all(90, 210*time.Millisecond), all(100, 200*time.Millisecond), 20*time.Second
		})},
		{"a hook that takes long, called one by one", SlowHook, []string{"50 %"}, healthy(func(s *protocol.Stats) {
			s.Submitted, s.Done = 50, 50
			s.InFlight, s.Executing, s.Busy = all(50, 201*time.Millisecond), all(50, 200*time.Millisecond), 10*time.Second
		})},
		{"a few tasks that take long", SlowHook, []string{"few tasks take far longer"}, healthy(func(s *protocol.Stats) {
			s.Executing = all(9000, time.Millisecond)
			s.Executing.Add(300*time.Millisecond, 1000)
			s.InFlight, s.Busy = all(900, 32*time.Millisecond), 15*time.Second
		})},
		{"megabytes", BigPayloads, []string{"8 MiB", "moving"}, healthy(func(s *protocol.Stats) {
			s.Submitted, s.Done, s.BytesIn, s.BytesOut = 500, 500, 500*8<<20, 500*16
			s.Queued, s.InFlight, s.Executing = all(500, 100*time.Millisecond), all(400, 40*time.Millisecond), all(500, 3*time.Millisecond)
			s.Busy, s.Starved = 1500*time.Millisecond, 9*time.Second
		})},
		{"megabytes, and the copying of them keeps the instances busy", BigPayloads, nil, healthy(func(s *protocol.Stats) {
			s.Submitted, s.Done, s.BytesIn, s.BytesOut = 500, 500, 500*8<<20, 500*8<<20
			s.Queued, s.InFlight, s.Executing = all(500, 100*time.Millisecond), all(400, 60*time.Millisecond), all(500, 25*time.Millisecond)
			s.Busy, s.Starved = 15*time.Second, 9*time.Second
		})},
		{"megabytes that are worked on", TooFewInstances, nil, healthy(func(s *protocol.Stats) {
			s.Submitted, s.Done, s.BytesIn, s.BytesOut = 100, 100, 100*8<<20, 100*16
			s.Queued, s.InFlight, s.Executing = all(100, 4*time.Second), all(90, 500*time.Millisecond), all(100, 200*time.Millisecond)
			s.Busy, s.Starved = 20*time.Second, 9*time.Second
		})},
		{"results that nobody takes", SlowClient, []string{"80 %", "callback"}, healthy(func(s *protocol.Stats) {
			s.Blocked, s.Queued, s.Returning = 8*time.Second, all(10_000, time.Second), all(5, 2*time.Second)
		})},
		{"results that are taken late", SlowClient, []string{"lie at the client for 50 ms"}, healthy(func(s *protocol.Stats) {
			s.Returning = all(100, 50*time.Millisecond)
		})},
		{"results that are taken late, behind a queue", TooFewInstances, nil, healthy(func(s *protocol.Stats) {
			s.Queued, s.InFlight, s.Executing = all(2000, 100*time.Millisecond), all(900, 20*time.Millisecond), all(2000, 10*time.Millisecond)
			s.Done, s.Starved, s.Busy, s.Returning = 2000, 10*time.Second, 20*time.Second, all(100, time.Second)
		})},
		{"tasks that fail at first", Retries, []string{"33 %", "5,000 repeats of 10,000", "50 ms for each repeat", "worker.Permanent"}, healthy(func(s *protocol.Stats) {
			s.Retried, s.Delayed = 5000, 250*time.Second
		})},
		{"few tasks that wait long for their next attempt", Retries, []string{"10 s for each"}, healthy(func(s *protocol.Stats) {
			s.Retried, s.Delayed = 10, 100*time.Second
		})},
		{"few repeats", Nothing, nil, healthy(func(s *protocol.Stats) { s.Retried, s.Delayed = 100, 100*time.Millisecond })},
		{"a client that sends little", Nothing, []string{"for 500 ms of 11 s", "send tasks earlier"}, healthy(func(s *protocol.Stats) {
			s.Active, s.Serving = 500*time.Millisecond, time.Second
		})},
		{"tiny tasks", Nothing, []string{"so short", "more work into one"}, healthy(func(s *protocol.Stats) {
			s.Queued, s.InFlight, s.Executing = all(10_000, 5*time.Millisecond), all(900, 2*time.Millisecond), all(10_000, time.Microsecond)
			s.Starved = 9 * time.Second
		})},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := Of(c.s)
			text := strings.Join(append(append([]string{a.Summary}, a.Evidence...), a.Advice...), "\n")
			if a.Bottleneck != c.want {
				t.Fatalf("it is %q, want %q:\n%s", a.Bottleneck, c.want, text)
			}
			for _, part := range c.says {
				if !strings.Contains(text, part) {
					t.Errorf("it does not say %q:\n%s", part, text)
				}
			}
			if a.Bottleneck != TooLittle && len(a.Evidence) == 0 {
				t.Error("there are no figures")
			}
		})
	}
}

// TestWhatElseThereIs has a client take nothing of a service whose hook is slow as well.
func TestWhatElseThereIs(t *testing.T) {
	a := Of(healthy(func(s *protocol.Stats) {
		s.Blocked, s.Executing, s.InFlight, s.Busy = 5*time.Second, all(100, 200*time.Millisecond), all(90, 210*time.Millisecond), 20*time.Second
	}))
	if a.Bottleneck != SlowClient || len(a.Also) != 1 || a.Also[0].Bottleneck != SlowHook {
		t.Errorf("%+v", a)
	}
}

func TestStepsAndRates(t *testing.T) {
	a := Of(healthy(nil))
	if len(a.Steps) != 4 || a.Steps[1].Name != "in flight" || a.Steps[1].Count != 900 || a.Steps[1].Mean != 300*time.Microsecond || a.Steps[1].P99 < a.Steps[1].P50 {
		t.Errorf("%+v", a.Steps)
	}
	if a.Rates != (Rates{Tasks: 1000, BytesIn: 16_000, BytesOut: 16_000}) {
		t.Errorf("%+v", a.Rates)
	}
}

// TestBoundaries goes over the borders between one bottleneck and the next.
func TestBoundaries(t *testing.T) {
	of := func(change func(s *protocol.Stats)) Bottleneck { return Of(healthy(change)).Bottleneck }
	hook := func(wait time.Duration) Bottleneck {
		return of(func(s *protocol.Stats) {
			s.Executing, s.InFlight, s.Busy = all(1000, 10*time.Millisecond), all(900, 10*time.Millisecond), 20*time.Second
			s.Queued = all(1000, wait)
		})
	}
	if a, b := hook(10*time.Millisecond), hook(10*time.Millisecond+1); a != SlowHook || b != TooFewInstances {
		t.Errorf("a task that waits as long as it executes: %s; longer: %s", a, b)
	}
	repeats := func(n uint64) Bottleneck { return of(func(s *protocol.Stats) { s.Retried = n }) }
	if a, b := repeats(2499), repeats(2500); a != Nothing || b != Retries {
		t.Errorf("just less than a fifth of all attempts are repeats: %s; a fifth: %s", a, b)
	}
	blocked := func(d time.Duration) Bottleneck { return of(func(s *protocol.Stats) { s.Blocked = d }) }
	if a, b := blocked(2999*time.Millisecond), blocked(3*time.Second); a != Nothing || b != SlowClient {
		t.Errorf("the client is waited for for 29.99 %% of the time: %s; 30 %%: %s", a, b)
	}
	size := func(n uint64) Bottleneck {
		return of(func(s *protocol.Stats) { s.BytesIn, s.BytesOut = 10_000*n, 0 })
	}
	if a, b := size(128<<10-1), size(128<<10); a != Nothing || b != BigPayloads {
		t.Errorf("payloads of just less than 128 KiB: %s; of 128 KiB: %s", a, b)
	}
	finished := func(n uint64, active time.Duration) Bottleneck {
		return of(func(s *protocol.Stats) { s.Submitted, s.Done, s.Active = n, n, active })
	}
	if a, b, c := finished(9, time.Second), finished(10, time.Second), finished(1, 2*time.Second); a != TooLittle || b == TooLittle || c == TooLittle {
		t.Errorf("9 tasks: %s; 10: %s; one in two seconds: %s", a, b, c)
	}
	late := func(back time.Duration) Bottleneck {
		return of(func(s *protocol.Stats) {
			s.Queued, s.InFlight, s.Returning = all(10_000, 2*time.Millisecond), all(900, 4*time.Millisecond), all(10, back)
		})
	}
	if a, b := late(12*time.Millisecond-1), late(12*time.Millisecond); a != Nothing || b != SlowClient {
		t.Errorf("results are taken a little earlier than after twice the time before: %s; then: %s", a, b)
	}
}
