package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
	"github.com/weft-fabric/weft/sched/scenario"
)

// resultSched is the form of the line that comparisons read.
var resultSched = regexp.MustCompile(`(?m)^RESULT-SCHED\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\d+\.\d+)\|(\d+\.\d+)\|(\d+\.\d+)\|(\d+\.\d+)\|(\d+\.\d+)$`)

// measuredSched runs the command.
func measuredSched(t *testing.T, args ...string) string {
	t.Helper()
	cmd := newSched()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	var out strings.Builder
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}

func TestSchedFill(t *testing.T) {
	out := measuredSched(t, "--nodes", "60", "--requests", "300", "--queues", "27", "--dims", "3", "--passes", "2", "--shapes", "16")
	lines := resultSched.FindAllStringSubmatch(out, -1)
	if len(lines) != 3 { // two passes and the medians
		t.Fatalf("%d lines in\n%s", len(lines), out)
	}
	for _, l := range lines {
		if l[1] != "60" || l[2] != "300" || l[3] != "27" || l[4] == "0" {
			t.Errorf("%q", l[0])
		}
	}
	if !strings.Contains(out, " 0 containers not placed") || !strings.Contains(out, "median of 2 passes\nRESULT-SCHED|") {
		t.Errorf("not all is placed, or no median:\n%s", out)
	}
}

func TestSchedChurn(t *testing.T) {
	out := measuredSched(t, "--nodes", "60", "--requests", "800", "--queues", "27", "--passes", "1", "--seconds", "0.01", "--shapes", "16", "--churn")
	for _, says := range []string{`[1-9]\d* containers ended, [1-9]\d* requests came`, `filled with [1-9]\d* containers`, ` [1-9]\d* leaves at their maxima`, `\(least \d+\.\d %\)`} {
		if !regexp.MustCompile(says).MatchString(out) {
			t.Errorf("no %s in\n%s", says, out)
		}
	}
	if len(resultSched.FindAllString(out, -1)) != 2 {
		t.Error(out)
	}
}

func TestSchedScale(t *testing.T) {
	out := measuredSched(t, "--nodes", "60", "--requests", "300", "--queues", "100", "--passes", "1", "--shapes", "16", "--scale")
	for _, says := range []string{"\nRESULT-SCHED|6|300|100|", "\nRESULT-SCHED|60|300|1|", "from a tenth of the nodes: ", "from a hundredth of the queues: "} {
		if !strings.Contains(out, says) {
			t.Errorf("no %q in\n%s", says, out)
		}
	}
}

// Whether so small a load reaches what a large one is to reach is not the question.
func TestSchedCheck(t *testing.T) {
	cmd := newSched()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(strings.Fields("--nodes 60 --requests 300 --queues 100 --passes 2 --seconds 0.01 --shapes 16 --check"))
	var out strings.Builder
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil && !strings.Contains(err.Error(), "the floor is") {
		t.Fatal(err)
	}
	if lines := resultSched.FindAllString(out.String(), -1); len(lines) != 3*7 {
		t.Errorf("%d lines of 7 cases, two passes and the medians:\n%s", len(lines), out.String())
	}
	verdicts := regexp.MustCompile(`(?m) (goal reached|floor held, goal missed|goal missed|FLOOR MISSED)$`).FindAllString(out.String(), -1)
	r, _ := judged()
	if len(verdicts) != len(r.marks()) {
		t.Errorf("%d verdicts in\n%s", len(verdicts), out.String())
	}
}

func TestSchedRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"--nodes 0":              "--nodes: 0",
		"--dims 99":              "--dims: 99",
		"--batch 0 --passes 0":   "--passes: 0",
		"--churn --seconds NaN":  "--seconds: NaN",
		"--blocked 2":            "--blocked: 2",
		"--scale --check":        "scale",
		"--check --churn":        "churn",
		"--scale --cpuprofile x": "cpuprofile",
	} {
		cmd := newSched()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", args, err, says)
		}
	}
}

