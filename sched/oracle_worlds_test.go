package sched_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/sched/resource"
)

// Random worlds, small and of small numbers, so that ties, full nodes and met limits are the rule.

var dimensionNames = []string{"cpu", "gpu", "mem"}

// pick draws one of some values, each as likely as the others: rapid's own draws favour the first and the last.
func pick[T any](t *rapid.T, label string, from ...T) T {
	return rapid.Custom(func(t *rapid.T) T {
		i := 0
		for range 7 {
			i *= 2
			if rapid.Bool().Draw(t, "bit") {
				i++
			}
		}
		return from[i%len(from)]
	}).Draw(t, label)
}

// upTo draws a number from low to high.
func upTo(t *rapid.T, label string, low, high int) int {
	var numbers []int
	for i := low; i <= high; i++ {
		numbers = append(numbers, i)
	}
	return pick(t, label, numbers...)
}

// oneIn says yes once in so many times.
func oneIn(t *rapid.T, label string, times int) bool { return upTo(t, label, 1-times, 0) == 0 }

// drawWorld draws a world's dimensions, nodes and queues.
func drawWorld(t *rapid.T) *world {
	w := &world{dims: upTo(t, "dims", 1, len(dimensionNames)), gpu: -1, ratio: -1, waiting: make(map[*oRequest]bool)}
	if w.dims > 1 {
		w.gpu = 1
	}
	if oneIn(t, "one dimension counts", 5) {
		w.ratio = upTo(t, "ratio", 0, w.dims-1)
	}
	w.delay, w.unit = oneIn(t, "delay", 4), pick[int64](t, "unit", 1, 1, 1, 1<<38)
	for i := range upTo(t, "nodes", 2, 6) {
		w.nodes = append(w.nodes, w.drawNode(t, i))
	}
	w.drawTree(t)
	w.drawLimits(t)
	return w
}

// drawVector draws amounts that are small multiples of the world's unit, or, where that is large, next to one.
func (w *world) drawVector(t *rapid.T, label string, top int64) (v resource.Vector) {
	for d := range w.dims {
		v[d] = int64(upTo(t, label, 0, int(top))) * w.unit
		if w.unit > 1 && v[d] > 0 {
			v[d] += pick[int64](t, "off", 0, 0, 0, 1, -1)
		}
	}
	return v
}

func (w *world) drawNode(t *rapid.T, number int) *oNode {
	return &oNode{
		name: fmt.Sprintf("n%d", number),
		rack: pick(t, "rack", "", "r1", "r2"),
		kind: pick(t, "type", "", "cpu", "gpu", "gpu"),
		arch: pick(t, "arch", "", "amd64", "amd64", "arm64"),
		cap:  w.drawVector(t, "node", 12),
	}
}

// drawTree draws queues in up to three levels below the root.
func (w *world) drawTree(t *rapid.T) {
	w.queues = []*oQueue{{name: "root"}}
	depth := map[*oQueue]int{}
	for i := range upTo(t, "queues", 1, 8) {
		var parents []*oQueue
		for _, q := range w.queues {
			if depth[q] < 3 {
				parents = append(parents, q)
			}
		}
		q := &oQueue{name: fmt.Sprintf("q%d", i), parent: pick(t, "parent", parents...)}
		depth[q] = depth[q.parent] + 1
		w.queues = append(w.queues, q)
	}
}

// drawLimits draws everything else that a queue has; what it had before is gone.
func (w *world) drawLimits(t *rapid.T) {
	for _, q := range w.queues {
		*q = oQueue{name: q.name, parent: q.parent}
	}
	for _, q := range w.queues {
		w.drawShares(t, q)
	}
	for _, q := range w.queues {
		w.drawMax(t, q)
		w.drawMin(t, q)
		if oneIn(t, "priority?", 4) {
			q.priority = upTo(t, "priority", -1, 2)
		}
	}
	for _, q := range w.leaves() {
		q.policy = pick(t, "policy", "", "fifo", "capacity", "capacity", "fair", "fair")
		if q.policy == "capacity" {
			q.userPc = pick(t, "user limit", "", "10", "25", "33.3", "50", "100")
		}
		q.reserve = oneIn(t, "reserve", 4)
	}
}

// drawShares divides a queue among its children, in percent or by weights.
func (w *world) drawShares(t *rapid.T, parent *oQueue) {
	children := w.children(parent)
	if len(children) == 0 {
		return
	}
	if !rapid.Bool().Draw(t, "percent") {
		for _, c := range children {
			c.weight = pick(t, "weight", "", "1", "2", "3", "0.5")
		}
		return
	}
	left := 200 // halves of a percent
	if parent.pct == "0" {
		left = 0
	}
	for i, c := range children {
		part := left
		if i < len(children)-1 {
			part = min(left, pick(t, "capacity", 0, 20, 50, 67, 75, 100, 150, 200))
		}
		c.pct = fmt.Sprint(float64(part) / 2)
		left -= part
	}
}

