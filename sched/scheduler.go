package sched

import (
	"fmt"

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
	stuck      stuck
	services   map[string]*service
	requests   map[string]*request
	containers containers

	now       uint64 // counts changes from outside
	decisions uint64
	submitted int64
	settled   bool   // guarantees and maxima are those of the cluster
	idle      uint64 // the moment for which it is known that nothing can be placed
	path      []*queue
	offered   *node
	offers    uint64
	thorough  bool
	trials    uint64 // the moment since which it counts what was tried
	budget    int    // looks that are left; see [Scheduler.NextWithin]
	progress  bool   // something came of those that were made
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
		cluster: newCluster(cfg.Space, cfg.Scores), classes: newClasses(cfg.Space.Len()),
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
	s.classes.reopenAll(s.now)
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
	for _, i := range s.containers.on(n) {
		ledger{s}.drop(i)
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
		ledger{s}.unseat(have)
	}
	have.Service, have.weight = v, double{hi: 1}
	if v.Weight != 0 {
		have.weight = decimal(v.Weight)
	}
	ledger{s}.seat(have, f)
	return nil
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
			ledger{s}.drop(r.first)
		}
		if s.requests[r.id] == r { // its last container did not take it along
			ledger{s}.forget(r)
		}
	}
	ledger{s}.unseat(v)
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
			return fmt.Errorf("service: request %q belongs to %q, and not to %q", q.ID, r.service.Name, q.Service)
		}
		if r.line != nil {
			v.leaf.quit(r)
		}
		s.classes.leave(r.class)
	}
	r.ask(&q)
	r.on = r.on[:0]
	for i := r.first; i != 0; i = s.containers.at(i).next {
		r.note(s.containers.at(i).node, 1)
	}
	r.class = s.classes.of(&q, s.cluster.dims, s.cluster.gpu)
	ledger{s}.line(r)
	return nil
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
	ledger{s}.line(r)
	ledger{s}.forget(r)
}

// Release gives back what a container holds; its request wants another one unless [Scheduler.Want] was called before. One
// that is not known is of no effect.
func (s *Scheduler) Release(c Container) {
	if i, ok := s.containers.find(c); ok {
		s.now++
		ledger{s}.drop(i)
	}
}
