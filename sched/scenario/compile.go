package scenario

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// The node types.
const (
	typeCPU = "cpu"
	typeGPU = "gpu"
)

// dominant is the ratio in which every dimension counts.
const dominant = "dominant"

// program is a document that has been found right, in the scheduler's own terms.
type program struct {
	space  resource.Space
	ratio  string
	nodes  []sched.Node
	queues []sched.Queue
	steps  []instruction
}

// instruction is one step.
type instruction struct {
	Step
	place string
	node  sched.Node // of add_node
	asks  []ask      // of submit and add_request
}

// ask is a request and how many containers it wants.
type ask struct {
	id      string // the scenario's
	count   int
	request sched.Request
}

// compiler turns a document into a program, and notes what is wrong with it. What would only follow from a fault in the
// form of a section is not noted.
type compiler struct {
	program
	doc    *Document
	faults Faults
	form   Faults // the faults that the document's text had

	dims, nodes, queues, services bool            // whether the names are known
	present                       map[string]bool // nodes at this step
	named                         map[string]bool // nodes that are there at some step
	racks                         map[string]bool
	queueNames                    []string
	parents                       map[string]bool // of the queues: those that are no leaves
	running                       map[string]*submitted
	owners                        map[string][2]string // service and request by what the scheduler calls a request
}

// submitted is a service at some step.
type submitted struct {
	place    string
	finished bool
	requests map[string]bool
}

// compile makes a program of a document whose text had the given faults; it returns them too, with its own.
func compile(doc *Document, form Faults) (*program, Faults) {
	c := &compiler{
		doc: doc, form: form,
		dims: !form.in("resources"), queues: !form.in("queues"),
		nodes: form.names("cluster", "node", "rack") && form.names("steps", "op", "node", "rack"), services: form.names("steps", "op", "service"),
		present: map[string]bool{}, named: map[string]bool{}, racks: map[string]bool{}, parents: map[string]bool{}, running: map[string]*submitted{}, owners: map[string][2]string{},
	}
	if form.whole() {
		return nil, form
	}
	c.dimensions()
	c.cluster()
	c.tree()
	for i := range doc.Steps {
		c.step(fmt.Sprintf("steps[%d]", i), doc.Steps[i])
	}
	return &c.program, append(slices.Clip(form), c.faults...)
}

// fault notes a fault, unless the form of what is there, or of what it is in, has one.
func (c *compiler) fault(place, problem string, args ...any) {
	for p := place; ; p = p[:strings.LastIndexAny(p, ".[")] {
		if slices.ContainsFunc(c.form, func(f Fault) bool { return f.Place == p }) {
			return
		}
		if !strings.ContainsAny(p, ".[") {
			break
		}
	}
	c.faults.add(place, problem, args...)
}

// missing says that there is no such thing, and what may have been meant.
func (c *compiler) missing(place, thing, name string, known []string) {
	const few = 5
	switch near, ok := nearest.Of(name, known); {
	case ok:
		c.fault(place, "there is no %s %q: did you mean %q?", thing, name, near)
	case len(known) == 0:
		c.fault(place, "there is no %s %q: there is none", thing, name)
	case len(known) > few:
		c.fault(place, "there is no %s %q: there are %s and %d more", thing, name, strings.Join(known[:few], ", "), len(known)-few)
	default:
		c.fault(place, "there is no %s %q: there are %s", thing, name, strings.Join(known, ", "))
	}
}

func (c *compiler) dimensions() {
	if !c.dims {
		return
	}
	if len(c.doc.Resources) == 0 {
		c.fault("resources", "no dimension is named: at least one is needed, such as [\"cpu\"]")
		c.dims = false
	}
	var names []string
	for i, name := range c.doc.Resources {
		space, err := resource.NewSpace(append(names, name)...)
		if err != nil {
			_, problem, _ := strings.Cut(err.Error(), ": ") // without the index
			c.fault(fmt.Sprintf("resources[%d]", i), "%s", problem)
			c.dims = false
			continue
		}
		names, c.space = append(names, name), space
	}
	c.ratio = c.doc.Ratio
	if _, ok := c.space.Dimension(c.ratio); c.dims && !ok && c.ratio != "" && c.ratio != dominant {
		c.missing("ratio", "dimension", c.ratio, append([]string{dominant}, c.space.Names()...))
	}
}

