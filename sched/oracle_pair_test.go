package sched_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/platform"
	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// What a scheduler is told of a world, in its own words.

func schedulerFor(w *world) (*Scheduler, error) {
	space, err := resource.NewSpace(dimensionNames[:w.dims]...)
	if err != nil {
		return nil, err
	}
	config := Config{Space: space, Delay: w.delay}
	if w.ratio >= 0 {
		config.Ratio = space.Name(resource.Dimension(w.ratio))
	}
	s, err := New(config)
	if err != nil {
		return nil, err
	}
	for _, n := range w.nodes {
		s.SetNode(n.told())
	}
	return s, setQueues(s, space, w)
}

// setQueues tells a scheduler of the queues, which must stand the check that those of people must stand.
func setQueues(s *Scheduler, space resource.Space, w *world) error {
	var queues []Queue
	for _, q := range w.queues {
		told, err := q.told(w)
		if err != nil {
			return err
		}
		queues = append(queues, told)
	}
	if faults := CheckQueues(space, queues); len(faults) > 0 {
		return fmt.Errorf("%v: %+v", w, faults)
	}
	return s.SetQueues(queues)
}

func (n *oNode) told() Node {
	return Node{Name: n.name, Rack: n.rack, Type: n.kind, Platform: platformOf(n.arch), Capacity: n.cap}
}

func platformOf(arch string) platform.Platform {
	if arch == "" {
		return platform.Platform{}
	}
	return platform.Platform{OS: "linux", Arch: arch}
}

func (q *oQueue) told(w *world) (Queue, error) {
	out := Queue{
		Name: q.name, Priority: q.priority, Policy: q.policy, Reserve: q.reserve,
		Min: q.min, Max: q.max,
	}
	if q.parent != nil {
		out.Parent = q.parent.name
	}
	var faults []error
	percent := func(text string) *Percent {
		if text == "" {
			return nil
		}
		p, err := ParsePercent(text)
		faults = append(faults, err)
		return &p
	}
	out.Capacity, out.MaxPercent, out.UserLimit = percent(q.pct), percent(q.maxPct), percent(q.userPc)
	if q.weight != "" {
		weight, err := strconv.ParseFloat(q.weight, 64)
		faults = append(faults, err)
		out.Weight = &weight
	}
	return out, errors.Join(faults...)
}

func (s *oService) told() Service {
	weight, _ := rat(s.weight).Float64()
	return Service{Name: s.name, Queue: s.queue.name, Weight: weight, User: s.user}
}

func (r *oRequest) told() Request {
	out := Request{
		ID: r.id, Service: r.service.name, Capacity: r.cap, Priority: r.priority, Node: r.node, Rack: r.rack,
		Relaxed: r.relax, NodeType: r.kind, Nodes: r.nodes,
	}
	if r.arch != "" {
		out.Platforms = []platform.Platform{platformOf(r.arch)}
	}
	return out
}

// pair is a world and schedulers that are to come to the same decisions about it.
type pair struct {
	*world
	schedulers []*Scheduler // with short cuts, without, and in the smallest slices
	judge      judge
	named      int                // services and nodes so far
	tried      map[*oRequest]bool // in vain, by the oracle, since scheduling began; nil: nobody asks it
}

// judge looks at a decision before it counts. A request of nil says that nothing is to be placed.
type judge func(t *rapid.T, p *pair, r *oRequest, n, offer *oNode)

func newPair(t *rapid.T, verdict judge) *pair {
	p := &pair{world: drawWorld(t), judge: verdict, named: 100}
	for range 3 {
		s, err := schedulerFor(p.world)
		if err != nil {
			t.Fatal(err)
		}
		p.schedulers = append(p.schedulers, s)
	}
	p.schedulers[1].SetThorough(true)
	t.Logf("%v", p.world)
	for range upTo(t, "services", 0, 4) {
		p.submit(t)
	}
	return p
}

