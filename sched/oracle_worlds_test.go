package sched_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/sched/resource"
)

// Random worlds, small and of small numbers, so that ties, full nodes and met limits are the rule.

var dimensionNames = []string{"cpu", "gpu", "mem"}

// drawWorld draws a world's dimensions, nodes and queues.
func drawWorld(t *rapid.T) *world {
	w := &world{dims: rapid.IntRange(1, len(dimensionNames)).Draw(t, "dims"), gpu: -1, ratio: -1, passing: make(map[*oRequest]bool)}
	if w.dims > 1 {
		w.gpu = 1
	}
	if rapid.IntRange(0, 4).Draw(t, "one dimension counts") == 0 {
		w.ratio = rapid.IntRange(0, w.dims-1).Draw(t, "ratio")
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		w.nodes = append(w.nodes, w.drawNode(t, i))
	}
	w.drawTree(t)
	w.drawLimits(t)
	return w
}

func (w *world) drawVector(t *rapid.T, label string, top int64) (v resource.Vector) {
	for d := range w.dims {
		v[d] = rapid.Int64Range(0, top).Draw(t, label)
	}
	return v
}

func (w *world) drawNode(t *rapid.T, number int) *oNode {
	return &oNode{
		name: fmt.Sprintf("n%d", number),
		rack: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "rack"),
		kind: rapid.SampledFrom([]string{"", "cpu", "gpu", "gpu"}).Draw(t, "type"),
		arch: rapid.SampledFrom([]string{"", "amd64", "amd64", "arm64"}).Draw(t, "arch"),
		cap:  w.drawVector(t, "node", 9),
	}
}

// drawTree draws queues in up to three levels below the root.
func (w *world) drawTree(t *rapid.T) {
	w.queues = []*oQueue{{name: "root"}}
	depth := map[*oQueue]int{}
	for i := range rapid.IntRange(1, 8).Draw(t, "queues") {
		var parents []*oQueue
		for _, q := range w.queues {
			if depth[q] < 3 {
				parents = append(parents, q)
			}
		}
		q := &oQueue{name: fmt.Sprintf("q%d", i), parent: rapid.SampledFrom(parents).Draw(t, "parent")}
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
	for _, q := range w.queues[1:] {
		if rapid.IntRange(0, 3).Draw(t, "priority?") == 0 {
			q.priority = rapid.IntRange(-1, 2).Draw(t, "priority")
		}
		w.drawMax(t, q)
		w.drawMin(t, q)
	}
	for _, q := range w.leaves() {
		q.policy = rapid.SampledFrom([]string{"", "fifo", "capacity", "capacity", "fair", "fair"}).Draw(t, "policy")
		if q.policy == "capacity" {
			q.userPc = rapid.SampledFrom([]string{"", "10", "25", "33.3", "50", "100"}).Draw(t, "user limit")
		}
		q.reserve = rapid.IntRange(0, 5).Draw(t, "reserve") == 0
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
			c.weight = rapid.SampledFrom([]string{"", "1", "2", "3", "0.5"}).Draw(t, "weight")
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
			part = min(left, rapid.SampledFrom([]int{0, 20, 50, 67, 75, 100, 150, 200}).Draw(t, "capacity"))
		}
		c.pct = fmt.Sprint(float64(part) / 2)
		left -= part
	}
}

func (w *world) drawMax(t *rapid.T, q *oQueue) {
	switch rapid.IntRange(0, 5).Draw(t, "max?") {
	case 0:
		for _, pct := range rapid.Permutation([]string{"10", "25", "50", "62.5", "100"}).Draw(t, "max percent") {
			if q.pct == "" || !less(rat(pct), rat(q.pct)) {
				q.maxPct = pct
				return
			}
		}
	case 1:
		v := w.drawVector(t, "max", 20)
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
	if rapid.IntRange(0, 3).Draw(t, "min?") > 0 {
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
		user:   rapid.SampledFrom([]string{"", "u", "v", "w"}).Draw(t, "user"),
		queue:  rapid.SampledFrom(w.leaves()).Draw(t, "leaf"),
		weight: rapid.SampledFrom([]string{"1", "1", "1", "2", "3", "0.5"}).Draw(t, "service weight"),
	}
}

// drawRequest draws a request of a service; half of them ask for nothing but room.
func (w *world) drawRequest(t *rapid.T, s *oService, number int) *oRequest {
	r := &oRequest{
		id: fmt.Sprintf("%s/r%d", s.name, number), service: s,
		wanted: rapid.IntRange(1, 5).Draw(t, "count"), cap: w.drawVector(t, "cap", 4),
	}
	if r.cap == (resource.Vector{}) {
		r.cap[0] = 1
	}
	if rapid.Bool().Draw(t, "plain") {
		return r
	}
	r.priority = rapid.IntRange(-1, 1).Draw(t, "request priority")
	switch rapid.IntRange(0, 3).Draw(t, "place") {
	case 0:
		r.node = fmt.Sprintf("n%d", rapid.IntRange(0, len(w.nodes)).Draw(t, "at node"))
	case 1:
		r.rack = rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "in rack")
	}
	r.relax = r.node+r.rack != "" && rapid.Bool().Draw(t, "relax")
	r.kind = rapid.SampledFrom([]string{"", "", "cpu", "gpu"}).Draw(t, "node type")
	r.arch = rapid.SampledFrom([]string{"", "", "", "amd64", "arm64"}).Draw(t, "asks arch")
	if rapid.IntRange(0, 2).Draw(t, "spread?") == 0 {
		r.nodes = rapid.IntRange(1, r.wanted).Draw(t, "distinct nodes")
	}
	return r
}

// String writes the world down as a person would, for the transcript of a failure.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dims %d ratio %d\n", w.dims, w.ratio)
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
