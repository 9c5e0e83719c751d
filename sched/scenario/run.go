package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/sched"
)

// Run has the scheduler do the steps of a document, and tells what came of it. The error is [Faults] where the document
// is not right.
func Run(doc *Document) (*Output, error) {
	p, faults := compile(doc, nil)
	if len(faults) > 0 {
		return nil, faults
	}
	s, err := sched.New(sched.Config{Space: p.space, Ratio: p.ratio})
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	if err := s.SetQueues(p.queues); err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	for _, n := range p.nodes {
		s.SetNode(n)
	}
	r := runner{program: p, s: s, services: map[string]*service{}, asks: map[string]origin{}, out: Output{Steps: []any{}}}
	for _, in := range p.steps {
		if err := r.step(&in); err != nil {
			return nil, fmt.Errorf("%s: %w", in.place, err)
		}
	}
	return &r.out, nil
}

// runner does the steps of a program.
type runner struct {
	*program
	s        *sched.Scheduler
	services map[string]*service
	asks     map[string]origin // by what the scheduler calls a request
	out      Output
}

// origin is what the scenario calls a request.
type origin struct{ service, request string }

// service is what the scheduler does not keep of a service: which of its containers is how old.
type service struct{ live []sched.Placement }

func (r *runner) step(in *instruction) error {
	switch in.Op {
	case opSubmit:
		if err := r.s.SetService(sched.Service{Name: in.Service, Queue: in.Queue, Weight: in.Weight, User: in.User}); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		r.services[in.Service] = &service{}
		return r.ask(in)
	case opAddRequest:
		return r.ask(in)
	case opSchedule:
		return r.schedule(in)
	case opRelease:
		r.release(in.Service, in.Count)
	case opFinish:
		r.s.RemoveService(in.Service)
		r.services[in.Service].live = nil
	case opAddNode:
		r.s.SetNode(in.node)
	case opRemoveNode:
		r.s.RemoveNode(in.Node)
		for _, v := range r.services { // order does not matter: each service is changed by itself
			v.live = slices.DeleteFunc(v.live, func(p sched.Placement) bool { return p.Node == in.Node })
		}
	case opPreempt:
		r.preempt()
	case opState:
		r.state()
	}
	return nil
}

// ask submits the requests of a step.
func (r *runner) ask(in *instruction) error {
	for _, a := range in.asks {
		if err := r.s.Submit(a.request); err != nil {
			return fmt.Errorf("request %s: %w", a.id, err)
		}
		r.asks[a.request.ID] = origin{in.Service, a.id}
		r.s.Want(a.request.ID, a.count)
	}
	return nil
}

// release gives back the oldest containers of a service, which are not wanted again.
func (r *runner) release(name string, count int) {
	v := r.services[name]
	count = min(count, len(v.live))
	for _, p := range v.live[:count] {
		want, _, _ := r.s.RequestState(p.Request)
		r.s.Want(p.Request, want-1)
		r.s.Release(p.Container)
	}
	v.live = v.live[count:]
}

// schedule places containers. A run to the end may take all short cuts: what is left then was tried, as one more decision
// without short cuts tells.
func (r *runner) schedule(in *instruction) error {
	most := math.MaxInt
	if in.Decisions != nil {
		most = *in.Decisions
	}
	if in.Offer != "" {
		if err := r.s.Offer(in.Offer); err != nil {
			return fmt.Errorf("offer: %w", err)
		}
		defer r.s.EndOffer()
	}
	r.s.ResetTried()
	r.s.SetThorough(in.Decisions != nil)
	out := &Schedule{Op: opSchedule, Placements: []Placement{}, Unplaced: []Unplaced{}}
	out.Placements = r.place(out.Placements, most)
	if in.Decisions == nil && in.Offer == "" {
		r.s.SetThorough(true)
		out.Placements = r.place(out.Placements, most)
	}
	for _, id := range r.s.Tried() {
		e, _ := r.s.Explain(id)
		o := r.asks[id]
		out.Unplaced = append(out.Unplaced, Unplaced{o.service, o.request, e.Want - e.Held, reason(&e)})
	}
	r.out.Steps = append(r.out.Steps, out)
	return nil
}

// place takes decisions until there are so many placements or nothing more can be placed.
func (r *runner) place(placements []Placement, most int) []Placement {
	for len(placements) < most {
		p, ok := r.s.Next()
		if !ok {
			break
		}
		v := r.services[p.Service]
		v.live = append(v.live, p)
		placements = append(placements, Placement{p.Service, r.asks[p.Request].request, p.Queue, p.Node})
	}
	return placements
}

// reason says in words what stands in the way.
func reason(e *sched.Explanation) string {
	if len(e.Reasons) == 0 {
		// What is free only becomes less in a step, and nothing is taken back; users may have more when others do.
		return fmt.Sprintf("until the last decision its user held as much of queue %s as one may while another wants some", e.Queue)
	}
	texts := make([]string, len(e.Reasons))
	for i, why := range e.Reasons {
		texts[i] = why.Text
	}
	return strings.Join(texts, "; ")
}

func (r *runner) preempt() {
	out := &Preempt{Op: opPreempt, GiveBack: map[string]map[string]float64{}}
	for _, g := range r.s.Preempt() {
		amounts := partsOf(r.space, g.Amount)
		for d, n := range g.Amount {
			if n <= 0 {
				delete(amounts, r.space.Names()[d])
			}
		}
		if len(amounts) > 0 {
			out.GiveBack[g.Queue] = amounts
		}
	}
	r.out.Steps = append(r.out.Steps, out)
}

func (r *runner) state() {
	out := &State{
		Op: opState, Running: map[string]int{}, OnNodes: map[string][]string{}, QueueUsed: map[string]map[string]int64{},
		QueueGuaranteed: map[string]map[string]float64{}, QueueRatio: map[string]float64{},
		NodeFree: map[string]map[string]int64{}, Wanted: map[string]int{},
	}
	for name, v := range r.services { // order does not matter: the output is by name
		nodes := make([]string, len(v.live))
		for i, p := range v.live {
			nodes[i] = p.Node
		}
		state, _ := r.s.ServiceState(name) // of one that has finished: nothing
		out.Running[name], out.OnNodes[name], out.Wanted[name] = state.Running, nodes, state.Pending
	}
	for _, q := range r.s.Queues() {
		out.QueueUsed[q.Name] = amountsOf(r.space, q.Used)
		out.QueueGuaranteed[q.Name] = partsOf(r.space, q.Guaranteed)
		out.QueueRatio[q.Name] = short(q.Ratio)
	}
	for _, n := range r.s.NodeStates() {
		out.NodeFree[n.Name] = amountsOf(r.space, n.Free)
	}
	r.out.Steps = append(r.out.Steps, out)
}

// short gives a number to twelve digits, which are those that a ratio has.
func short(x float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 12, 64), 64)
	if err != nil {
		return x
	}
	return short
}

// tidy takes off what the arithmetic of floating point has added to a whole number.
func tidy(x float64) float64 {
	const slack = 1e-12
	if whole := math.Round(x); math.Abs(x-whole) <= slack*max(1, math.Abs(x)) {
		return whole
	}
	return x
}
