package sched_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/sched/resource"
	"github.com/weft-fabric/weft/sched/scenario"
)

// object is one of JSON's.
type object = map[string]any

// script is a what-if scenario that is written while the oracle acts it out.
type script struct {
	*world
	steps []object
	want  []func(got json.RawMessage) error // by entry of the output
	named int
}

// What a scenario's document says happens, the oracle says too: placement by placement, and of the state.
func TestScenariosEndAsTheOracleSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &script{world: drawWorld(t), named: 100}
		s.delay = false
		document := object{"resources": dimensionNames[:s.dims], "queues": s.queueObjects()}
		if s.ratio >= 0 {
			document["ratio"] = dimensionNames[s.ratio]
		}
		var cluster []object
		for _, n := range s.nodes {
			cluster = append(cluster, s.nodeObject(n))
		}
		document["cluster"] = cluster
		for range 25 {
			pick(t, "step", s.submit, s.submit, s.addRequest, s.schedule, s.schedule, s.offer, s.offer, s.release, s.finish,
				s.addNode, s.removeNode, s.preempt, s.state)(t)
		}
		document["steps"] = s.steps
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", text)
		decoded, err := scenario.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		output, err := scenario.Run(decoded)
		if err != nil {
			t.Fatal(err)
		}
		if len(output.Steps) != len(s.want) {
			t.Fatalf("%d entries, not %d", len(output.Steps), len(s.want))
		}
		for i, entry := range output.Steps {
			text, err := json.Marshal(entry)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.want[i](text); err != nil {
				t.Fatalf("entry %d: %v\nin %s", i, err, text)
			}
		}
	})
}

func (s *script) amounts(v resource.Vector) object {
	out := make(object)
	for d := range s.dims {
		if v[d] != 0 {
			out[dimensionNames[d]] = v[d]
		}
	}
	return out
}

func (s *script) nodeObject(n *oNode) object {
	if n.kind == "" {
		n.kind = "cpu"
	}
	o := object{"node": n.name, "type": n.kind, "cap": s.amounts(n.cap)}
	set(o, "rack", n.rack)
	set(o, "arch", n.arch)
	return o
}

func set(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}

func (s *script) queueObjects() (out []object) {
	for _, q := range s.queues {
		o := object{"name": q.name, "priority": q.priority}
		if q.parent != nil {
			o["parent"] = q.parent.name
		}
		for key, value := range map[string]string{"capacity_pct": q.pct, "weight": q.weight, "max_pct": q.maxPct, "user_limit_pct": q.userPc} {
			if value != "" {
				o[key] = json.Number(value)
			}
		}
		if q.min != nil {
			o["min"] = s.amounts(*q.min)
		}
		if q.max != nil {
			o["max"] = s.amounts(*q.max) // what is left out is 0
		}
		set(o, "policy", q.policy)
		if q.reserve {
			o["reserve"] = true
		}
		out = append(out, o)
	}
	return out
}

func (s *script) do(op string, keys object) {
	keys["op"] = op
	s.steps = append(s.steps, keys)
}

func (s *script) submit(t *rapid.T) {
	s.named++
	v := s.drawService(t, s.named)
	s.svcs = append(s.svcs, v)
	requests := []object{}
	for range upTo(t, "requests", 0, 3) {
		requests = append(requests, s.request(t, v))
	}
	keys := object{"service": v.name, "queue": v.queue.name, "weight": json.Number(v.weight), "requests": requests}
	set(keys, "user", v.user)
	s.do("submit", keys)
}

func (s *script) request(t *rapid.T, v *oService) object {
	r := s.drawRequest(t, v, len(v.requests))
	if !slices.ContainsFunc(s.nodes, func(n *oNode) bool { return n.name == r.node }) {
		r.node, r.relax = "", r.relax && r.rack != "" // unknown names are refused
	}
	if !slices.ContainsFunc(s.nodes, func(n *oNode) bool { return n.rack == r.rack }) {
		r.rack, r.relax = "", r.relax && r.node != ""
	}
	v.requests = append(v.requests, r)
	o := object{"id": r.id, "count": r.wanted, "cap": s.amounts(r.cap), "priority": r.priority}
	set(o, "node_type", r.kind)
	set(o, "arch", r.arch)
	if r.node+r.rack != "" {
		location := make(object)
		set(location, "node", r.node)
		set(location, "rack", r.rack)
		o["location"], o["relax"] = location, r.relax
	}
	if r.nodes > 0 {
		o["nodes"] = r.nodes
	}
	return o
}

func (s *script) service(t *rapid.T) *oService {
	if len(s.svcs) == 0 {
		s.submit(t)
	}
	return pick(t, "service", s.svcs...)
}

func (s *script) addRequest(t *rapid.T) {
	v := s.service(t)
	keys := s.request(t, v)
	keys["service"] = v.name
	s.do("add_request", keys)
}

func (s *script) schedule(t *rapid.T) { s.decideSome(t, nil) }

func (s *script) offer(t *rapid.T) {
	if len(s.nodes) > 0 {
		s.decideSome(t, pick(t, "offered", s.nodes...))
	}
}

