package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/broker/queues"
	"github.com/weft-fabric/weft/internal/human"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// queueing is the queues as operators configure them; what is in them is the scheduler's.
type queueing struct {
	c        *Core
	config   queues.Config
	named    map[string]*protocol.Queue    // of config
	draining ordered.Map[string, struct{}] // queues that take no new sessions, nor do those below
}

// newQueueing has the queues of the configuration, or the default ones, in force.
func newQueueing(c *Core) (*queueing, error) {
	t := &queueing{c: c, config: queues.Default()}
	t.named = named(t.config)
	if first := c.cfg.Queues; first != nil {
		next := queues.Config{Queues: first.Queues, Shapes: first.Shapes}
		if err := t.check(next); err != nil {
			return nil, err
		}
		return t, t.replace(next)
	}
	return t, nil
}

// check says everything that is wrong with a configuration, or what of it is in use and would be gone.
func (t *queueing) check(next queues.Config) error {
	if err := queues.Err(next.Queues, next.Check()); err != nil {
		return err
	}
	space := t.c.managers.lookup.Space()
	for _, name := range next.Names() {
		if _, known := queues.In(space)(name); known {
			continue
		}
		more, _, err := space.With(name)
		if err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "apply queues", "queues: a fabric may have %d dimensions beside %s, and with %q it would have more",
				protocol.MaxFurther, strings.Join(protocol.Dimensions(), ", "), name)
		}
		space = more
	}
	return t.checkUse(next)
}

// checkUse refuses a configuration in which queues with running services would be gone or would have children.
func (t *queueing) checkUse(next queues.Config) error {
	leaf := make(map[string]bool, len(next.Queues))
	for _, q := range next.Queues {
		leaf[q.Name] = true
	}
	for _, q := range next.Queues {
		leaf[q.Parent] = false
	}
	var homeless []string
	for _, m := range t.c.managers.byID.All() {
		if m.running() && !leaf[m.charged.queue] {
			homeless = append(homeless, fmt.Sprintf("%s in %s (%s, %s)", m.entryName(), m.charged.queue,
				human.Plural(m.sessions.Len(), "session"), human.Plural(m.containers.Len(), "container")))
		}
	}
	if len(homeless) > 0 {
		return protocol.Errorf(protocol.CodeInUse, "apply queues", "queues with running services can neither go nor have queues below them; drain them first: %s", someOf(homeless))
	}
	return nil
}

// running says whether the manager has sessions or containers, which are in its queue.
func (m *manager) running() bool { return m.sessions.Len() > 0 || m.account != nil }

// entryName names the version of the service that the manager serves.
func (m *manager) entryName() string { return m.service.Name + "@" + m.service.Version }

// someOf names the first of a long list.
func someOf(all []string) string {
	const some = 20
	if more := len(all) - some; more > 0 {
		all = append(slices.Clip(all[:some]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// replace has a configuration that was checked in force.
func (t *queueing) replace(next queues.Config) error {
	p := &t.c.managers.placing
	for _, name := range next.Names() {
		if _, known := queues.In(p.lookup.Space())(name); known {
			continue
		}
		if err := p.dimension(name); err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "apply queues", "queues: %v", err)
		}
	}
	tree, err := next.Tree(queues.In(p.lookup.Space()))
	if err != nil {
		return err
	}
	if err := p.sched.SetQueues(tree); err != nil {
		return protocol.Errorf(protocol.CodeInUse, "apply queues", "%v", err)
	}
	p.changes++
	t.config, t.named = next, named(next)
	for name := range t.draining.All() {
		if t.named[name] == nil {
			t.draining.Delete(name)
		}
	}
	return nil
}

// drains names the queue by which a queue, itself or one above it, takes no new sessions.
func (t *queueing) drains(name string) (by string, ok bool) {
	for q := t.named[name]; q != nil && t.draining.Len() > 0; q = t.named[q.Parent] {
		if _, ok := t.draining.Get(q.Name); ok {
			return q.Name, true
		}
	}
	return "", false
}

// admits says why a queue takes no new session.
func (t *queueing) admits(op, queue string) error {
	if by, ok := t.drains(queue); ok {
		return protocol.Errorf(protocol.CodeNotAccepting, op, "queue %s takes no new sessions: %s is being drained (weft queue drain --undo %s)", queue, by, by)
	}
	return nil
}

// shape gives the requests of a service the capacities of the shapes that they name.
func (t *queueing) shape(s *protocol.Service) error {
	for i := range s.Requests {
		r := &s.Requests[i]
		if r.Shape == "" {
			continue
		}
		bad := func(format string, args ...any) error {
			return protocol.Errorf(protocol.CodeInvalid, "service "+s.Name, "requests[%d].%s", i, fmt.Sprintf(format, args...))
		}
		shape, ok := t.config.Shapes[r.Shape]
		if !ok {
			return bad("shape: there is no shape %q (see: weft queue shapes)", r.Shape)
		}
		whole := protocol.Capacity{}.Plus(shape, int64(max(r.Multiple, 1)))
		if !r.Capacity.IsZero() && !r.Capacity.Equal(whole) {
			return bad("capacity: is given beside the shape %q, and is another one; leave out one of them", r.Shape)
		}
		r.Capacity = whole
	}
	return nil
}

func applyQueues(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ApplyQueues](r)
	if err != nil {
		return err
	}
	t := c.queues
	next := queues.Config{Queues: req.Queues, Shapes: req.Shapes}
	if err := t.check(next); err != nil {
		return err
	}
	applied := protocol.QueuesApplied{DryRun: req.DryRun, Changes: t.config.Changes(next)}
	services := t.services(next)
	for i := range applied.Changes {
		change := &applied.Changes[i]
		change.Services = services[change.Queue]
	}
	if !req.DryRun {
		if err := t.replace(next); err != nil {
			return err
		}
		if len(applied.Changes) > 0 {
			c.out.record(&Record{At: c.now, Queues: req})
		}
	}
	p.answer(c.out, c.out.position, protocol.KindQueuesApplied, r.Task, applied)
	return nil
}

// services names for each queue the services that are registered for it, or for one below it, as things are or would be.
func (t *queueing) services(next queues.Config) map[string][]string {
	of := map[string][]string{}
	then := named(next)
	for e := range t.c.catalogue.All() {
		for _, tree := range []map[string]*protocol.Queue{t.named, then} {
			for q := tree[e.Service.Queue]; q != nil; q = tree[q.Parent] {
				if !slices.Contains(of[q.Name], e.Service.Name) {
					of[q.Name] = append(of[q.Name], e.Service.Name)
				}
			}
		}
	}
	return of
}

// named gives the queues of a configuration by their names.
func named(c queues.Config) map[string]*protocol.Queue {
	m := make(map[string]*protocol.Queue, len(c.Queues))
	for i := range c.Queues {
		m[c.Queues[i].Name] = &c.Queues[i]
	}
	return m
}

func drainQueue(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.DrainQueue](r)
	if err != nil {
		return err
	}
	t := c.queues
	if t.named[req.Name] == nil {
		return protocol.Errorf(protocol.CodeNotFound, "drain queue", "name: there is no queue %q", cut(req.Name))
	}
	if _, drains := t.draining.Get(req.Name); drains == req.Undo {
		if req.Undo {
			t.draining.Delete(req.Name)
		} else {
			t.draining.Set(req.Name, struct{}{})
		}
		c.out.record(&Record{At: c.now, Drain: req})
	}
	p.answer(c.out, c.out.position, protocol.KindDone, r.Task, nil)
	return nil
}

