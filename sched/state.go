package sched

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/sched/resource"
)

// QueueState is how a queue stands.
type QueueState struct {
	Queue
	Depth      int // 0: the root
	Leaf       bool
	Used       resource.Vector
	Guaranteed []float64 // by dimension
	Most       []float64 // by dimension: the least of its maximum and those of all above, the cluster included
	Ratio      float64   // of usage, by which siblings are ordered
	Running    int       // containers
	Pending    int       // containers that are wanted and not placed
	Services   int
}

// Queues lists the queues depth first in the order of their definition.
func (s *Scheduler) Queues() []QueueState {
	ledger{s}.settle()
	all := make([]QueueState, len(s.tree.all))
	at := make(map[*queue]int, len(all))
	for i, q := range s.tree.all {
		at[q] = i
		all[i] = QueueState{
			Queue: q.Queue, Depth: q.depth, Leaf: q.leaf != nil, Used: q.used, Guaranteed: slices.Clone(q.guaranteed),
			Most: slices.Clone(q.most), Ratio: q.ratio, Running: q.running,
		}
		if q.leaf == nil {
			continue
		}
		pending := 0
		for _, v := range q.leaf.members {
			for _, r := range v.requests {
				pending += r.lacks()
			}
		}
		for above := q; above != nil; above = above.parent {
			all[at[above]].Pending += pending
			all[at[above]].Services += len(q.leaf.members)
		}
	}
	return all
}

// Leaf says what is wrong with a queue as the queue of a service: nothing where it is a leaf.
func (s *Scheduler) Leaf(name string) error {
	q := s.tree.named[name]
	switch {
	case q == nil:
		leaves := s.leavesOf(s.tree.root)
		err := fmt.Errorf("there is no queue %q; services go to one of %s", name, strings.Join(leaves, ", "))
		if near, ok := nearest.Of(name, leaves); ok {
			err = fmt.Errorf("there is no queue %q; is %q meant?", name, near)
		}
		return err
	case q.leaf == nil:
		return fmt.Errorf("queue %q has queues below it, and services go to those: %s", name, strings.Join(s.leavesOf(q), ", "))
	default:
		return nil
	}
}

// leavesOf names the leaves below a queue.
func (s *Scheduler) leavesOf(q *queue) []string {
	if q.leaf != nil {
		return []string{q.Name}
	}
	var names []string
	for _, child := range q.children {
		names = append(names, s.leavesOf(child)...)
	}
	return names
}

// SetQueues puts another hierarchy in the place of the one there is; [CheckQueues] must have found no fault. Services stay
// in the queues of their names with all that they hold and want. An error names those whose queue would be gone or no
// leaf; then nothing has changed.
func (s *Scheduler) SetQueues(queues []Queue) error {
	t := newTree(s.space.Len(), s.tree.only, queues)
	services := s.inOrder()
	var homeless []string
	for _, v := range services {
		if q := t.named[v.Queue]; q == nil || q.leaf == nil {
			homeless = append(homeless, fmt.Sprintf("%s in %s", v.Name, v.Queue))
		}
	}
	if len(homeless) > 0 {
		return fmt.Errorf("queues that services use cannot be taken away: %s", strings.Join(homeless, ", "))
	}
	s.now++
	s.settled = false
	s.tree = t
	for _, v := range services {
		for _, r := range v.requests {
			r.line, r.spot = nil, absent
		}
		ledger{s}.seat(v, t.named[v.Queue].leaf)
	}
	return nil
}

// NodeStates lists the nodes in the order of their definition.
func (s *Scheduler) NodeStates() []NodeState {
	all := make([]NodeState, len(s.cluster.order))
	for i, n := range s.cluster.order {
		all[i] = NodeState{n.Node, n.free, n.containers}
	}
	return all
}

// ServiceState is what a service holds and wants.
type ServiceState struct {
	Service
	Used    resource.Vector
	Running int // containers
	Pending int // containers that are wanted and not placed
}

// ServiceState tells of one service; ok is false when there is none of that name.
func (s *Scheduler) ServiceState(name string) (state ServiceState, ok bool) {
	v := s.services[name]
	if v == nil {
		return ServiceState{}, false
	}
	state = ServiceState{Service: v.Service, Used: v.used, Running: v.containers}
	for _, r := range v.requests {
		state.Pending += r.lacks()
	}
	return state, true
}

// RequestState tells what a request wants in all and holds; ok is false when there is none of that ID.
func (s *Scheduler) RequestState(id string) (want, held int, ok bool) {
	r := s.requests[id]
	if r == nil {
		return 0, 0, false
	}
	return r.want, r.held, true
}

// GiveBack is what a leaf holds beyond its part while others want theirs.
type GiveBack struct {
	Queue  string
	Amount []float64 // by dimension
}

// Preempt says what would have to be given back now so that every queue had its part: at each level the parent's part
// is shared by guarantee among the children that hold or want something, none getting more than its maximum or than it
// holds and wants. Nothing is taken.
func (s *Scheduler) Preempt() []GiveBack {
	ledger{s}.settle()
	parts := make(map[*queue][]float64, len(s.tree.all))
	demands := s.demands()
	whole := make([]float64, s.space.Len())
	for d := range whole {
		whole[d] = s.tree.root.most[d]
	}
	parts[s.tree.root] = whole
	var out []GiveBack
	for _, q := range s.tree.all { // parents come first
		if q.leaf == nil {
			share(q, parts, demands)
			continue
		}
		g := GiveBack{q.Name, make([]float64, s.space.Len())}
		some := false
		for d := range g.Amount {
			const slack = 1e-9
			if over := float64(q.used[d]) - parts[q][d]; over > slack*max(1, math.Abs(parts[q][d])) {
				g.Amount[d], some = over, true
			}
		}
		if some {
			out = append(out, g)
		}
	}
	return out
}

// demands says what each queue may have of what it holds and wants.
func (s *Scheduler) demands() map[*queue][]float64 {
	demands := make(map[*queue][]float64, len(s.tree.all))
	for _, q := range slices.Backward(s.tree.all) { // children come first
		sum := demands[q]
		if sum == nil {
			sum = make([]float64, s.space.Len())
		}
		if q.leaf != nil {
			for _, v := range q.leaf.members {
				for _, r := range v.requests {
					for d := range sum {
						sum[d] += float64(r.lacks()) * float64(r.class.ask[d])
					}
				}
			}
			for d := range sum {
				sum[d] += float64(q.used[d])
			}
		}
		if q.parent != nil {
			above := demands[q.parent]
			if above == nil {
				above = make([]float64, s.space.Len())
				demands[q.parent] = above
			}
			for d := range sum {
				above[d] += sum[d]
			}
		}
		capped := slices.Clone(sum)
		for d := range capped {
			capped[d] = min(capped[d], q.most[d])
		}
		demands[q] = capped
	}
	return demands
}

// share gives the children of a queue their parts of its own.
func share(q *queue, parts, demands map[*queue][]float64) {
	weights, wants := make([]float64, len(q.children)), make([]float64, len(q.children))
	for _, child := range q.children {
		parts[child] = make([]float64, len(parts[q]))
	}
	for d, amount := range parts[q] {
		for i, child := range q.children {
			weights[i], wants[i] = child.guaranteed[d], demands[child][d]
		}
		for i, part := range waterFill(amount, weights, wants) {
			parts[q.children[i]][d] = part
		}
	}
}