// What ends comes again: through a churn of any length the number of requests and what they ask for stay.
func TestChurnKeepsTheLoad(t *testing.T) {
	l := scenario.Load{Nodes: 40, Queues: 20, Requests: 500, Dims: 5, Seed: 7, Shapes: 16, Use: useFull, Blocked: 0.25}
	b, err := newSchedLoad(l)
	if err != nil {
		t.Fatal(err)
	}
	m := schedMeasurement{schedCase: schedCase{load: l, churn: true, batch: 8}, load: b, epoch: time.Now(), latency: newHistogram(), vain: newHistogram(), rng: rand.New(rand.NewPCG(1, 1))}
	if err := m.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if err := m.endSome(); err != nil {
			t.Fatal(err)
		}
		for m.decide() {
		}
	}
	running, live, waiting, some := 0, 0, 0, 0
	for i := range b.requests {
		r := &b.requests[i]
		running += int(r.held)
		if r.want > 0 {
			live++
		}
		if r.held > 0 {
			some++
		}
		if r.held > r.want || r.want > r.count {
			t.Fatalf("%+v", *r)
		}
	}
	for _, a := range m.arriving {
		waiting += len(a)
	}
	if live+waiting != l.Requests || some != len(m.running) || m.pass.Releases < 500*8 || m.pass.Submitted == 0 {
		t.Errorf("%d requests live and %d are to come, %d and %d run, %+v", live, waiting, some, len(m.running), m.pass)
	}
	b.count()
	kept := b.holdings
	b.holdings = holdings{}
	for i := range b.requests {
		b.requests[i].counted = counted{}
	}
	if b.count(); !slices.Equal(kept.used, b.used) || !slices.Equal(kept.demand, b.demand) {
		t.Error("what was counted as it went is not what there is")
	}
	// The scheduler's own count is the same.
	for _, q := range b.scheduler.Queues() {
		if q.Name == "root" && q.Running != running {
			t.Errorf("the scheduler knows of %d containers, of %d here", q.Running, running)
		}
	}
}

// judged is a report on a scheduler that reaches every goal.
func judged() (*schedReport, *strings.Builder) {
	var out strings.Builder
	good := schedPass{
		Decisions: 200_000, Elapsed: time.Second, P50: 3 * time.Microsecond, P99: 20 * time.Microsecond, Max: time.Millisecond,
		Heap: 100e6, Use: 0.96, Jain: 0.9999, JainLeast: 0.9999,
	}
	r := &schedReport{w: &out, cases: schedConfig{check: true, load: scenario.Load{Nodes: 10_000, Requests: 100_000, Queues: 1000}}.cases()}
	for range r.cases {
		r.passes = append(r.passes, []schedPass{good, good, good})
	}
	return r, &out
}

func TestTheVerdictOnTheScheduler(t *testing.T) {
	r, out := judged()
	r.judge()
	if r.err != nil || strings.Contains(out.String(), "missed") || strings.Count(out.String(), "goal reached") != len(r.marks()) {
		t.Errorf("%v\n%s", r.err, out.String())
	}
	for name, spoil := range map[string]func(r *schedReport){
		"decisions/s, fill: 49999; the floor is 50000": func(r *schedReport) {
			for i := range r.passes[0] {
				r.passes[0][i].Decisions = 49_999
			}
		},
		"p99 us, churn: 100.1; the floor is 100.0": func(r *schedReport) { spoilMost(r, caseChurn, func(p *schedPass) { p.P99 = 100_100 }) },
		"slowdown from a hundredth of the queues: 3.50": func(r *schedReport) {
			spoilMost(r, caseFewQueues, func(p *schedPass) { p.Decisions = 700_000 })
		},
	} {
		r, out := judged()
		spoil(r)
		r.judge()
		if r.err == nil || !strings.Contains(r.err.Error(), name) || !strings.Contains(out.String(), "FLOOR MISSED") {
			t.Errorf("error %v, want %q, in\n%s", r.err, name, out.String())
		}
	}
	for name, want := range map[string]struct {
		spoil  func(p *schedPass)
		misses int
	}{
		"MB, ":                    {func(p *schedPass) { p.Heap = 201e6 }, 2},
		"allocations a decision,": {func(p *schedPass) { p.Allocs, p.Alone.Allocs = 3000, 3000 }, 2},
		"Jain's index":            {func(p *schedPass) { p.JainLeast = 0.98 }, 3},
		"p99 us, ":                {func(p *schedPass) { p.P99 = 31 * time.Microsecond }, 3},
	} {
		r, out := judged()
		for i := range r.cases {
			spoilMost(r, r.cases[i].name, want.spoil)
		}
		r.judge()
		missed := regexp.MustCompile(`(?m)^`+name+`.* goal missed$`).FindAllString(out.String(), -1)
		if r.err != nil || len(missed) != want.misses {
			t.Errorf("%s: error %v, in\n%s", name, r.err, out.String())
		}
	}
}

