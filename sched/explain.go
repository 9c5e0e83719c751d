package sched

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/sched/resource"
)

// Explanation says why a request has not all that it wants.
type Explanation struct {
	Request  string
	Service  string
	Queue    string
	Want     int      // containers, in all
	Held     int      // of them
	Position int      // among the requests of the queue that want containers, from 1; 0: it wants none
	Reasons  []Reason // none: the next container is about to be placed
	// Full are the nodes that lack nothing but room: they would do if containers there ended.
	Full []string
}

// Reason is one thing that stands in the way.
type Reason struct {
	Barrier   Barrier
	Queue     string // whose maximum or order it is
	Dimension string // that is short
	Short     int64  // of it, at least, where that is known
	Nodes     int    // how many nodes it is about
	Of        int    // how many there are
	Text      string // all of it in words
}

// String gives the explanation in words, "" for a request that has what it wants.
func (e *Explanation) String() string {
	if e.Held >= e.Want {
		return ""
	}
	head := fmt.Sprintf("queue %s: %d of %d containers placed", e.Queue, e.Held, e.Want)
	if e.Position > 1 {
		head += fmt.Sprintf(", number %d in line", e.Position)
	}
	parts := []string{head}
	for _, r := range e.Reasons {
		parts = append(parts, r.Text)
	}
	if len(e.Reasons) == 0 {
		parts = append(parts, "the next one is about to be placed")
	}
	return strings.Join(parts, "; ")
}

// Explain says what stands in the way of what a request still wants; ok is false when it is not known.
func (s *Scheduler) Explain(id string) (e Explanation, ok bool) {
	r := s.requests[id]
	if r == nil {
		return Explanation{}, false
	}
	ledger{s}.settle()
	f := r.service.leaf
	e = Explanation{Request: id, Service: r.service.Name, Queue: f.queue.Name, Want: r.want, Held: r.held}
	if r.lacks() == 0 {
		return e, true
	}
	ledger{s}.refresh(f)
	ahead := f.ahead(r)
	e.Position = len(ahead) + 1
	for q := f.queue; q != nil; q = q.parent {
		if q.limited && !q.within(&r.class.ask) {
			e.Reasons = append(e.Reasons, explainer{s}.overMax(q, &r.class.ask)...)
		}
	}
	if !f.policy.allows(f, &r.class.ask, r.service.user) {
		e.Reasons = append(e.Reasons, Reason{Barrier: UserLimit, Queue: f.queue.Name, Text: fmt.Sprintf(
			"user %q holds as much of queue %s as one of %d users may while another wants some (%s %% of it)",
			r.service.User, f.queue.Name, f.present, percent(f.userPart()))})
	}
	if f.queue.Reserve && len(ahead) > 0 {
		head := slices.MinFunc(ahead, func(a, b *request) int {
			x, y := a.key(), b.key()
			return x.compare(&y)
		})
		e.Reasons = append(e.Reasons, Reason{Barrier: Reserved, Queue: f.queue.Name, Text: fmt.Sprintf(
			"request %s of service %s is ahead of it, and queue %s keeps the place that the first in line waits for",
			head.id, head.service.Name, f.queue.Name)})
	}
	v := explainer{s}.survey(r)
	switch {
	case v.able == 0:
		e.Reasons = append(e.Reasons, v.reasons...)
	case s.offered != nil && len(e.Reasons) == 0:
		e.Reasons = append(e.Reasons, explainer{s}.passed(r)...)
	case r.delayed:
		e.Reasons = append(e.Reasons, Reason{Barrier: Preferred, Nodes: v.able, Of: len(s.cluster.order), Text: fmt.Sprintf(
			"it prefers %s, which is full, and lets %d of %d offers of other places pass first", r.where(), r.missed, r.lacks())})
	}
	e.Full = v.full
	return e, true
}

// ahead lists the requests of the leaf that stand before r, in no order.
func (f *leaf) ahead(r *request) []*request {
	var out []*request
	at := r.key()
	for _, v := range f.members {
		for _, o := range v.requests {
			if k := o.key(); o.lacks() > 0 && k.less(&at) {
				out = append(out, o)
			}
		}
	}
	return out
}

func percent(part float64) string { return Percent(part * float64(Hundred)).String() }

func (r *request) where() string {
	switch {
	case r.node != "" && r.rack != "":
		return "node " + r.node + " in rack " + r.rack
	case r.node != "":
		return "node " + r.node
	default:
		return "rack " + r.rack
	}
}

