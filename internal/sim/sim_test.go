package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/internal/planted"
)

var (
	seedsFlag   = flag.Uint64("sim.seeds", 0, "seeds to run; 0: 200 with the race detector, 2000 without, 100 when -short without it")
	firstFlag   = flag.Uint64("sim.first", 1, "the first seed")
	stepsFlag   = flag.Int("sim.steps", 0, "steps of the phase with faults; 0: 5000")
	loopsFlag   = flag.Int("sim.loops", 0, "manager loops at most; 0: as each seed draws, 1 to 3")
	mostFlag    = flag.String("sim.most", "", "loops,clients,nodes,services at most; 0: as each seed draws")
	withoutFlag = flag.String("sim.without", "", "classes of faults to leave out, with commas")
	verboseFlag = flag.Bool("sim.verbose", false, "print all that happens (of one seed)")
	bugFlag     = flag.String("sim.bug", "", "bug to plant; needs the build tag plantedbugs")
	shrinkFlag  = flag.Int("sim.shrink", 300, "runs to spend on a smaller failure")
)

func options(t *testing.T) Options {
	t.Helper()
	o := Options{Steps: *stepsFlag, Most: Sizes{Loops: *loopsFlag}}
	if o.Steps == 0 {
		o.Steps = 5000
	}
	var err error
	if o.Without, err = ParseFaults(*withoutFlag); err != nil {
		t.Fatalf("-sim.without: %v", err)
	}
	if *mostFlag != "" {
		m := &o.Most
		if _, err := fmt.Sscanf(*mostFlag, "%d,%d,%d,%d", &m.Loops, &m.Clients, &m.Nodes, &m.Services); err != nil {
			t.Fatalf("-sim.most: %q is not four numbers with commas: %v", *mostFlag, err)
		}
	}
	return o
}

func seeds() uint64 {
	switch {
	case *seedsFlag > 0:
		return *seedsFlag
	case raceEnabled:
		return 200
	case testing.Short():
		return 100
	default:
		return 2000
	}
}

// TestSim is the simulation: it runs many seeds, and none may fail.
func TestSim(t *testing.T) {
	if *bugFlag != "" {
		bug, ok := planted.Parse(*bugFlag)
		if !ok || !planted.Choose(bug) {
			t.Fatalf("-sim.bug %q: it is known: %v; bugs can be planted in this program (build tag plantedbugs): %v; known are %v", *bugFlag, ok, planted.Enabled, planted.All())
		}
		defer planted.Choose(planted.None)
	}
	p := Plan{First: *firstFlag, Seeds: seeds(), Options: options(t), Twice: 100}
	if *verboseFlag {
		p.Options.Trace = func(line string) { fmt.Println(line) }
		p.Workers = 1
	}
	r := Check(p)
	t.Log(describe(&r))
	if r.Failed != nil {
		t.Fatal(explain(r.Failed, *shrinkFlag))
	}
	if p.Seeds < 100 || *loopsFlag != 0 || *mostFlag != "" || *withoutFlag != "" {
		return // not everything can happen
	}
	for _, c := range r.Tally.Missing() {
		t.Errorf("%d seeds, and there were no %v: the simulation does not exercise that", p.Seeds, c)
	}
}

// explain shrinks a failure, and tells how to run it again and what happened last.
func explain(f *Failed, runs int) string {
	small := Shrink(*f, runs)
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %v\n  replay: %s\n", f.Options.Seed, f.Outcome.Failure, f.Options.Command(*bugFlag))
	fmt.Fprintf(&b, "smaller: %v\n  replay: %s\n", small.Outcome.Failure, small.Options.Command(*bugFlag))
	var last []string
	o := small.Options
	o.Trace = func(line string) {
		if last = append(last, line); len(last) > 4000 {
			last = append(last[:0], last[3900:]...)
		}
	}
	Run(o)
	for _, line := range last[max(0, len(last)-60):] {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func describe(r *Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d steps in %v on %d cores: %.0f steps/s for each; %v simulated\n", r.Steps.Total(), r.Wall.Round(1e6), r.Workers, r.Rate(), r.Time.Round(1e9))
	for i, n := range r.Steps {
		name := "faults"
		if i < int(places) {
			name = placeNames[i]
		}
		fmt.Fprintf(&b, "  %s: %d steps\n", name, n)
	}
	for c := range counts {
		fmt.Fprintf(&b, "  %-44s %d\n", c, r.Tally[c])
	}
	return b.String()
}