// vector reads a vector by the names of its dimensions.
func (c *compiler) vector(place string, amounts Amounts, bounded bool) (v resource.Vector) {
	if !c.dims {
		return v
	}
	known := 0
	for d := range resource.Dimension(c.space.Len()) {
		name := c.space.Name(d)
		n, given := amounts[name]
		if given {
			known++
		}
		switch {
		case bounded && n < 0:
			c.fault(join(place, name), "%d is negative", n)
		case bounded && n > sched.MaxAmount:
			c.fault(join(place, name), "%d is absurd: at most %d", n, int64(sched.MaxAmount))
		default:
			v[d] = n
		}
	}
	if known == len(amounts) {
		return v
	}
	var unknown []string
	for name := range amounts { // order does not matter: sorted below
		if _, ok := c.space.Dimension(name); !ok {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		c.missing(join(place, name), "dimension", name, c.space.Names())
	}
	return v
}

func (c *compiler) cluster() {
	for i, n := range c.doc.Cluster {
		c.program.nodes = append(c.program.nodes, c.node(fmt.Sprintf("cluster[%d]", i), n))
	}
	for _, n := range c.doc.Cluster {
		c.named[n.Node], c.racks[n.Rack] = true, true
	}
	for _, s := range c.doc.Steps {
		if s.Op == opAddNode {
			c.named[s.Node], c.racks[s.Rack] = true, true
		}
	}
}

// node reads a node, which is there from now on.
func (c *compiler) node(place string, n Node) sched.Node {
	switch {
	case n.Node == "":
		c.fault(place+".node", "missing")
	case c.present[n.Node] && c.nodes:
		c.fault(place+".node", "the node %q is there already", n.Node)
	}
	c.present[n.Node] = true
	capacity := c.vector(place+".cap", n.Cap, true)
	c.nodeType(place+".type", n.Type)
	kind := n.Type
	if kind == "" {
		kind = typeCPU
		if d, ok := c.space.Dimension(typeGPU); ok && capacity[d] > 0 {
			kind = typeGPU
		}
	}
	return sched.Node{Name: n.Node, Rack: n.Rack, Type: kind, Platform: platformOf(n.Arch), Capacity: capacity}
}

func (c *compiler) nodeType(place, kind string) {
	if kind != "" && kind != typeCPU && kind != typeGPU {
		c.fault(place, "there is no node type %q: they are %s and %s", kind, typeCPU, typeGPU)
	}
}

// platformOf gives the platform of an architecture in any spelling, with a variant or without; "" is an unknown one.
func platformOf(arch string) platform.Platform {
	arch, variant, _ := strings.Cut(arch, "/")
	return platform.Platform{OS: "linux", Arch: arch, Variant: variant}.Normalise()
}

// tree reads the queues and checks them.
func (c *compiler) tree() {
	if !c.queues {
		return
	}
	for i, q := range c.doc.Queues {
		place := fmt.Sprintf("queues[%d]", i)
		c.program.queues = append(c.program.queues, sched.Queue{
			Name: q.Name, Parent: q.Parent,
			Capacity: c.percent(place+".capacity_pct", q.CapacityPct), Weight: q.Weight,
			Min:        c.limit(place+".min", q.Min),
			MaxPercent: c.percent(place+".max_pct", q.MaxPct), Max: c.limit(place+".max", q.Max),
			Priority: q.Priority, Policy: q.Policy, UserLimit: c.percent(place+".user_limit_pct", q.UserLimitPct), Reserve: q.Reserve,
		})
		c.queueNames = append(c.queueNames, q.Name)
		c.parents[q.Parent] = true
	}
	for _, f := range sched.CheckQueues(c.space, c.program.queues) {
		place := "queues"
		if f.Queue >= 0 {
			place = fmt.Sprintf("queues[%d].%s", f.Queue, f.Field)
		}
		c.fault(place, "%s", f.Problem)
	}
}

// percent reads a percentage; nil is none.
func (c *compiler) percent(place string, text json.Number) *sched.Percent {
	if text == "" {
		return nil
	}
	p, err := sched.ParsePercent(text.String())
	if err != nil {
		c.fault(place, "%v", err)
		return nil
	}
	return &p
}

// limit reads a vector that may be left out; [sched.CheckQueues] looks at its amounts.
func (c *compiler) limit(place string, amounts Amounts) *resource.Vector {
	if amounts == nil {
		return nil
	}
	v := c.vector(place, amounts, false)
	return &v
}

func (c *compiler) step(place string, s Step) {
	in := instruction{Step: s, place: place}
	switch s.Op {
	case opSubmit:
		in.asks = c.submit(place, s)
	case opAddRequest:
		if service := c.service(place, s.Service, true); service != nil {
			in.asks = []ask{c.ask(place, s.Service, service, s.request())}
		}
	case opSchedule:
		if s.Offer != "" {
			c.here(place+".offer", s.Offer)
		}
	case opRelease, opFinish:
		if service := c.service(place, s.Service, false); service != nil && s.Op == opFinish {
			service.finished = true
		}
	case opAddNode:
		in.node = c.node(place, Node{Node: s.Node, Rack: s.Rack, Type: s.Type, Arch: s.Arch, Cap: s.Cap})
	case opRemoveNode:
		c.here(place+".node", s.Node)
		delete(c.present, s.Node)
	case opPreempt, opState:
	default:
		c.fault(place+".op", "there is no op %q", s.Op)
	}
	c.steps = append(c.steps, in)
}

// here checks that a node is there at this step.
func (c *compiler) here(place, node string) {
	if !c.present[node] && c.nodes {
		c.missing(place, "node", node, sorted(c.present))
	}
}

// service finds a service that was submitted, and unless an end of it does not matter, has not finished.
func (c *compiler) service(place, name string, active bool) *submitted {
	s := c.running[name]
	switch {
	case s == nil && c.services:
		c.missing(place+".service", "service", name, sorted(c.running))
	case s != nil && s.finished && active && c.services:
		c.fault(place+".service", "the service %q has finished: it must be submitted again before", name)
	}
	return s
}

func (c *compiler) submit(place string, s Step) (asks []ask) {
	old := c.running[s.Service]
	if old != nil && !old.finished && c.services {
		c.fault(place+".service", "the service %q is there already, since %s", s.Service, old.place)
	}
	service := &submitted{place: place, requests: map[string]bool{}}
	c.running[s.Service] = service
	c.leafQueue(place+".queue", s.Queue)
	if w := s.Weight; w != 0 && !sched.ValidWeight(w) {
		c.fault(place+".weight", "%s", sched.BadWeight(w))
	}
	for i, r := range s.Requests {
		asks = append(asks, c.ask(fmt.Sprintf("%s.requests[%d]", place, i), s.Service, service, r))
	}
	return asks
}

// leafQueue checks that there is such a queue, and that it has no children.
func (c *compiler) leafQueue(place, name string) {
	switch {
	case !c.queues:
	case !slices.Contains(c.queueNames, name):
		c.missing(place, "queue", name, c.queueNames)
	case c.parents[name]:
		c.fault(place, "the queue %q is no leaf: services go to its leaves, %s", name, strings.Join(c.leaves(name), ", "))
	}
}

// leaves names the first few leaves below a queue.
func (c *compiler) leaves(name string) (names []string) {
	const few = 5
	below := map[string]bool{name: true}
	for grown := true; grown; { // children may be defined before their parents
		grown = false
		for _, q := range c.doc.Queues {
			if below[q.Parent] && !below[q.Name] {
				below[q.Name], grown = true, true
			}
		}
	}
	for _, q := range c.doc.Queues {
		if below[q.Name] && !c.parents[q.Name] && len(names) < few {
			names = append(names, q.Name)
		}
	}
	return names
}

// ask reads a request of a service.
func (c *compiler) ask(place, name string, service *submitted, r Request) ask {
	if service.requests[r.ID] && c.services {
		c.fault(place+".id", "the service %q has a request %q already", name, r.ID)
	}
	service.requests[r.ID] = true
	request := sched.Request{
		ID: c.identity(name, r.ID), Service: name, Capacity: c.vector(place+".cap", r.Cap, true), Priority: r.Priority,
		NodeType: r.NodeType, Nodes: r.Nodes,
	}
	if r.Arch != "" {
		request.Platforms = []platform.Platform{platformOf(r.Arch)}
	}
	switch {
	case r.Count < 1:
		c.fault(place+".count", "%d: it is at least 1", r.Count)
	case r.Nodes > r.Count:
		c.fault(place+".count", "%d is below nodes, %d: each of these nodes needs a container", r.Count, r.Nodes)
	}
	c.nodeType(place+".node_type", r.NodeType)
	if l := cmp.Or(r.Location, &Location{}); *l != (Location{}) {
		request.Node, request.Rack, request.Relaxed = l.Node, l.Rack, r.Relax
		switch {
		case l.Node != "" && l.Rack != "":
			c.fault(place+".location", "it is a node or a rack, not both")
		case l.Node != "" && !c.named[l.Node] && c.nodes:
			c.missing(place+".location.node", "node", l.Node, sorted(c.named))
		case l.Rack != "" && !c.racks[l.Rack] && c.nodes:
			c.missing(place+".location.rack", "rack", l.Rack, sorted(c.racks))
		}
	}
	return ask{r.ID, r.Count, request}
}

// identity names a request for the scheduler, which knows no two of one name.
func (c *compiler) identity(service, request string) string {
	id, owner := service+"/"+request, [2]string{service, request}
	for c.owners[id] != owner && c.owners[id] != [2]string{} {
		id += "'"
	}
	c.owners[id] = owner
	return id
}

// sorted gives the keys of a set in their order, without the empty one.
func sorted[T any](set map[string]T) []string {
	keys := make([]string, 0, len(set))
	for key := range set { // order does not matter: sorted below
		if key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
