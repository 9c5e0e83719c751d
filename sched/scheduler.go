package sched

import (
	"fmt"
	"slices"

	"github.com/weft-fabric/weft/sched/resource"
)

// Config says how a scheduler goes about its work. The zero value is right for a fabric's nodes.
type Config struct {
	Space resource.Space // of all vectors; the zero value stands for the standard one
	// Ratio is the dimension that alone counts for the usage ratio of queues; "" or "dominant": the largest ratio does.
	Ratio string
	// Delay has relaxed requests wait for offers of the place that they prefer, see [Scheduler.Heartbeat]. Without it
	// they take another place at once when that one is full.
	Delay  bool
	Scores Scores
}

// Dominant is the [Config.Ratio] by which the largest ratio counts.
const Dominant = "dominant"

// Container names a placed container; a number is never used again.
type Container uint64

// Placement is one decision: a container of the request runs on the node, and holds its capacity until it is released.
type Placement struct {
	Container Container
	Request   string
	Service   string
	Queue     string
	Node      string
}

// Scheduler decides, container by container, in three levels: which queue is next, which of its services, which of its
// requests, and on which node. Make it with [New].
type Scheduler struct {
	space      resource.Space
	delay      bool
	tree       *tree
	cluster    cluster
	classes    classes
	services   map[string]*service
	requests   map[string]*request
	containers containers

	now       uint64 // counts changes from outside
	submitted int64
	settled   bool   // guarantees and maxima are those of the cluster
	idle      uint64 // the moment for which it is known that nothing can be placed
	path      []*queue
	offered   *node
	offers    uint64
	thorough  bool
	trials    uint64 // the moment since which it counts what was tried
	budget    int    // looks that are left; see [Scheduler.NextWithin]
	delayed   []*request
}

// New makes a scheduler without nodes, with the queues of [DefaultQueues]. An error names the field of the configuration.
func New(cfg Config) (*Scheduler, error) {
	if cfg.Space.Len() == 0 {
		cfg.Space = resource.Standard()
	}
	only := -1
	if cfg.Ratio != "" && cfg.Ratio != Dominant {
		d, ok := cfg.Space.Dimension(cfg.Ratio)
		if !ok {
			return nil, fmt.Errorf("ratio: %q is neither %q nor a dimension (%v)", cfg.Ratio, Dominant, cfg.Space.Names())
		}
		only = int(d)
	}
	return &Scheduler{
		space: cfg.Space, delay: cfg.Delay, tree: newTree(cfg.Space.Len(), only, DefaultQueues()),
		cluster: newCluster(cfg.Space, cfg.Scores), classes: newClasses(),
		services: make(map[string]*service), requests: make(map[string]*request), now: 1, trials: 1,
	}, nil
}

// The names of the queues that are there before others are set.
const (
	RootQueue    = "root"
	DefaultQueue = "default"
)

// DefaultQueues are a root and one leaf.
func DefaultQueues() []Queue {
	return []Queue{{Name: RootQueue}, {Name: DefaultQueue, Parent: RootQueue}}
}

// SetNode brings a node in, at the end of the order of definition, or changes it. Containers that it holds stay, also when
// they now exceed it.
func (s *Scheduler) SetNode(n Node) {
	s.now++
	s.settled = false
	s.cluster.set(n)
}

// RemoveNode takes a node out; what it held is released, and wanted again. A name that is not known is of no effect.
func (s *Scheduler) RemoveNode(name string) {
	n, ok := s.cluster.byName[name]
	if !ok {
		return
	}
	s.now++
	s.settled = false
	s.cluster.remove(n)
	for n.first != 0 {
		s.drop(n.first)
	}
}

// SetService takes a service in, behind those of its queue, or changes it; then it keeps its place. The error is that of
// [Scheduler.Leaf].
func (s *Scheduler) SetService(v Service) error {
	if err := s.Leaf(v.Queue); err != nil {
		return err
	}
	s.now++
	f := s.tree.named[v.Queue].leaf
	have := s.services[v.Name]
	if have == nil {
		s.submitted++
		have = &service{order: s.submitted}
		s.services[v.Name] = have
	} else {
		s.unseat(have)
	}
	have.Service, have.weight = v, v.Weight
	if have.weight == 0 {
		have.weight = 1
	}
	s.seat(have, f)
	return nil
}

// unseat takes a service with all that it holds and wants out of its leaf.
func (s *Scheduler) unseat(v *service) {
	for _, r := range v.requests {
		if r.line != nil {
			v.leaf.quit(r, s.now)
		}
	}
	s.account(v, &v.used, -1, -v.containers)
	f := v.leaf
	last := f.members[len(f.members)-1]
	f.members[v.seat], last.seat = last, v.seat
	f.members = f.members[:len(f.members)-1]
	v.leaf, v.user = nil, nil
}

// seat puts a service with all that it holds and wants into a leaf.
func (s *Scheduler) seat(v *service, f *leaf) {
	u := f.users[v.User]
	if u == nil {
		u = &user{name: v.User}
		f.users[v.User] = u
	}
	v.leaf, v.user = f, u
	v.seat = len(f.members)
	f.members = append(f.members, v)
	s.account(v, &v.used, 1, v.containers)
	s.stand(v)
	for _, r := range v.requests {
		s.line(r)
	}
}

// account has the leaf of a service, its user and all queues above hold an amount in so many containers more; or less,
// where sign is -1 and the number below 0.
func (s *Scheduler) account(v *service, amount *resource.Vector, sign int64, containers int) {
	s.tree.charge(v.leaf.queue, amount, &s.cluster.total, sign, containers)
	for d := range amount {
		v.user.held[d] += sign * amount[d]
	}
	v.user.running += containers
	v.leaf.census(v.user, s.now)
	v.leaf.lifted(s.now)
}

