package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func dueTimes(s schedule, n int) (times []time.Duration) {
	for range n {
		times = append(times, s.due())
		s.advance()
	}
	return times
}

// Clients with equal intervals take turns, and together make the rate to the nanosecond, however long it lasts.
func TestConstantSchedule(t *testing.T) {
	const rate, clients, tasks = 3_000_000, 3, 1_000_000
	var all []time.Duration
	for c := range clients {
		all = append(all, dueTimes(newSchedule(rate, arrivalsConstant, c, clients, 1), tasks)...)
	}
	slices.Sort(all)
	for n, due := range all {
		if want := float64(n) * 1e9 / rate; math.Abs(float64(due)-want) > 1 {
			t.Fatalf("task %d is due at %d ns, want %.1f", n, due, want)
		}
	}
}

// Independent arrivals come at the rate in the mean, deviate as an exponential distribution does, and differ by client and
// seed but not from run to run.
func TestPoissonSchedule(t *testing.T) {
	const rate, tasks = 10_000.0, 200_000
	times := dueTimes(newSchedule(rate, arrivalsPoisson, 0, 1, 7), tasks)
	var squares float64
	before := time.Duration(0)
	for _, due := range times {
		if due < before {
			t.Fatalf("due at %v after %v", due, before)
		}
		squares += math.Pow((due - before).Seconds(), 2)
		before = due
	}
	mean := before.Seconds() / tasks
	if deviation := math.Sqrt(squares/tasks - mean*mean); math.Abs(mean*rate-1) > 0.02 || math.Abs(deviation*rate-1) > 0.02 {
		t.Errorf("intervals of %v s in the mean, deviation %v s; want both 1/%v", mean, deviation, rate)
	}
	if again := dueTimes(newSchedule(rate, arrivalsPoisson, 0, 1, 7), tasks); !slices.Equal(again, times) {
		t.Error("the same seed gives another schedule")
	}
	for name, other := range map[string]schedule{
		"seed": newSchedule(rate, arrivalsPoisson, 0, 1, 8), "client": newSchedule(rate, arrivalsPoisson, 1, 2, 7),
	} {
		if slices.Equal(dueTimes(other, 10), times[:10]) {
			t.Errorf("another %s gives the same schedule", name)
		}
	}
}
