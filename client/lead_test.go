package client

import "testing"

// Looks in vain are followed by ever more Calls that sleep at once, up to a limit; one that is not in vain ends that.
func TestSpinnerGivesUpWhereLooksAreInVain(t *testing.T) {
	s := spinner{most: MaxSpin}
	slept := func() (n int) {
		for s.next() == 0 {
			n++
		}
		return n
	}
	for _, want := range []int{0, 2, 4, 8, 16, 32, 64, 64} {
		if n := slept(); n != want {
			t.Fatalf("%d Calls slept at once, want %d", n, want)
		}
		s.learn(false)
	}
	if n := slept(); n != 64 {
		t.Fatalf("%d Calls slept at once, want 64", n)
	}
	s.learn(true)
	for range 3 {
		if d := s.next(); d != MaxSpin {
			t.Fatalf("a Call after a look that was not in vain looks for %v, want %v", d, MaxSpin)
		}
		s.learn(true)
	}
	s.learn(false)
	if n := slept(); n != 2 {
		t.Errorf("%d Calls slept after the first look in vain, want 2", n)
	}
	if never := (&spinner{}); never.next() != 0 {
		t.Error("a client that is told not to spin does")
	}
}