// spoilMost spoils two passes of three, which the median does not forgive.
func spoilMost(r *schedReport, name string, spoil func(p *schedPass)) {
	all := r.of(name)
	spoil(&all[0])
	spoil(&all[2])
}

func TestTheLineOfTheScheduler(t *testing.T) {
	c := schedCase{load: scenario.Load{Nodes: 10_000, Requests: 100_000, Queues: 1000}}
	p := schedPass{
		Decisions: 300_000, Elapsed: 2 * time.Second, P50: 4321 * time.Nanosecond, P99: 20 * time.Microsecond, Max: 1500 * time.Microsecond,
		Heap: 123_456_789, Allocs: 300,
	}
	if got, want := c.line(p), "RESULT-SCHED|10000|100000|1000|150000|4.32|20.00|1500.00|123.5|0.001"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	slow, quick := p, p
	slow.Decisions, quick.Decisions, quick.P50 = 100_000, 900_000, time.Microsecond
	if got := c.line(slow, p, quick); !strings.Contains(got, "|150000|4.32|") {
		t.Errorf("the median is %s", got)
	}
}

// Two leaves of weight 1 and 3 below a parent: what they hold is fair when it is 1 to 3, or when the second has all it wants.
func TestTheFairnessOfALoad(t *testing.T) {
	for _, c := range []struct {
		held, wants [2]int32
		most        float64 // of the second leaf
		want        float64
	}{
		{[2]int32{10, 30}, [2]int32{99, 99}, math.Inf(1), 1},
		{[2]int32{20, 20}, [2]int32{99, 99}, math.Inf(1), 0.8}, // 2 and 2/3 of what is due
		{[2]int32{20, 20}, [2]int32{99, 20}, math.Inf(1), 1},
		{[2]int32{20, 20}, [2]int32{99, 99}, 20, 1},
	} {
		one := resource.Vector{1}
		b := &schedLoad{dims: 1, dimension: []string{"cpu"}, queues: []schedQueue{
			{parent: -1, weight: 1, most: unlimited()},
			{parent: 0, leaf: true, weight: 1, most: unlimited()},
			{parent: 0, leaf: true, weight: 3, most: unlimited(), limited: !math.IsInf(c.most, 1)},
		}}
		b.total[0], b.queues[2].most[0] = 40, c.most
		for i, held := range c.held {
			b.services = append(b.services, schedService{Service: sched.Service{Name: fmt.Sprint(i)}, queue: i + 1})
			b.queues[i+1].requests = []int32{int32(i)}
			b.requests = append(b.requests, schedRequest{capacity: &one, service: int32(i), held: held, want: c.wants[i]})
		}
		if got := b.fairness(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v", c, got)
		}
		blocked := 0
		if c.most == 20 {
			blocked = 1
		}
		if got := b.blocked(); got != blocked {
			t.Errorf("%+v: %d leaves are blocked", c, got)
		}
		if d, part := b.scarcest(); part != 1 || d != "cpu" {
			t.Errorf("%v of %s is used", part, d)
		}
	}
}
