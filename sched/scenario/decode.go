package scenario

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/sched"
)

// Decode reads a document from JSON, and finds it right: unknown and doubled keys, values of the wrong kind, unknown names
// and impossible values are errors. The error is [Faults], which has all of them with their places, or says in which line
// the text is no JSON. What follows from another fault alone is not said.
func Decode(document []byte) (*Document, error) {
	v, err := parse(document)
	if err != nil {
		return nil, err
	}
	var (
		d   = &decoder{}
		doc Document
	)
	d.object("", v, []field{
		{"resources", true, each(d, &doc.Resources, d.name)},
		{"ratio", false, set(&doc.Ratio, d.name)},
		{"cluster", false, each(d, &doc.Cluster, d.node)},
		{"queues", true, each(d, &doc.Queues, d.queue)},
		{"steps", false, each(d, &doc.Steps, d.step)},
	})
	if _, faults := compile(&doc, d.faults); len(faults) > 0 {
		return nil, faults
	}
	return &doc, nil
}

// decoder turns values into a document, and notes what is wrong with their form.
type decoder struct{ faults Faults }

// field is one key of an object.
type field struct {
	key  string
	need bool
	read func(place string, v value)
}

// is says whether a value is of a kind, and notes if not.
func (d *decoder) is(k kind, place string, v value) bool {
	if v.kind != k {
		d.faults.add(place, "%s, not %s", v.kind, k)
	}
	return v.kind == k
}

// object reads an object with the given keys. A key that is null is as if it were not there.
func (d *decoder) object(place string, v value, fields []field) {
	if !d.is(object, place, v) {
		return
	}
	seen := map[string]bool{}
	for i, key := range v.keys {
		at := join(place, key)
		f := find(fields, key)
		switch {
		case f == nil:
			d.unknown(at, key, fields)
		case seen[key]:
			d.faults.add(at, "the key is there twice")
		case v.values[i].kind != null:
			seen[key] = true
			f.read(at, v.values[i])
		}
	}
	for _, f := range fields {
		if f.need && !seen[f.key] && !d.faults.in(join(place, f.key)) {
			d.faults.add(join(place, f.key), "missing")
		}
	}
}

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

// unknown notes a key that there is not.
func (d *decoder) unknown(place, key string, fields []field) {
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	if near, ok := nearest.Of(key, keys); ok {
		d.faults.add(place, "unknown key: did you mean %q?", near)
	} else {
		d.faults.add(place, "unknown key: there are %s", strings.Join(keys, ", "))
	}
}

// join gives the place of a key. One that would not read as a place is quoted.
func join(place, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]: \n\t\"") {
		key = strconv.Quote(key)
	}
	if place == "" {
		return key
	}
	return place + "." + key
}

// set reads a value into a variable.
func set[T any](to *T, read func(place string, v value) T) func(string, value) {
	return func(place string, v value) { *to = read(place, v) }
}

// pointer is [set] for what may be left out.
func pointer[T any](to **T, read func(place string, v value) T) func(string, value) {
	return func(place string, v value) {
		read := read(place, v)
		*to = &read
	}
}

// each reads a list; in the place of an element with a fault there is what could be read of it.
func each[T any](d *decoder, to *[]T, read func(place string, v value) T) func(string, value) {
	return func(place string, v value) {
		if !d.is(list, place, v) {
			return
		}
		*to = make([]T, len(v.values))
		for i, element := range v.values {
			(*to)[i] = read(fmt.Sprintf("%s[%d]", place, i), element)
		}
	}
}

// text reads text, which may be empty: as if it were not there.
func (d *decoder) text(place string, v value) string {
	d.is(text, place, v)
	return v.text
}

// name reads text that is not empty.
func (d *decoder) name(place string, v value) string {
	if d.is(text, place, v) && v.text == "" {
		d.faults.add(place, "empty")
	}
	return v.text
}

func (d *decoder) flag(place string, v value) bool {
	d.is(boolean, place, v)
	return v.yes
}

