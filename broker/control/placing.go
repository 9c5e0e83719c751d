package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// placing is what the control loop and the scheduler know of each other: for whom containers are placed, on which nodes, in
// which dimensions.
type placing struct {
	sched    *sched.Scheduler
	lookup   sched.Lookup
	accounts map[string]*account
	changes  uint64 // of nodes and queues: what could not be placed before may be now, and the other way round
}

// account is who is charged for containers: a version of a service in one queue, and where the queue has limits for users,
// for one of them. To the scheduler it is a service, and each manager that has it is one of its requests.
type account struct {
	name, queue, user string
	managers          int
}

func newPlacing(scores sched.Scores) placing {
	s, err := sched.New(sched.Config{Delay: true, Scores: scores})
	if err != nil {
		panic("control: " + err.Error()) // nothing in the configuration can be wrong
	}
	return placing{sched: s, lookup: sched.Look(s), accounts: make(map[string]*account)}
}

// demand is what a session asks of its containers beyond what its service says. Sessions of one service with different
// demands have managers of their own.
type demand struct {
	queue   string // empty: the service's
	user    string
	request protocol.ContainerRequest
}

// demandOf is what a session asks of its containers.
func demandOf(p *party, r *protocol.OpenSession) demand {
	return demand{queue: r.Queue, user: p.user(), request: r.Request()}
}

// user is for whom a client acts: its principal, or as long as there are none, the name that it gives itself.
func (p *party) user() string { return cut(cmp.Or(p.hello.Principal, p.hello.Name)) }

// contradicts says in what a demand is not to be had of a service, "" when nothing is.
func (d *demand) contradicts(s *protocol.Service) string {
	r, of := &d.request, &s.Requests[0]
	placed := func(field string) string {
		return fmt.Sprintf("%s: service %s has no artefacts: its instances are started by hand, where somebody likes", field, s.Name)
	}
	byHand := len(s.Artefacts) == 0
	switch {
	case byHand && r.NodeType != "":
		return placed("node_type")
	case byHand && r.Nodes > 1:
		return placed("nodes")
	case byHand && r.Node != "" && !r.Relax:
		return placed("node")
	case byHand && r.Rack != "" && !r.Relax:
		return placed("rack")
	case r.NodeType != "" && of.NodeType != "" && r.NodeType != of.NodeType:
		return fmt.Sprintf("node_type: service %s runs on nodes of type %s, and %s is asked for", s.Name, of.NodeType, r.NodeType)
	case of.Relax || r.Node == "" && r.Rack == "" || r.Node == of.Node && r.Rack == of.Rack:
		return ""
	case of.Node != "":
		return fmt.Sprintf("node: service %s runs on node %s, and another place is asked for", s.Name, of.Node)
	case of.Rack != "":
		return fmt.Sprintf("rack: service %s runs in rack %s, and another place is asked for", s.Name, of.Rack)
	}
	return ""
}

// of gives the request of a service for a session with that demand.
func (d *demand) of(r protocol.ContainerRequest) protocol.ContainerRequest {
	asked := &d.request
	r.NodeType = cmp.Or(r.NodeType, asked.NodeType)
	r.Nodes = max(r.Nodes, asked.Nodes)
	r.Priority = cmp.Or(asked.Priority, r.Priority)
	if (asked.Node != "" || asked.Rack != "") && !planted.Is(planted.PlaceForgotten) {
		r.Node, r.Rack, r.Relax = asked.Node, asked.Rack, asked.Relax
	}
	return r
}

// account says who is charged for the containers of a session.
func (t *placing) account(e *catalogue.Entry, d demand) account {
	a := account{queue: cmp.Or(d.queue, e.Service.Queue)}
	a.name = e.Key() + " in " + a.queue
	if q, _ := t.lookup.Queue(a.queue); q.Policy == sched.PolicyCapacity && d.user != "" {
		a.user = d.user
		a.name += " for " + a.user
	}
	return a
}

// charge has the manager's containers charged to its account from now on.
func (t *placing) charge(m *manager) error {
	if m.account != nil {
		return nil
	}
	a := t.accounts[m.charged.name]
	if a == nil {
		a = &m.charged
		if err := t.sched.SetService(sched.Service{Name: a.name, Queue: a.queue, User: a.user}); err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "service "+m.service.Name, "queue: %v", err)
		}
		t.accounts[a.name] = a
	}
	a.managers++
	m.account = a
	return nil
}

// discharge takes a manager that has and wants no container off its account.
func (t *placing) discharge(m *manager) {
	a := m.account
	if a == nil {
		return
	}
	m.account = nil
	if a.managers--; a.managers == 0 {
		t.sched.RemoveService(a.name)
		delete(t.accounts, a.name)
	}
}

// dimension takes in a dimension by its name, where it is new.
func (t *placing) dimension(name string) error {
	space := t.lookup.Space()
	if d, ok := space.Dimension(name); ok && int(d) >= resource.Dimensions {
		return nil
	}
	more, _, err := space.With(name)
	if err != nil {
		return fmt.Errorf("a fabric may have %d dimensions beside %s, and has %s", protocol.MaxFurther,
			strings.Join(protocol.Dimensions(), ", "), strings.Join(space.Names()[resource.Dimensions:], ", "))
	}
	t.sched.Extend(more)
	return nil
}

