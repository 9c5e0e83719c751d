package firstcome

import (
	"fmt"
	"strings"

	"github.com/weft-fabric/weft/sched/resource"
)

// Satisfiable implements [Scheduler].
func (f *FIFO) Satisfiable(r Request) error {
	if f.nodes.Len() == 0 {
		return nil
	}
	var s survey
	able := 0
	for _, n := range f.nodes.All() {
		b := r.never(n)
		if b == NoBarrier {
			able++
		}
		s.add(b, n, n.Capacity)
	}
	switch {
	case able == 0:
		return &Unsatisfiable{Barrier: s.furthest, Reason: s.words(&r)}
	case able < r.Nodes:
		reason := fmt.Sprintf("%d distinct nodes are asked for, and %d of %d could hold it", r.Nodes, able, f.nodes.Len())
		if why := s.words(&r); why != "" {
			reason += ": " + why
		}
		return &Unsatisfiable{Barrier: Spread, Reason: reason}
	default:
		return nil
	}
}

// Explain implements [Scheduler].
func (f *FIFO) Explain(id string) (why string, full []string) {
	r, ok := f.requests[id]
	if !ok || r.held >= r.want {
		return "", nil
	}
	head := fmt.Sprintf("queue %s: %d of %d containers placed", DefaultQueue, r.held, r.want)
	if f.nodes.Len() == 0 {
		return head + "; no node has joined", nil
	}
	var s survey
	for _, n := range f.nodes.All() {
		b := r.barrier(n)
		if b == NoBarrier {
			return head + "; the next one is about to be", nil
		}
		if b == NoRoom {
			full = append(full, n.Name)
		}
		s.add(b, n, n.free)
	}
	return head + "; " + s.words(&r.Request), full
}

// survey counts what stands in the way, node by node.
type survey struct {
	nodes    int
	count    [Spread + 1]int
	first    [Spread + 1]string // the first node with that barrier
	most     [Spread + 1]resource.Vector
	furthest Barrier
}

func (s *survey) add(b Barrier, n *node, room resource.Vector) {
	s.nodes++
	if s.count[b] == 0 {
		s.first[b] = n.Name
	}
	s.count[b]++
	s.most[b] = s.most[b].Max(room)
	s.furthest = max(s.furthest, b)
}

// words gives a clause for each barrier that was found.
func (s *survey) words(r *Request) string {
	var parts []string
	for b := WrongNode; b <= Spread; b++ {
		if s.count[b] == 0 {
			continue
		}
		who := "node " + s.first[b]
		if s.count[b] > 1 {
			who = fmt.Sprintf("%d of %d nodes", s.count[b], s.nodes)
		}
		parts = append(parts, who+": "+r.because(b, s.most[b]))
	}
	return strings.Join(parts, "; ")
}

// because says what a barrier is about; most is the most that the nodes behind it have to give.
func (r *Request) because(b Barrier, most resource.Vector) string {
	switch b {
	case WrongNode:
		return "not node " + r.Node + ", which is asked for"
	case WrongRack:
		return "not in rack " + r.Rack + ", which is asked for"
	case WrongType:
		return "not of node type " + r.NodeType + ", which is asked for"
	case WrongPlatform:
		names := make([]string, len(r.Platforms))
		for i, p := range r.Platforms {
			names[i] = p.String()
		}
		return "no artefact for its platform, only for " + strings.Join(names, ", ")
	case Excepted:
		return "ruled out for now"
	case TooSmall, NoRoom:
		d, short := r.Capacity.Short(most)
		if !short { // each node lacks something, but not all the same
			return "not enough of " + r.Capacity.String() + " together"
		}
		state := "free"
		if b == TooSmall {
			state = "there"
		}
		return fmt.Sprintf("not enough %s: %s needed, at most %s %s", d, d.Format(r.Capacity[d]), d.Format(max(most[d], 0)), state)
	case Spread:
		return fmt.Sprintf("holds one already, and they must be spread over %d nodes", r.Nodes)
	case NoBarrier:
	}
	return "nothing stands in the way"
}