func (p *pair) each(t *rapid.T, do func(s *Scheduler) error) {
	for _, s := range p.schedulers {
		if err := do(s); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *pair) submit(t *rapid.T) {
	if len(p.svcs) > 7 {
		t.Skip("enough services")
	}
	p.named++
	s := p.drawService(t, p.named)
	p.svcs = append(p.svcs, s)
	p.each(t, func(x *Scheduler) error { return x.SetService(s.told()) })
	for range upTo(t, "requests", 0, 3) {
		p.addRequest(t, s)
	}
}

func (p *pair) addRequest(t *rapid.T, s *oService) {
	r := p.drawRequest(t, s, len(s.requests))
	s.requests = append(s.requests, r)
	t.Logf("%v", r.words(p.world))
	p.each(t, func(x *Scheduler) error {
		if err := x.Submit(r.told()); err != nil {
			return err
		}
		x.Want(r.id, r.wanted)
		return nil
	})
}

// someService draws one of the services there are.
func (p *pair) someService(t *rapid.T) *oService {
	if len(p.svcs) == 0 {
		t.Skip("no service")
	}
	return pick(t, "service", p.svcs...)
}

// decide has all decide once, alike. It says whether there was anything to place.
func (p *pair) decide(t *rapid.T, offer *oNode) bool {
	var first Placement
	for i, s := range p.schedulers {
		got := next(s, i == inSlices && offer == nil)
		if i > 0 && got != first {
			t.Fatalf("scheduler %d: %+v, but scheduler 0: %+v", i, got, first)
		}
		first = got
	}
	var r *oRequest
	var n *oNode
	for _, s := range p.svcs {
		for _, x := range s.requests {
			if x.id == first.Request && s.name == first.Service && s.queue.name == first.Queue {
				r = x
			}
		}
	}
	for _, x := range p.nodes {
		if x.name == first.Node {
			n = x
		}
	}
	if (first != Placement{}) && (r == nil || n == nil || r.wanted == 0 || offer != nil && n != offer) {
		t.Fatalf("%+v is not wanted", first)
	}
	p.judge(t, p, r, n, offer)
	if r == nil {
		return false
	}
	t.Logf("%s goes to %s", r.id, n.name)
	p.place(uint64(first.Container), r, n)
	return true
}

// inSlices is the scheduler that decides in slices, each just long enough to come from the root to a request.
const inSlices = 2

func next(s *Scheduler, inSlices bool) Placement {
	if !inSlices {
		p, _ := s.Next()
		return p
	}
	for {
		if p, _, more := s.NextWithin(1); !more {
			return p
		}
	}
}

// asTheOracle is the judge who has the oracle decide.
func asTheOracle(t *rapid.T, p *pair, r *oRequest, n, offer *oNode) {
	want := p.world.decide(offer)
	for _, x := range want.tried {
		p.tried[x] = true
	}
	switch {
	case want.request == r && want.node == n:
	case want.request == nil:
		t.Fatalf("%s to %s, but nothing can be placed", r.id, n.name)
	case r == nil:
		t.Fatalf("nothing, but %s goes to %s", want.request.id, want.node.name)
	default:
		t.Fatalf("%s to %s, but %s goes to %s", r.id, n.name, want.request.id, want.node.name)
	}
}

// schedule has all decide some times, or until nothing more can be placed.
func (p *pair) schedule(t *rapid.T, decisions int, offer *oNode) {
	if offer != nil {
		p.each(t, func(s *Scheduler) error { return s.Offer(offer.name) })
	}
	p.each(t, func(s *Scheduler) error { s.ResetTried(); return nil })
	clear(p.tried)
	for n := 0; n != decisions && p.decide(t, offer); n++ {
	}
	if offer != nil {
		p.each(t, func(s *Scheduler) error { s.EndOffer(); return nil })
		p.endOffer()
	}
	if p.tried != nil {
		p.sameTried(t)
	}
}

// sameTried compares who was tried in vain and wants something still; without short cuts nobody is left out.
func (p *pair) sameTried(t *rapid.T) {
	var want []string
	for _, s := range p.svcs {
		for _, r := range s.requests {
			if p.tried[r] && r.wanted > 0 {
				want = append(want, r.id)
			}
		}
	}
	if got := p.schedulers[1].Tried(); !slices.Equal(got, want) {
		t.Fatalf("%v were tried in vain, not %v", got, want)
	}
}

// give gives back the oldest containers of a service.
func (p *pair) give(t *rapid.T, s *oService, count int) {
	for _, c := range p.release(s, count) {
		p.each(t, func(x *Scheduler) error {
			x.Want(c.request.id, c.request.wanted+p.held(c.request))
			x.Release(Container(c.id))
			return nil
		})
	}
}

// agree compares what follows from what is placed.
func (p *pair) agree(t *rapid.T) {
	for i, s := range p.schedulers {
		if err := errors.Join(p.sameQueues(s), p.sameNodes(s), p.samePreempt(s)); err != nil {
			t.Fatalf("scheduler %d: %v", i, err)
		}
	}
}

func (p *pair) sameQueues(s *Scheduler) (err error) {
	states := s.Queues()
	if len(states) != len(p.queues) {
		return fmt.Errorf("%d queues, not %d", len(states), len(p.queues))
	}
	for _, got := range states {
		q := p.queues[slices.IndexFunc(p.queues, func(q *oQueue) bool { return q.name == got.Name })]
		if used := p.queueUsed(q); got.Used != used {
			err = errors.Join(err, fmt.Errorf("%s uses %v, not %v", q.name, got.Used, used))
		}
		guaranteed, maximum := p.guaranteed(q), p.maximum(q)
		for d := range p.dims {
			if !near(got.Guaranteed[d], guaranteed[d]) {
				err = errors.Join(err, fmt.Errorf("%s is guaranteed %v, not %v", q.name, got.Guaranteed, guaranteed))
			}
			if !near(got.Most[d], maximum[d]) {
				err = errors.Join(err, fmt.Errorf("%s has at most %v, not %v", q.name, got.Most, maximum))
			}
		}
		u := p.usage(q)
		if u.beyond && (got.Ratio < 1 || math.IsInf(got.Ratio, 0)) || !u.beyond && !near(got.Ratio, u.ratio) {
			err = errors.Join(err, fmt.Errorf("%s has ratio %v, not %+v", q.name, got.Ratio, u))
		}
	}
	return err
}

func (p *pair) sameNodes(s *Scheduler) (err error) {
	states := s.NodeStates()
	if len(states) != len(p.nodes) {
		return fmt.Errorf("%d nodes, not %d", len(states), len(p.nodes))
	}
	for i, n := range p.nodes {
		if got := states[i]; got.Name != n.name || got.Free != p.free(n) {
			err = errors.Join(err, fmt.Errorf("node %s has free %v, not %s, %v", got.Name, got.Free, n.name, p.free(n)))
		}
	}
	return err
}

// within9 says whether an amount is the one wanted, to nine digits of the whole.
func within9(amount float64, want *big.Rat, whole int64) bool {
	exact, _ := want.Float64()
	return math.Abs(amount-exact) <= 1e-9*max(1, float64(whole))
}

func (p *pair) samePreempt(s *Scheduler) (err error) {
	got, cluster := make(map[string][]float64), p.cluster()
	for _, g := range s.Preempt() {
		got[g.Queue] = g.Amount
	}
	for queue, want := range p.giveBack() {
		for d := range p.dims {
			amount := 0.0
			if got[queue] != nil {
				amount = got[queue][d]
			}
			if !within9(amount, want[d], cluster[d]) {
				err = errors.Join(err, fmt.Errorf("%s gives back %v, not %v", queue, got[queue], want))
			}
		}
		delete(got, queue)
	}
	if len(got) > 0 {
		err = errors.Join(err, fmt.Errorf("%v give back too, and are no leaves", got))
	}
	return err
}
