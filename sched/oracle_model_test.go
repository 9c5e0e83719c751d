package sched_test

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// near says whether a number is the fraction, but for rounding.
func near(got float64, want *big.Rat) bool {
	w, _ := want.Float64()
	return math.Abs(got-w) <= 1e-9*max(1, math.Abs(w))
}

// Whatever is done in whatever order, the scheduler decides as the oracle does, with short cuts and without.
func TestTheSchedulerDecidesAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(t, asTheOracle)
		p.tried = make(map[*oRequest]bool)
		t.Repeat(p.actions())
	})
}

func (p *pair) actions() map[string]func(*rapid.T) {
	some := func(t *rapid.T) {
		n := upTo(t, "decisions", 1, 3)
		t.Logf("schedule %d", n)
		p.schedule(t, n, nil)
	}
	return map[string]func(*rapid.T){
		"":              p.agree,
		"submit":        p.submit,
		"add request":   p.addMore,
		"schedule some": some,
		"schedule more": some,
		"schedule all":  func(t *rapid.T) { t.Logf("schedule"); p.schedule(t, -1, nil) },
		"offer":         p.offer,
		"offer round":   p.offerRound,
		"release":       p.giveSome,
		"release too":   p.giveSome,
		"want":          p.changeMind,
		"finish":        p.end,
		"add node":      p.addNode,
		"remove node":   p.dropNode,
		"configure":     p.configure,
	}
}

// seldom skips most of the times.
func seldom(t *rapid.T) {
	if !oneIn(t, "really", 3) {
		t.Skip("seldom")
	}
}

func (p *pair) giveSome(t *rapid.T) {
	s, n := p.someService(t), upTo(t, "containers", 1, 4)
	t.Logf("release %s %d", s.name, n)
	p.give(t, s, n)
}

// changeMind has a request want more or fewer containers.
func (p *pair) changeMind(t *rapid.T) {
	s := p.someService(t)
	if len(s.requests) == 0 {
		t.Skip("no request")
	}
	r := pick(t, "request", s.requests...)
	held := p.held(r)
	if held == 0 && r.wanted == 0 {
		t.Skip("forgotten")
	}
	r.wanted = upTo(t, "wants", 0, 6)
	t.Logf("%s wants %d more", r.id, r.wanted)
	if r.wanted+held == 0 {
		delete(p.waiting, r)
	}
	p.each(t, func(x *Scheduler) error { x.Want(r.id, r.wanted+held); return nil })
}

func (p *pair) end(t *rapid.T) {
	seldom(t)
	s := p.someService(t)
	t.Logf("finish %s", s.name)
	p.finish(s)
	p.each(t, func(x *Scheduler) error { x.RemoveService(s.name); return nil })
}

func (p *pair) addMore(t *rapid.T) {
	if s := p.someService(t); len(s.requests) < 4 {
		p.addRequest(t, s)
	}
}

func (p *pair) offer(t *rapid.T) {
	if len(p.nodes) == 0 {
		t.Skip("no node")
	}
	n := pick(t, "offered", p.nodes...)
	if p.delay {
		p.beat(t, n)
		return
	}
	decisions := pick(t, "decisions", -1, -1, 1, 2)
	t.Logf("offer %s %d", n.name, decisions)
	p.schedule(t, decisions, n)
}

// offerRound offers all nodes in turn, as their heartbeats do.
func (p *pair) offerRound(t *rapid.T) {
	t.Logf("offer all")
	for _, n := range p.nodes {
		if p.delay {
			p.beat(t, n)
		} else {
			p.schedule(t, -1, n)
		}
	}
}

// beat is how a node is offered where requests wait anyway.
func (p *pair) beat(t *rapid.T, n *oNode) {
	t.Logf("heartbeat of %s", n.name)
	p.heartbeat(n)
	p.each(t, func(s *Scheduler) error { s.Heartbeat(n.name); return nil })
	p.schedule(t, -1, nil)
}

func (p *pair) addNode(t *rapid.T) {
	seldom(t)
	if len(p.nodes) > 7 {
		t.Skip("enough nodes")
	}
	p.named++
	n := p.drawNode(t, p.named)
	t.Logf("add %s", n.words(p.world))
	p.nodes = append(p.nodes, n)
	p.each(t, func(s *Scheduler) error { s.SetNode(n.told()); return nil })
}

func (p *pair) dropNode(t *rapid.T) {
	seldom(t)
	if len(p.nodes) == 0 {
		t.Skip("no node")
	}
	n := pick(t, "removed", p.nodes...)
	t.Logf("remove node %s", n.name)
	p.removeNode(n)
	p.each(t, func(s *Scheduler) error { s.RemoveNode(n.name); return nil })
}

// configure changes every limit, policy and share while things run.
func (p *pair) configure(t *rapid.T) {
	seldom(t)
	p.drawLimits(t)
	t.Logf("configure %v", p.world)
	space, _ := resource.NewSpace(dimensionNames[:p.dims]...)
	p.each(t, func(s *Scheduler) error { return setQueues(s, space, p.world) })
}

// What the oracle itself does is checked where the rules have an example.
func TestTheOracleItself(t *testing.T) {
	w := &world{dims: 1, gpu: -1, ratio: -1, queues: []*oQueue{{name: "root"}}}
	w.nodes = []*oNode{{name: "n", cap: resource.Vector{100}}}
	used, wanted := []int{30, 60, 10, 0}, []int{20, 5, 20, 0}
	for i, pct := range []string{"10", "40", "20", "30"} {
		q := &oQueue{name: string(rune('A' + i)), parent: w.queues[0], pct: pct}
		s := &oService{name: q.name, queue: q, weight: "1"}
		r := &oRequest{service: s, cap: resource.Vector{1}, wanted: used[i] + wanted[i]}
		s.requests = append(s.requests, r)
		w.queues, w.svcs = append(w.queues, q), append(w.svcs, s)
		for range used[i] {
			w.place(0, r, w.nodes[0])
		}
	}
	got := w.giveBack()
	if want := big.NewRat(110, 7); got["A"][0].Cmp(want) != 0 || got["C"][0].Sign() != 0 {
		t.Errorf("%v", got)
	}
	if order := slices.SortedStableFunc(slices.Values(w.queues[1:]), w.compareQueues); order[0].name != "D" || order[1].name != "C" || order[3].name != "A" {
		t.Errorf("%v", order)
	}
}
