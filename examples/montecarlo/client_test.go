package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
)

// small is a pricing of some seconds' work at most.
func small(kind string) *pricing {
	c := usual()
	c.Kind, c.Fixings = kind, 12
	return &pricing{contract: c, precision: 0.05, most: 1e7, batch: 2000, seed: 1, serial: true, instances: 2}
}

// The whole of it, in a fabric within this process.
func TestPrice(t *testing.T) {
	_, c := embed.Test(t, embed.Service(serviceName, newService, embed.WithInstances(2, 2)))
	for _, kind := range []string{european, asian} {
		p := small(kind)
		if kind == asian {
			p.precision = 0.001
		}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		if err := p.price(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		text, err := p.tell(time.Second)
		if err != nil || !strings.Contains(text, "\nright: ") || !strings.Contains(text, "\nequal to the serial run") {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
		if half := p.estimate().HalfWidth(); half > p.precision || half < p.precision/3 {
			t.Errorf("%s: ± %v after %d tasks, wanted %v and not much better", kind, half, p.tasks, p.precision)
		}
		if p.tasks <= pilot {
			t.Errorf("%s: %d tasks; the first round was enough, nothing was tested", kind, p.tasks)
		}
	}
}

func TestMissing(t *testing.T) {
	// With a payoff of standard deviation 1 and a control that is no help the half width is 1.96/sqrt(n).
	p := &pricing{contract: usual(), precision: 0.0098, most: 1e9, batch: 1000, tasks: 10}
	p.sample = Sample{N: 10_000, Mean: 1, Square: 9999}
	if got := p.missing(); got != 31 { // 40,000 paths, and 2 % more, are 40.8 tasks
		t.Errorf("%d tasks are missing, want 31", got)
	}
	p.most = 12_000
	if got := p.missing(); got != 2 {
		t.Errorf("%d tasks are missing, only 2 are allowed", got)
	}
	p.most, p.precision = 1e12, 1e-6
	if got := p.missing(); got != 150 {
		t.Errorf("%d tasks are missing, want 16 times as many as there were in all", got)
	}
	p.precision = 0.02
	if got := p.missing(); got != 0 {
		t.Errorf("%d tasks are missing, though it is precise enough", got)
	}
}

func TestVerdict(t *testing.T) {
	c := usual()
	sample := func(off float64) Sample { // that many standard errors off; the control does not vary
		s := Sample{N: 10_000, Mean: c.BlackScholes(), Square: 9999}
		s.Mean += off * s.Plain().Error
		return s
	}
	for _, tt := range []struct {
		sample    Sample
		precision float64
		text, err string
	}{
		{sample(-1.9), 1, "within the interval", ""},
		{sample(3.9), 1, "beside the interval", ""},
		{sample(4.1), 1, "", "wrong: Black-Scholes gives 10.45"},
		{sample(0), 0.001, "within", "-precision: 0.001 was not reached"},
		{Sample{N: 10}, 1, "", "too far off"},
	} {
		p := &pricing{contract: c, precision: tt.precision, sample: tt.sample}
		text, err := p.verdict()
		if !strings.Contains(text, tt.text) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q, %v; want %q, %q", text, err, tt.text, tt.err)
		}
	}
	wrong := small(european)
	wrong.tasks, wrong.sample = 2, Sample{N: 1}
	if err := wrong.compare(); err == nil {
		t.Error("a sum that is not the serial one passes")
	}
}

func TestCheckPricing(t *testing.T) {
	for flag, spoil := range map[string]func(*pricing){
		"-precision": func(p *pricing) { p.precision = math.NaN() },
		"-max-paths": func(p *pricing) { p.most = 1 },
		"-instances": func(p *pricing) { p.instances = -1 },
		"-batch":     func(p *pricing) { p.batch = 0 },
		"-spot":      func(p *pricing) { p.contract.Spot = -1 },
	} {
		p := small(european)
		spoil(p)
		if err := p.check(); err == nil || !strings.HasPrefix(err.Error(), flag+":") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"buy"}, {"price", "-batch", "0"}, {"price", "-broker", "udp://nowhere"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