// explainer finds reasons.
type explainer struct{ *Scheduler }

// overMax says in which dimensions one more container would take a queue over its maximum.
func (s explainer) overMax(q *queue, ask *resource.Vector) []Reason {
	var out []Reason
	for i, limit := range q.limit {
		d := resource.Dimension(i)
		if q.used[d]+ask[d] <= limit {
			continue
		}
		out = append(out, Reason{
			Barrier: QueueMax, Queue: q.Name, Dimension: s.space.Name(d), Short: q.used[d] + ask[d] - limit,
			Text: fmt.Sprintf("queue %s is at its maximum of %s: %s needed, %s of %s left", q.Name, s.space.Name(d),
				s.space.Format(d, ask[d]), s.space.Format(d, max(limit-q.used[d], 0)), s.space.Format(d, limit)),
		})
	}
	return out
}

// moment is when something was seen: it is so until there is a change, a decision or another offer.
type moment struct {
	now, decisions uint64
	offered        *node
}

// survey is what stands between a class and the nodes.
type survey struct {
	at      moment
	able    int // nodes with room
	reasons []Reason
	full    []string
}

// survey looks at all nodes for one more container of the request; equal requests share what it finds.
func (s explainer) survey(r *request) *survey {
	l := r.line
	at := moment{s.now, s.decisions, s.offered}
	if l.survey != nil && l.survey.at == at {
		return l.survey
	}
	nodes := s.cluster.order
	if s.offered != nil {
		nodes = []*node{s.offered}
	}
	v := s.look(nodes, r, explainer.barrier)
	v.at = at
	l.survey = &v
	return &v
}

// passed says why a request does not take the node of an offer, which has room for it.
func (s explainer) passed(r *request) []Reason {
	n, k := s.offered, r.class
	k.refresh(&s.cluster)
	switch {
	case r.relaxed && !r.isAt(n):
		return []Reason{{Barrier: Preferred, Nodes: 1, Of: 1, Text: fmt.Sprintf(
			"node %s: it prefers %s, and lets as many offers of other places pass as it wants containers (%d of %d)", n.Name, r.where(), r.missed, r.lacks())}}
	case k.tierOf(n) == second:
		return []Reason{{Barrier: WrongType, Nodes: 1, Of: 1, Text: fmt.Sprintf(
			"node %s: of node type %s, and there is room on one of type %s, which is asked for", n.Name, n.Type, k.nodeType)}}
	default:
		return nil
	}
}

// look counts by barrier what stands between a request and the nodes.
func (s explainer) look(nodes []*node, r *request, judge func(explainer, *request, *node) Barrier) survey {
	var v survey
	if len(s.cluster.order) == 0 {
		v.reasons = []Reason{{Barrier: NoNode, Text: "no node has joined"}}
		return v
	}
	var by [Spread + 1]tally
	for _, n := range nodes {
		b := judge(s, r, n)
		if b == NoBarrier {
			v.able++
			continue
		}
		if b == NoRoom {
			v.full = append(v.full, n.Name)
		}
		by[b].add(n, b, r.class, s.cluster.dims)
	}
	for b := WrongNode; b <= Spread; b++ {
		if by[b].nodes > 0 {
			v.reasons = append(v.reasons, s.because(b, &by[b], r)...)
		}
	}
	return v
}

// tally is what the nodes behind a barrier have in common.
type tally struct {
	nodes int
	first string
	short [resource.MaxDimensions]int // nodes that are short of a dimension
	most  resource.Vector             // that any of them has
}

func (t *tally) add(n *node, b Barrier, k *class, dims int) {
	if t.nodes == 0 {
		t.first = n.Name
	}
	t.nodes++
	has := &n.free
	if b == TooSmall {
		has = &n.Capacity
	}
	for d := range dims {
		if k.ask[d] > 0 && k.ask[d] > has[d] {
			t.short[d]++
		}
		t.most[d] = max(t.most[d], has[d])
	}
}

// barrier says what stands between a request and one more container of it on the node.
func (s explainer) barrier(r *request, n *node) Barrier {
	if b := s.never(r, n); b != NoBarrier {
		return b
	}
	switch {
	case n.Cordoned:
		return Cordoned
	case !r.class.fits(n, s.cluster.dims):
		return NoRoom
	case r.spreads(n):
		return Spread
	default:
		return NoBarrier
	}
}