// listQueues answers with the queues that come after the one of the name After, parents before their children.
func listQueues(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.QueueInfo](req.Limit)
	if err != nil {
		return err
	}
	answer := protocol.QueuePage{}
	if req.After == "" {
		answer.Shapes = c.queues.config.Shapes
	}
	all := c.queues.infos()
	if at := slices.IndexFunc(all, func(q protocol.QueueInfo) bool { return q.Queue.Name == req.After }); at >= 0 {
		all = all[at+1:]
	} else if req.After != "" {
		return protocol.Errorf(protocol.CodeInvalid, "list queues", "after: there is no queue %q any more; begin anew", cut(req.After))
	}
	for _, q := range all {
		if (req.Name == "" || q.Queue.Name == req.Name) && !page.add(q) {
			break
		}
	}
	answer.Entries, answer.More = page.entries, page.more
	p.answer(c.out, 0, protocol.KindQueuePage, r.Task, answer)
	return nil
}

// infos is what can be seen of all queues, depth first in order of definition.
func (t *queueing) infos() []protocol.QueueInfo {
	sessions := map[string]int{}
	for _, m := range t.c.managers.byID.All() {
		sessions[m.charged.queue] += m.sessions.Len()
	}
	states := t.c.managers.sched.Queues()
	for _, q := range slices.Backward(states) { // children come first
		sessions[q.Parent] += sessions[q.Name]
	}
	space := t.c.managers.lookup.Space()
	var whole []float64 // what the cluster has
	all := make([]protocol.QueueInfo, 0, len(states))
	for i := range states {
		q := &states[i]
		if whole == nil {
			whole = q.Guaranteed
		}
		info := protocol.QueueInfo{
			Queue: *t.named[q.Name], Depth: q.Depth, Leaf: q.Leaf, Used: protocol.Amounts{}, Guaranteed: protocol.Quantities{}, Max: protocol.Quantities{},
			Ratio: q.Ratio, Running: q.Running, Pending: q.Pending, Services: q.Services, Sessions: sessions[q.Name],
		}
		_, info.Draining = t.drains(q.Name)
		for d := range space.Len() {
			name := dimensionName(space, resource.Dimension(d))
			if n := q.Used[d]; n != 0 {
				info.Used[name] = n
			}
			if n := q.Guaranteed[d]; n != 0 {
				info.Guaranteed[name] = n
			}
			if whole[d] > 0 {
				info.Max[name] = q.Most[d]
			}
		}
		all = append(all, info)
	}
	return all
}

// dimensionName names a dimension as the wire does.
func dimensionName(space resource.Space, d resource.Dimension) string {
	if int(d) < resource.Dimensions {
		return protocol.Dimensions()[d]
	}
	return space.Name(d)
}

// policy names the policy of a leaf.
func (t *queueing) policy(queue string) string {
	if q := t.named[queue]; q != nil && q.Policy != "" {
		return q.Policy
	}
	return sched.Policies()[0]
}
