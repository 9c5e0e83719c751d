package sim

import "fmt"

// Shrink looks for a smaller run that fails in the same way: fewer steps, then without classes of faults, then fewer
// parties. It gives the smallest that it finds within so many runs.
func Shrink(f Failed, runs int) Failed { return shrink(f, runs, Run) }

func shrink(f Failed, runs int, run func(Options) Outcome) Failed {
	s := shrinker{best: f, runs: runs, run: run}
	s.steps()
	for s.parties() || s.classes() {
		s.steps()
	}
	return s.best
}

type shrinker struct {
	best Failed
	runs int
	run  func(Options) Outcome
}

// try runs a candidate, and keeps it when it fails in the same way.
func (s *shrinker) try(o Options) bool {
	if s.runs <= 0 {
		return false
	}
	s.runs--
	out := s.run(o)
	if out.Failure == nil || out.Failure.Kind != s.best.Outcome.Failure.Kind {
		return false
	}
	s.best = Failed{Options: o, Outcome: out}
	return true
}

// steps looks for fewer steps: first those at which it was noticed, then half of them, and so on.
func (s *shrinker) steps() {
	if at := s.best.Outcome.Failure.Step; at < s.best.Options.Steps {
		o := s.best.Options
		o.Steps = max(at, 1)
		s.try(o)
	}
	for cut := s.best.Options.Steps / 2; cut > 0 && s.runs > 0; cut /= 2 {
		o := s.best.Options
		if o.Steps <= cut {
			continue
		}
		o.Steps -= cut
		s.try(o)
	}
}

// classes leaves classes of faults out, one by one, and says whether that did any good.
func (s *shrinker) classes() (better bool) {
	for f := range faults {
		o := s.best.Options
		if p := newPlan(&o); !p.on.Has(f) {
			continue
		}
		o.Without = o.Without.With(f)
		better = s.try(o) || better
	}
	return better
}

// parties takes parties away, and says whether that did any good.
func (s *shrinker) parties() (better bool) {
	o := s.best.Options
	p := newPlan(&o)
	for _, size := range []struct {
		has int
		set func(*Sizes, int)
	}{
		{p.loops, func(m *Sizes, n int) { m.Loops = n }},
		{p.clients, func(m *Sizes, n int) { m.Clients = n }},
		{p.nodes, func(m *Sizes, n int) { m.Nodes = n }},
		{p.services, func(m *Sizes, n int) { m.Services = n }},
	} {
		for n := 1; n < size.has; n++ {
			o := s.best.Options
			size.set(&o.Most, n)
			if s.try(o) {
				better = true
				break
			}
		}
	}
	return better
}

// Command is the command that runs exactly this again. Bug is the name of the planted bug, empty for none.
func (o *Options) Command(bug string) string {
	c := fmt.Sprintf("make sim SEEDS=1 FIRST=%d STEPS=%d", o.Seed, o.Steps)
	flags := ""
	if o.Without != 0 {
		flags += " -sim.without=" + o.Without.String()
	}
	if m := o.Most; m != (Sizes{}) {
		flags += fmt.Sprintf(" -sim.most=%d,%d,%d,%d", m.Loops, m.Clients, m.Nodes, m.Services)
	}
	if bug != "" {
		c += " BUG=" + bug
	}
	if flags != "" {
		c += " SIMFLAGS='" + flags[1:] + "'"
	}
	return c
}
