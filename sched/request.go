package sched

import (
	"slices"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched/resource"
)

// Service is who requests containers.
type Service struct {
	Name   string
	Queue  string  // a leaf
	Weight float64 // its part in a leaf with the fair policy; 0 stands for 1
	User   string  // for whom the capacity policy has limits; those without one are one user
}

// Request says what one container needs and where it may run; how many there are to be is said by [Scheduler.Want].
type Request struct {
	ID       string // of the request, unique
	Service  string // that the request belongs to; its place in the queue is shared by all its requests
	Capacity resource.Vector
	Priority int // among the requests of one service; the higher goes first
	// Where it may run; what is empty does not matter.
	Node      string
	Rack      string
	Relaxed   bool                // Node and Rack are preferred, not a must
	NodeType  string              // one of cpu may have a node with GPUs where no other has room
	Platforms []platform.Platform // one of them must run there
	Nodes     int                 // least number of distinct nodes that the containers must be spread over
	Except    []string            // names of nodes that are out of the question for now
	Artefact  string              // nodes that hold it go first
}

type service struct {
	Service
	weight     double
	leaf       *leaf
	user       *user
	order      int64 // of submission
	seat       int   // among the members of its leaf
	used       resource.Vector
	containers int
	standing   float64
	requests   []*request
	submitted  int64 // of its requests
}

type request struct {
	id       string
	service  *service
	class    *class // which has the rest of what it asks for
	priority int
	node     string
	rack     string
	relaxed  bool
	nodes    int
	order    int64

	want  int
	held  int
	first int32      // of its containers, the oldest; 0 none
	last  int32      // the newest
	on    []presence // where it is to be on several nodes
	line  *line
	spot  int32 // in its line

	missed  int    // offers of other places that it let pass
	offer   uint64 // the last one of them
	delayed bool   // it waits for the place that it prefers
	tried   uint64 // the trial in which it was tried and blocked last
}

// ask takes from a request what its class does not have.
func (r *request) ask(q *Request) {
	r.id, r.priority, r.node, r.rack, r.relaxed, r.nodes = q.ID, q.Priority, q.Node, q.Rack, q.Relaxed, q.Nodes
	if q.Nodes > 1 && r.on == nil {
		r.on = make([]presence, 0, q.Nodes+6)
	}
}

func (r *request) place() *int32 { return &r.spot }

// key says where the request stands in its leaf.
func (r *request) key() key {
	return key{ratio: r.service.standing, second: r.service.order, third: -int64(r.priority), fourth: r.order}
}

// lacks is how many containers it still wants.
func (r *request) lacks() int { return max(r.want-r.held, 0) }

// container is one that was placed. Those of a node and those of a request are each a list.
type container struct {
	request *request // nil: it is spare
	class   *class   // that says what it holds
	node    *node
	turn    uint32 // counts the containers that had this place
	onNode  links
	of      links
}

// links are the neighbours in a list by index; 0: none.
type links struct{ next, prev int32 }

// containers is a slab of them; index 0 is nobody's. It grows by pages, so that nothing is ever moved.
type containers struct {
	pages [][]container
	used  int32
	spare int32 // first spare one, by onNode.next
}

// pageSize is how many containers a page has; a power of two.
const pageSize = 1 << 12

func (c *containers) at(i int32) *container { return &c.pages[i/pageSize][i%pageSize] }

// id names the container at an index.
func (c *containers) id(i int32) Container { return Container(uint64(c.at(i).turn)<<32 | uint64(i)) }

// find gives the index of a container that is there.
func (c *containers) find(id Container) (int32, bool) {
	i := int64(id & 0xffff_ffff)
	if i == 0 || i > int64(c.used) || c.at(int32(i)).request == nil || c.id(int32(i)) != id {
		return 0, false
	}
	return int32(i), true
}

// add takes a container in, as the newest of its request.
func (c *containers) add(r *request, n *node) int32 {
	i := c.spare
	if i == 0 {
		c.used++
		i = c.used
		if int(i/pageSize) == len(c.pages) {
			c.pages = append(c.pages, make([]container, pageSize))
		}
	} else {
		c.spare = c.at(i).onNode.next
	}
	k := c.at(i)
	*k = container{request: r, class: r.class, node: n, turn: k.turn, onNode: links{next: n.first}, of: links{prev: r.last}}
	if n.first != 0 {
		c.at(n.first).onNode.prev = i
	}
	n.first = i
	if r.last != 0 {
		c.at(r.last).of.next = i
	} else {
		r.first = i
	}
	r.last = i
	return i
}

// drop takes a container out.
func (c *containers) drop(i int32) {
	k := c.at(i)
	if k.onNode.prev != 0 {
		c.at(k.onNode.prev).onNode.next = k.onNode.next
	} else {
		k.node.first = k.onNode.next
	}
	if k.onNode.next != 0 {
		c.at(k.onNode.next).onNode.prev = k.onNode.prev
	}
	if k.of.prev != 0 {
		c.at(k.of.prev).of.next = k.of.next
	} else {
		k.request.first = k.of.next
	}
	if k.of.next != 0 {
		c.at(k.of.next).of.prev = k.of.prev
	} else {
		k.request.last = k.of.prev
	}
	*k = container{turn: k.turn + 1, onNode: links{next: c.spare}}
	c.spare = i
}

// presence is how many containers of a request a node has.
type presence struct {
	node       *node
	containers int
}

// note keeps the nodes on which a request has containers, where it wants them to be several.
func (r *request) note(n *node, containers int) {
	if r.nodes <= 1 {
		return
	}
	i := slices.IndexFunc(r.on, func(p presence) bool { return p.node == n })
	if i < 0 {
		r.on = append(r.on, presence{n, containers})
		return
	}
	if r.on[i].containers += containers; r.on[i].containers == 0 {
		r.on = slices.Delete(r.on, i, i+1)
	}
}

// placed says whether the request names a place, where it must be or would rather be.
func (r *request) placed() bool { return r.node != "" || r.rack != "" }

// isAt says whether the node is at the place that the request names.
func (r *request) isAt(n *node) bool {
	return (r.node == "" || r.node == n.Name) && (r.rack == "" || r.rack == n.Rack)
}

// may says whether the node is not out of the question for the next container, whatever room it has.
func (r *request) may(n *node) bool { return (r.relaxed || r.isAt(n)) && !r.spreads(n) }

// spreading says whether the next container has to go to a node that has none yet.
func (r *request) spreading() bool {
	return r.nodes > 1 && len(r.on) > 0 && r.lacks()-1 < r.nodes-len(r.on)
}

// spreads says whether this node has a container already, and another one has to go elsewhere, because no others would
// remain for the nodes that are still missing.
func (r *request) spreads(n *node) bool {
	return r.spreading() && slices.ContainsFunc(r.on, func(p presence) bool { return p.node == n })
}