// whole reads a whole number, also where it is written as 2.0 or 2e3. What is beyond all bounds comes out as the bound.
func (d *decoder) whole(place string, v value) int64 {
	if !d.is(number, place, v) {
		return 0
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return max(min(n, sched.MaxAmount+1), -sched.MaxAmount-1)
	}
	f, _ := strconv.ParseFloat(v.text, 64) // JSON's numbers are Go's; too large a one is infinite
	switch {
	case f > sched.MaxAmount:
		return sched.MaxAmount + 1
	case f < -sched.MaxAmount:
		return -sched.MaxAmount - 1
	case f != math.Trunc(f):
		d.faults.add(place, "%s is no whole number", v.text)
		return 0
	default:
		return int64(f)
	}
}

// most is what counts and priorities are at most.
const most = sched.MaxPriority

// from gives a reader of whole numbers from the least one to [most].
func (d *decoder) from(least int64) func(place string, v value) int {
	return func(place string, v value) int {
		n := d.whole(place, v)
		if v.kind == number && !d.faults.in(place) {
			switch {
			case n < least && least == 1:
				d.faults.add(place, "%s: it is at least 1", v.text)
			case n < least || n > most:
				d.faults.add(place, "%s: it is between %d and %d", v.text, least, int64(most))
			}
		}
		return int(n)
	}
}

// weight reads a number above 0.
func (d *decoder) weight(place string, v value) float64 {
	if !d.is(number, place, v) {
		return 0
	}
	f, _ := strconv.ParseFloat(v.text, 64) // JSON's numbers are Go's; too large a one is infinite
	if !sched.ValidWeight(f) {
		d.faults.add(place, "%s", sched.BadWeight(f))
	}
	return f
}

// percent reads a percentage, whose text is what counts.
func (d *decoder) percent(place string, v value) json.Number {
	if d.is(number, place, v) {
		if _, err := sched.ParsePercent(v.text); err != nil {
			d.faults.add(place, "%v", err)
		}
	}
	return json.Number(v.text)
}

// amounts reads a vector; which dimensions there are is not looked at.
func (d *decoder) amounts(place string, v value) Amounts {
	if !d.is(object, place, v) {
		return nil
	}
	amounts := Amounts{}
	for i, key := range v.keys {
		at := join(place, key)
		if _, double := amounts[key]; double {
			d.faults.add(at, "the key is there twice")
		}
		amounts[key] = d.whole(at, v.values[i])
	}
	return amounts
}

func (d *decoder) priority(to *int) field {
	return field{"priority", false, set(to, d.from(-most))}
}

func (d *decoder) node(place string, v value) (n Node) {
	d.object(place, v, d.nodeFields(&n.Node, &n.Rack, &n.Type, &n.Arch, &n.Cap))
	return n
}

// nodeFields are the keys of a node, here and in a step.
func (d *decoder) nodeFields(name, rack, kind, arch *string, amounts *Amounts) []field {
	return []field{
		{"node", true, set(name, d.name)},
		{"rack", false, set(rack, d.text)},
		{"type", false, set(kind, d.text)},
		{"arch", false, set(arch, d.text)},
		{"cap", true, set(amounts, d.amounts)},
	}
}

func (d *decoder) queue(place string, v value) (q Queue) {
	d.object(place, v, []field{
		{"name", true, set(&q.Name, d.name)},
		{"parent", false, set(&q.Parent, d.text)},
		{"capacity_pct", false, set(&q.CapacityPct, d.percent)},
		{"weight", false, pointer(&q.Weight, d.weight)},
		{"min", false, set(&q.Min, d.amounts)},
		{"max_pct", false, set(&q.MaxPct, d.percent)},
		{"max", false, set(&q.Max, d.amounts)},
		d.priority(&q.Priority),
		{"policy", false, set(&q.Policy, d.text)},
		{"user_limit_pct", false, set(&q.UserLimitPct, d.percent)},
		{"reserve", false, set(&q.Reserve, d.flag)},
	})
	return q
}