// learn takes in the dimensions of a capacity. The error begins with the one for which there is no room.
func (t *placing) learn(c protocol.Capacity) error {
	var names []string
	for name := range c.Further { // order does not matter: sorted below
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := t.dimension(name); err != nil {
			return fmt.Errorf("capacity.%s: %w", name, err)
		}
	}
	return nil
}

// vector gives a capacity as the scheduler counts it. Its dimensions have been learned.
func (t *placing) vector(c protocol.Capacity) resource.Vector {
	v := resource.Vector{
		resource.CPU: c.CPU, resource.GPU: c.GPU, resource.Memory: c.Memory, resource.Network: c.Network, resource.DiskIO: c.DiskIO,
	}
	for name, n := range c.Further { // order does not matter: each is a dimension of its own
		if d, ok := t.lookup.Space().Dimension(name); ok {
			v[d] = n
		}
	}
	return v
}

// show has the scheduler see a node that is up as it is now.
func (t *placing) show(n *fleet.Node) {
	t.changes++
	t.sched.SetNode(sched.Node{
		Name: n.Name, Rack: n.Rack, Type: n.NodeType, Platform: n.Platform, Capacity: t.vector(n.Capacity), Cordoned: n.Cordoned,
	})
}

// hide has the scheduler forget a node.
func (t *placing) hide(n *fleet.Node) {
	t.changes++
	t.sched.RemoveNode(n.Name)
}

// rid is the name of a manager's request for the scheduler.
func (m *manager) rid() string { return strconv.FormatUint(uint64(m.id), 10) }

// request is what the scheduler is to find a place for.
func (t *placing) request(m *manager) sched.Request {
	r := m.service.Requests[0]
	q := sched.Request{
		ID: m.rid(), Service: m.charged.name, Capacity: t.vector(r.Capacity), Priority: r.Priority,
		Node: r.Node, Rack: r.Rack, Relaxed: r.Relax, NodeType: r.NodeType, Nodes: r.Nodes,
	}
	for key := range m.artefacts() {
		if p, err := platform.Parse(key); err == nil {
			q.Platforms = append(q.Platforms, p)
		}
	}
	for name := range m.except.All() {
		q.Except = append(q.Except, name)
	}
	return q
}

// artefacts iterates over the platforms and artefacts of the service in the order of the platforms.
func (m *manager) artefacts() func(yield func(string, protocol.Artefact) bool) {
	var sorted ordered.Map[string, protocol.Artefact]
	for p, a := range m.service.Artefacts { // order does not matter: sorted by the map
		sorted.Set(p, a)
	}
	return sorted.All()
}

// startable says whether agents can start instances of the service; otherwise all are started by hand.
func (m *manager) startable() bool { return len(m.service.Artefacts) > 0 }

// want has the manager have so many containers in all, those that are leaving included.
func (t *placing) want(m *manager, count int) {
	id := m.rid()
	has, _, known := t.sched.RequestState(id)
	if count > 0 && (!known || m.altered) {
		if err := t.sched.Submit(t.request(m)); err != nil {
			return // it has no account, which is for sessions and containers only: nobody wants it to have any
		}
		m.altered, known = false, true
	}
	if known && has != count {
		t.sched.Want(id, count)
	}
}

// satisfiable says whether the nodes that are known could ever hold the manager's containers; while something serves,
// or nothing is known, or everything is started by hand, they could.
func (t *managers) satisfiable(m *manager) error {
	if !m.startable() || m.placed {
		return nil
	}
	if m.judged != t.changes || m.altered {
		m.judged, m.verdict = t.changes, t.sched.Satisfiable(t.request(m), m.charged.queue)
		t.c.pass.spend(t.lookup.Nodes())
	}
	u, ok := errors.AsType[*sched.Unsatisfiable](m.verdict)
	if !ok {
		return nil
	}
	switch {
	case u.Barrier == sched.Excepted && m.failure != nil:
		return m.failure
	case u.Barrier == sched.QueueMax:
		return protocol.Errorf(protocol.CodeNoCapacity, "service "+m.service.Name, "it could never run there: %s", u.Reason)
	case u.Barrier == sched.WrongPlatform:
		return protocol.Errorf(protocol.CodeArtefact, "service "+m.service.Name, neverRuns, u.Reason)
	}
	return protocol.Errorf(protocol.CodeNoCapacity, "service "+m.service.Name, neverRuns, u.Reason)
}

const neverRuns = "no node that has joined could ever run it: %s"

// ruleOut rules a node out for a manager's containers, for a while.
func (t *managers) ruleOut(m *manager, node string, until time.Time) {
	m.except.Set(node, until)
	m.altered = true
	t.picky.Set(m.id, m)
}

// admitAgain no longer rules a node out.
func (t *managers) admitAgain(m *manager, node string) {
	if !m.except.Delete(node) {
		return
	}
	m.altered = true
	if m.except.Len() == 0 {
		t.picky.Delete(m.id)
	}
	t.touch(m)
}

// checkQueue says what is wrong with the queue of a service or session.
func (t *placing) checkQueue(op, queue string) error {
	if err := t.sched.Leaf(queue); err != nil {
		return protocol.Errorf(protocol.CodeInvalid, op, "queue: %v", err)
	}
	return nil
}