func (w *world) drawMax(t *rapid.T, q *oQueue) {
	switch pick(t, "max?", "", "", "", "", "", "", "", "percent", "amount") {
	case "percent":
		for _, pct := range rapid.Permutation([]string{"10", "25", "50", "62.5", "100"}).Draw(t, "max percent") {
			if q.pct == "" || !less(rat(pct), rat(q.pct)) {
				q.maxPct = pct
				return
			}
		}
	case "amount":
		v := w.drawVector(t, "max", 40)
		for up := q.parent; up != nil; up = up.parent {
			for d := range w.dims {
				if up.max != nil {
					v[d] = min(v[d], up.max[d])
				}
			}
		}
		q.max = &v
	}
}

func (w *world) drawMin(t *rapid.T, q *oQueue) {
	if !oneIn(t, "min?", 4) {
		return
	}
	v := w.drawVector(t, "min", 4)
	for up := q; up != nil; up = up.parent {
		for d := range w.dims {
			if up.max != nil {
				v[d] = min(v[d], up.max[d])
			}
		}
	}
	q.min = &v
}

// drawService draws a service without requests.
func (w *world) drawService(t *rapid.T, number int) *oService {
	return &oService{
		name:   fmt.Sprintf("s%d", number),
		user:   pick(t, "user", "", "u", "v", "w"),
		queue:  pick(t, "leaf", w.leaves()...),
		weight: pick(t, "service weight", "1", "1", "1", "2", "3", "0.5"),
	}
}

// drawRequest draws a request of a service; half of them ask for nothing but room.
func (w *world) drawRequest(t *rapid.T, s *oService, number int) *oRequest {
	r := &oRequest{
		id: fmt.Sprintf("%s/r%d", s.name, number), service: s,
		wanted: upTo(t, "count", 1, 6), cap: w.drawVector(t, "cap", 3),
	}
	if r.cap == (resource.Vector{}) {
		r.cap[0] = w.unit
	}
	if !oneIn(t, "special", 2) {
		return r
	}
	r.priority = upTo(t, "request priority", -1, 1)
	switch pick(t, "place", "", "", "node", "rack") {
	case "node":
		r.node = fmt.Sprintf("n%d", upTo(t, "at node", 0, len(w.nodes)))
	case "rack":
		r.rack = pick(t, "in rack", "r1", "r2")
	}
	r.relax = r.node+r.rack != "" && !oneIn(t, "must", 3)
	r.kind = pick(t, "node type", "", "", "cpu", "gpu")
	r.arch = pick(t, "asks arch", "", "", "", "amd64", "arm64")
	if oneIn(t, "spread?", 3) {
		r.nodes = upTo(t, "distinct nodes", 1, r.wanted)
	}
	return r
}

// String writes the world down as a person would, for the transcript of a failure.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dims %d ratio %d delay %v\n", w.dims, w.ratio, w.delay)
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "  %v\n", n.words(w))
	}
	for _, q := range w.queues {
		fmt.Fprintf(&b, "  %v\n", q.words(w))
	}
	return b.String()
}

// What rapid shows of what it draws.

func (n *oNode) GoString() string    { return n.name }
func (q *oQueue) GoString() string   { return q.name }
func (s *oService) GoString() string { return s.name }

func (n *oNode) words(w *world) string {
	return fmt.Sprintf("node %s rack %q type %q arch %q cap %v", n.name, n.rack, n.kind, n.arch, n.cap[:w.dims])
}

func (q *oQueue) words(w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "queue %s", q.name)
	if q.parent != nil {
		fmt.Fprintf(&b, " of %s", q.parent.name)
	}
	for _, p := range []struct{ key, value string }{
		{"pct", q.pct}, {"weight", q.weight}, {"max_pct", q.maxPct}, {"policy", q.policy}, {"user_limit", q.userPc},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, " %s %s", p.key, p.value)
		}
	}
	if q.min != nil {
		fmt.Fprintf(&b, " min %v", q.min[:w.dims])
	}
	if q.max != nil {
		fmt.Fprintf(&b, " max %v", q.max[:w.dims])
	}
	fmt.Fprintf(&b, " priority %d reserve %v", q.priority, q.reserve)
	return b.String()
}

func (r *oRequest) words(w *world) string {
	return fmt.Sprintf("request %s of %s (queue %s user %q weight %s) count %d cap %v priority %d node %q rack %q relax %v type %q arch %q nodes %d",
		r.id, r.service.name, r.service.queue.name, r.service.user, r.service.weight, r.wanted, r.cap[:w.dims], r.priority, r.node, r.rack, r.relax, r.kind, r.arch, r.nodes)
}