func (s *script) decideSome(t *rapid.T, offer *oNode) {
	keys := object{}
	limit := pick(t, "decisions", -1, -1, 1, 3)
	if limit >= 0 {
		keys["decisions"] = limit
	}
	if offer != nil {
		keys["offer"] = offer.name
	}
	s.do("schedule", keys)
	placements, unplaced := []scenario.Placement{}, []scenario.Unplaced{}
	tried := make(map[*oRequest]bool)
	for n := 0; n != limit; n++ {
		d := s.decide(offer)
		for _, r := range d.tried {
			tried[r] = true
		}
		if d.request == nil {
			break
		}
		v := d.request.service
		s.place(0, d.request, d.node)
		placements = append(placements, scenario.Placement{Service: v.name, Request: d.request.id, Queue: v.queue.name, Node: d.node.name})
	}
	s.endOffer()
	for _, v := range s.svcs {
		for _, r := range v.requests {
			if tried[r] && r.wanted > 0 {
				unplaced = append(unplaced, scenario.Unplaced{Service: v.name, Request: r.id, Count: r.wanted})
			}
		}
	}
	s.want = append(s.want, func(text json.RawMessage) error {
		var got scenario.Schedule
		if err := json.Unmarshal(text, &got); err != nil {
			return err
		}
		for i, u := range got.Unplaced {
			if u.Reason == "" {
				return fmt.Errorf("%s has no reason", u.Request)
			}
			got.Unplaced[i].Reason = ""
		}
		if !slices.Equal(got.Placements, placements) || !slices.Equal(got.Unplaced, unplaced) {
			return fmt.Errorf("want %+v, unplaced %+v", placements, unplaced)
		}
		return nil
	})
}

func (s *script) release(t *rapid.T) {
	v := s.service(t)
	if n := s.running(v); n > 0 {
		count := upTo(t, "containers", 1, n)
		s.world.release(v, count)
		s.do("release", object{"service": v.name, "count": count})
	}
}

func (s *script) finish(t *rapid.T) {
	v := s.service(t)
	s.world.finish(v)
	s.do("finish", object{"service": v.name})
}

func (s *script) addNode(t *rapid.T) {
	s.named++
	n := s.drawNode(t, s.named)
	keys := s.nodeObject(n)
	s.nodes = append(s.nodes, n)
	s.do("add_node", keys)
}

func (s *script) removeNode(t *rapid.T) {
	if len(s.nodes) > 1 {
		n := pick(t, "removed", s.nodes...)
		s.world.removeNode(n)
		s.do("remove_node", object{"node": n.name})
	}
}

func (s *script) preempt(*rapid.T) {
	s.do("preempt", object{})
	want, cluster := s.giveBack(), s.cluster()
	s.want = append(s.want, func(text json.RawMessage) error {
		var got scenario.Preempt
		if err := json.Unmarshal(text, &got); err != nil {
			return err
		}
		for queue, amounts := range want {
			for d, amount := range amounts {
				if !within9(got.GiveBack[queue][dimensionNames[d]], amount, cluster[d]) {
					return fmt.Errorf("%s gives back %v", queue, amounts)
				}
			}
		}
		return nil
	})
}

func (s *script) state(*rapid.T) {
	s.do("state", object{})
	running, wanted, on := make(map[string]int), make(map[string]int), make(map[string][]string)
	for _, v := range s.svcs {
		running[v.name] = s.running(v)
		for _, r := range v.requests {
			wanted[v.name] += r.wanted
		}
		for _, c := range s.placed {
			if c.request.service == v {
				on[v.name] = append(on[v.name], c.node.name)
			}
		}
	}
	ratios, used, free := make(map[string]usage), make(map[string]resource.Vector), make(map[string]resource.Vector)
	for _, q := range s.queues {
		ratios[q.name], used[q.name] = s.usage(q), s.queueUsed(q)
	}
	for _, n := range s.nodes {
		free[n.name] = s.free(n)
	}
	s.want = append(s.want, func(text json.RawMessage) error {
		var got scenario.State
		if err := json.Unmarshal(text, &got); err != nil {
			return err
		}
		for name, n := range running { // those that have finished may be left out
			if got.Running[name] != n || got.Wanted[name] != wanted[name] || !slices.Equal(got.OnNodes[name], on[name]) {
				return fmt.Errorf("%s has %d on %v and wants %d", name, n, on[name], wanted[name])
			}
		}
		for name, u := range ratios {
			if ratio := got.QueueRatio[name]; !u.beyond && !near(ratio, u.ratio) || u.beyond && ratio < 1 {
				return fmt.Errorf("%s has ratio %+v", name, u)
			}
		}
		return s.sameAmounts(got, used, free)
	})
}

func (s *script) sameAmounts(got scenario.State, used, free map[string]resource.Vector) error {
	for d, dimension := range dimensionNames[:s.dims] {
		for name, v := range used {
			if got.QueueUsed[name][dimension] != v[d] {
				return fmt.Errorf("%s uses %v", name, v)
			}
		}
		for name, v := range free {
			if got.NodeFree[name][dimension] != v[d] {
				return fmt.Errorf("%s has %v free", name, v)
			}
		}
	}
	if len(got.NodeFree) != len(free) || len(got.QueueUsed) != len(used) {
		return fmt.Errorf("want %d nodes and %d queues", len(free), len(used))
	}
	return nil
}