// never says why a node could not even hold a container of the request if it were empty.
func (s explainer) never(r *request, n *node) Barrier {
	k := r.class
	kind := s.cluster.kindOf(n)
	_, b := k.judge(&kind)
	switch {
	case !r.relaxed && r.node != "" && r.node != n.Name:
		return WrongNode
	case !r.relaxed && r.rack != "" && r.rack != n.Rack:
		return WrongRack
	case b == WrongType || b == WrongPlatform:
		return b
	case slices.Contains(k.except, n.Name):
		return Excepted
	case !covers(n.Capacity[:s.cluster.dims], k.needs):
		return TooSmall
	default:
		return NoBarrier
	}
}

// because puts a barrier into words, one reason for each dimension where it is about amounts.
func (s explainer) because(b Barrier, t *tally, r *request) []Reason {
	k := r.class
	of := len(s.cluster.order)
	who := "node " + t.first
	if t.nodes > 1 {
		who = fmt.Sprintf("%d of %d nodes", t.nodes, of)
	}
	one := func(text string) []Reason {
		return []Reason{{Barrier: b, Nodes: t.nodes, Of: of, Text: who + ": " + text}}
	}
	switch b {
	case WrongNode:
		return one("not node " + r.node + ", which is asked for")
	case WrongRack:
		return one("not in rack " + r.rack + ", which is asked for")
	case WrongType:
		return one("not of node type " + k.nodeType + ", which is asked for")
	case WrongPlatform:
		names := make([]string, len(k.allowed))
		for i, p := range k.allowed {
			names[i] = p.String()
		}
		return one("no artefact for its platform, only for " + strings.Join(names, ", "))
	case Excepted:
		return one("ruled out for now")
	case Cordoned:
		return one("cordoned: nothing new is placed there")
	case Spread:
		return one(fmt.Sprintf("holds one already, and they must be spread over %d nodes", r.nodes))
	default:
		return s.short(b, t, k)
	}
}

// short gives a reason for each dimension in which nodes have too little.
func (s explainer) short(b Barrier, t *tally, k *class) []Reason {
	of := len(s.cluster.order)
	state := "free"
	if b == TooSmall {
		state = "there"
	}
	var out []Reason
	for _, need := range k.needs {
		d := resource.Dimension(need.dim)
		if t.short[d] == 0 {
			continue
		}
		who := "node " + t.first
		if t.nodes > 1 {
			who = fmt.Sprintf("%d of %d nodes", t.short[d], of)
		}
		out = append(out, Reason{
			Barrier: b, Dimension: s.space.Name(d), Short: max(need.amount-t.most[d], 0), Nodes: t.short[d], Of: of,
			Text: fmt.Sprintf("%s: not enough %s: %s needed, at most %s %s", who, s.space.Name(d),
				s.space.Format(d, need.amount), s.space.Format(d, max(t.most[d], 0)), state),
		})
	}
	return out
}

// Satisfiable says whether a request, in that queue, could ever be satisfied by the nodes that are known, were they empty.
// The error is an *[Unsatisfiable]. While no node is known, everything is satisfiable.
func (s *Scheduler) Satisfiable(q Request, queue string) error {
	if len(s.cluster.order) == 0 {
		return nil
	}
	ledger{s}.settle()
	k := newClass(keyOf(&q), &q, s.cluster.dims, s.cluster.gpu)
	r := &request{class: k}
	r.ask(&q)
	v := explainer{s}.look(s.cluster.order, r, explainer.never)
	texts := make([]string, len(v.reasons))
	furthest := NoBarrier
	for i, why := range v.reasons {
		texts[i] = why.Text
		furthest = max(furthest, why.Barrier)
	}
	switch {
	case v.able == 0:
		return &Unsatisfiable{Barrier: furthest, Reason: strings.Join(texts, "; ")}
	case v.able < q.Nodes:
		reason := fmt.Sprintf("%d distinct nodes are asked for, and %d of %d could hold it", q.Nodes, v.able, len(s.cluster.order))
		return &Unsatisfiable{Barrier: Spread, Reason: strings.Join(append([]string{reason}, texts...), "; ")}
	}
	for at := s.tree.named[queue]; at != nil; at = at.parent {
		for d, limit := range at.limit {
			if d := resource.Dimension(d); at.limited && k.ask[d] > limit {
				return &Unsatisfiable{Barrier: QueueMax, Reason: fmt.Sprintf("queue %s may have at most %s %s, and %s is needed",
					at.Name, s.space.Format(d, limit), s.space.Name(d), s.space.Format(d, k.ask[d]))}
			}
		}
	}
	return nil
}
