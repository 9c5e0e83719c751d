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

// What a decision needs of a service and of a request comes first, and lies together.

type service struct {
	leaf       *leaf
	user       *user
	containers int
	standing   float64
	requests   []*request
	order      int64 // of submission
	Service
	weight    double
	used      resource.Vector
	seat      int   // among the members of its leaf
	submitted int64 // of its requests
}

type request struct {
	service *service
	class   *class // which has the rest of what it asks for
	line    *line
	want    int
	held    int
	nodes   int
	first   int32 // of its containers, the oldest; 0 none
	last    int32 // the newest
	spot    int32 // in its line
	relaxed bool
	delayed bool // it waits for the place that it prefers

	id       string
	order    int64
	priority int
	node     string
	rack     string

	on     []presence // where it is to be on several nodes
	missed int        // offers of other places that it let pass
	offer  uint64     // the last one of them
	tried  uint64     // the trial in which it was tried and blocked last
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

// container is one that was placed. Those of a request are a list.
type container struct {
	request *request // nil: it is spare
	class   *class   // that says what it holds
	node    *node
	turn    uint32 // counts the containers that had this place
	next    int32  // of its request, or the next spare one; 0: none
	prev    int32
}

// containers is a slab of them; index 0 is nobody's. It grows by pages, so that nothing is ever moved.
type containers struct {
	pages [][]container
	used  int32
	spare int32 // first spare one
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

// on finds those on a node, by looking at all.
func (c *containers) on(n *node) []int32 {
	found := make([]int32, 0, n.containers)
	for i := int32(1); i <= c.used && len(found) < n.containers; i++ {
		if c.at(i).node == n {
			found = append(found, i)
		}
	}
	return found
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
		c.spare = c.at(i).next
	}
	k := c.at(i)
	*k = container{request: r, class: r.class, node: n, turn: k.turn, prev: r.last}
	if r.last != 0 {
		c.at(r.last).next = i
	} else {
		r.first = i
	}
	r.last = i
	return i
}

// drop takes a container out.
func (c *containers) drop(i int32) {
	k := c.at(i)
	if k.prev != 0 {
		c.at(k.prev).next = k.next
	} else {
		k.request.first = k.next
	}
	if k.next != 0 {
		c.at(k.next).prev = k.prev
	} else {
		k.request.last = k.prev
	}
	*k = container{turn: k.turn + 1, next: c.spare}
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