// hold has a service hold an amount in one container more, or less where sign is -1.
func (s *Scheduler) hold(v *service, amount *resource.Vector, sign int64) {
	for d := range s.cluster.dims {
		v.used[d] += sign * amount[d]
	}
	v.containers += int(sign)
	s.account(v, amount, sign, int(sign))
	s.stand(v)
}

// stand gives a service the place that it has by what it holds.
func (s *Scheduler) stand(v *service) {
	if !v.leaf.policy.byHolding() {
		v.standing = 0
		return
	}
	v.standing = v.leaf.policy.standing(v, &s.cluster.total)
	for _, r := range v.requests {
		if r.line != nil {
			r.line.waiting.fix(r.spot, r.key())
			v.leaf.settle(r.line)
		}
	}
}

// RemoveService takes a service out: its requests are withdrawn and its containers released. A name that is not known is
// of no effect.
func (s *Scheduler) RemoveService(name string) {
	v, ok := s.services[name]
	if !ok {
		return
	}
	s.now++
	for len(v.requests) > 0 {
		r := v.requests[len(v.requests)-1]
		r.want = 0
		for r.first != 0 {
			s.drop(r.first)
		}
		if s.requests[r.ID] == r { // its last container did not take it along
			s.forget(r)
		}
	}
	s.unseat(v)
	delete(s.services, name)
}

// Submit takes a request in, wanting nothing. One that is known is changed and keeps its place and its containers. An
// error says that its service is not known.
func (s *Scheduler) Submit(q Request) error {
	v := s.services[q.Service]
	if v == nil {
		return fmt.Errorf("service: %q is not known", q.Service)
	}
	s.now++
	r := s.requests[q.ID]
	if r == nil {
		v.submitted++
		r = &request{service: v, order: v.submitted, spot: absent}
		s.requests[q.ID] = r
		v.requests = append(v.requests, r)
	} else {
		if r.service != v {
			return fmt.Errorf("service: request %q belongs to %q, and not to %q", q.ID, r.Service, q.Service)
		}
		if r.line != nil {
			v.leaf.quit(r, s.now)
		}
		s.classes.leave(r.class)
	}
	r.Request = q
	r.on = r.on[:0]
	for i := r.first; i != 0; i = s.containers.at(i).of.next {
		r.note(s.containers.at(i).node, 1)
	}
	r.class = s.classes.of(r, s.cluster.dims, s.cluster.gpu)
	s.line(r)
	return nil
}

// line has a request stand in line when it wants more than it holds, and not otherwise.
func (s *Scheduler) line(r *request) {
	switch lacks := r.lacks() > 0; {
	case lacks && r.line == nil:
		r.service.leaf.join(r, s.now)
	case !lacks && r.line != nil:
		r.service.leaf.quit(r, s.now)
	}
	if r.class.own == r {
		s.classes.reopen(r.class, s.now) // what it holds and wants decides where it may be
	}
}

// Want says how many containers a request is to have in all, those included that it holds; at less than it holds it is for
// the caller to choose and release some. A request that wants nothing and holds nothing is forgotten. One that is not
// known is of no effect.
func (s *Scheduler) Want(id string, count int) {
	r, ok := s.requests[id]
	if !ok {
		return
	}
	s.now++
	r.want = max(count, 0)
	s.line(r)
	s.forget(r)
}

// forget drops a request that wants nothing and holds nothing.
func (s *Scheduler) forget(r *request) {
	if r.want > 0 || r.held > 0 {
		return
	}
	delete(s.requests, r.ID)
	s.undelay(r)
	if r.line != nil {
		r.service.leaf.quit(r, s.now)
	}
	s.classes.leave(r.class)
	v := r.service
	i := slices.Index(v.requests, r)
	last := len(v.requests) - 1
	v.requests[i] = v.requests[last]
	v.requests[last] = nil
	v.requests = v.requests[:last]
}

// Release gives back what a container holds; its request wants another one unless [Scheduler.Want] was called before. One
// that is not known is of no effect.
func (s *Scheduler) Release(c Container) {
	if i, ok := s.containers.find(c); ok {
		s.now++
		s.drop(i)
	}
}

// drop takes a container from its node, its request and the queues.
func (s *Scheduler) drop(i int32) {
	k := s.containers.at(i)
	r, n, ask := k.request, k.node, &k.class.ask
	s.containers.drop(i)
	n.containers--
	s.cluster.take(n, ask, -1)
	r.held--
	r.note(n, -1)
	s.hold(r.service, ask, -1)
	s.classes.freed(n, &s.cluster, s.now)
	f := r.service.leaf
	f.changed = s.now
	for q := f.queue; q != nil; q = q.parent {
		q.released = s.now
	}
	f.queue.touch()
	s.line(r)
	s.forget(r)
}

// settle finds anew, after a change of the cluster or the queues, what everyone is guaranteed, and has everything tried.
func (s *Scheduler) settle() {
	s.cluster.freshen()
	if s.settled {
		return
	}
	s.settled = true
	s.now++
	s.tree.settle(&s.cluster.total)
	s.classes.reopenAll(s.now)
	for _, q := range s.tree.all {
		q.failed, q.failedAt, q.released = bits{}, 0, s.now
		if q.leaf == nil {
			continue
		}
		q.leaf.changed = s.now
		if q.leaf.active.len()+len(q.leaf.parked) > 0 {
			q.touch()
		}
	}
	for _, q := range s.tree.all {
		if q.parent != nil && q.spot != absent {
			q.parent.active.fix(q.spot, q.key())
		}
	}
	for _, q := range s.tree.all {
		if q.leaf != nil {
			for _, v := range q.leaf.members {
				s.stand(v)
			}
		}
	}
}