func (d *decoder) request(place string, v value) (r Request) {
	d.object(place, v, d.requestFields(&r))
	return r
}

func (d *decoder) requestFields(r *Request) []field {
	return []field{
		{"id", true, set(&r.ID, d.name)},
		{"count", true, set(&r.Count, d.from(1))},
		{"cap", true, set(&r.Cap, d.amounts)},
		d.priority(&r.Priority),
		{"location", false, pointer(&r.Location, d.location)},
		{"relax", false, set(&r.Relax, d.flag)},
		{"node_type", false, set(&r.NodeType, d.text)},
		{"arch", false, set(&r.Arch, d.text)},
		{"nodes", false, set(&r.Nodes, d.from(1))},
	}
}

func (d *decoder) location(place string, v value) (l Location) {
	d.object(place, v, []field{
		{"node", false, set(&l.Node, d.name)},
		{"rack", false, set(&l.Rack, d.name)},
	})
	return l
}

// The ops of steps.
const (
	opSubmit     = "submit"
	opAddRequest = "add_request"
	opSchedule   = "schedule"
	opRelease    = "release"
	opFinish     = "finish"
	opAddNode    = "add_node"
	opRemoveNode = "remove_node"
	opPreempt    = "preempt"
	opState      = "state"
)

func ops() []string {
	return []string{opSubmit, opAddRequest, opSchedule, opRelease, opFinish, opAddNode, opRemoveNode, opPreempt, opState}
}

func (d *decoder) step(place string, v value) (s Step) {
	if !d.is(object, place, v) {
		return s
	}
	for i, key := range v.keys {
		if key == "op" {
			s.Op = d.name(place+".op", v.values[i])
			break
		}
	}
	op := field{"op", true, func(string, value) {}}
	service := field{"service", true, set(&s.Service, d.name)}
	var r Request
	var fields []field
	switch s.Op {
	case opSubmit:
		fields = []field{
			service,
			{"queue", true, set(&s.Queue, d.name)},
			{"weight", false, set(&s.Weight, d.weight)},
			{"user", false, set(&s.User, d.text)},
			{"requests", false, each(d, &s.Requests, d.request)},
		}
	case opAddRequest:
		fields = append([]field{service}, d.requestFields(&r)...)
	case opSchedule:
		fields = []field{
			{"decisions", false, pointer(&s.Decisions, d.from(1))},
			{"offer", false, set(&s.Offer, d.name)},
		}
	case opRelease:
		fields = []field{service, {"count", true, set(&s.Count, d.from(1))}}
	case opFinish:
		fields = []field{service}
	case opAddNode:
		fields = d.nodeFields(&s.Node, &s.Rack, &s.Type, &s.Arch, &s.Cap)
	case opRemoveNode:
		fields = []field{{"node", true, set(&s.Node, d.name)}}
	case opPreempt, opState:
	case "":
		if !d.faults.in(place + ".op") {
			d.faults.add(place+".op", "missing: it is one of %s", strings.Join(ops(), ", "))
		}
		return s
	default:
		hint := "they are " + strings.Join(ops(), ", ")
		if near, ok := nearest.Of(s.Op, ops()); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.faults.add(place+".op", "there is no op %q: %s", s.Op, hint)
		return s
	}
	d.object(place, v, append([]field{op}, fields...))
	if s.Op == opAddRequest {
		s.add(r)
	}
	return s
}

// add puts a request beside the keys of a step.
func (s *Step) add(r Request) {
	s.ID, s.Count, s.Cap, s.Priority, s.Location = r.ID, r.Count, r.Cap, r.Priority, r.Location
	s.Relax, s.NodeType, s.Arch, s.Nodes = r.Relax, r.NodeType, r.Arch, r.Nodes
}

// request gives the request beside the keys of a step.
func (s *Step) request() Request {
	return Request{
		ID: s.ID, Count: s.Count, Cap: s.Cap, Priority: s.Priority, Location: s.Location,
		Relax: s.Relax, NodeType: s.NodeType, Arch: s.Arch, Nodes: s.Nodes,
	}
}
