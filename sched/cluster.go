package sched

import (
	"slices"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched/resource"
)

// Node is a compute node as the scheduler sees it.
type Node struct {
	Name      string
	Rack      string
	Type      string // cpu or gpu
	Platform  platform.Platform
	Capacity  resource.Vector
	Cordoned  bool     // it is given nothing new
	Artefacts []string // that it holds, or has warm containers of; they are as requests name them
}

// NodeState is a node and what is left of it.
type NodeState struct {
	Node
	Free       resource.Vector // below nothing where its capacity was lowered under what it holds
	Containers int
}

type node struct {
	Node
	free       resource.Vector
	containers int
	seat       int32 // among those with room for narrow classes, from 1
	fill       fill

	band  *band // nil: it is cordoned
	block *block
	at    int
}

// cluster holds the nodes, and finds the best one for a container.
type cluster struct {
	dims, gpu int // gpu: the dimension that asks for alignment, below 0: none
	scores    Scores

	byName  map[string]*node
	order   []*node // of definition
	defined int32
	racks   map[string][]*node
	holders map[string][]*node // by artefact
	bands   []*band
	bandOf  map[bandKey]*band

	total, largest resource.Vector
	having         [resource.MaxDimensions]int // nodes that have the largest amount
	norm           []double                    // by dimension: 1 over the largest amount of any node
	version        uint64                      // of bands and norm
	stale          bool                        // the norm is to be found anew
	holding        []*node                     // used again by each search

	// The nodes whose free amounts changed last, so that a search can go on from where the one before ended.
	changes [1024]*node
	changed uint64
}

func newCluster(space resource.Space, scores Scores) cluster {
	gpu, ok := space.Dimension(resource.GPU.String())
	c := cluster{
		dims: space.Len(), gpu: int(gpu), scores: scores, byName: make(map[string]*node), racks: make(map[string][]*node),
		holders: make(map[string][]*node), bandOf: make(map[bandKey]*band), norm: make([]double, space.Len()), version: 1,
	}
	if !ok {
		c.gpu = -1
	}
	return c
}

// set brings a node in or changes it.
func (c *cluster) set(n Node) {
	n.Platform = n.Platform.Normalise()
	have, ok := c.byName[n.Name]
	if !ok {
		c.defined++
		have = &node{free: n.Capacity, fill: fill{order: c.defined}}
		c.byName[n.Name] = have
		c.order = append(c.order, have)
	} else {
		c.leave(have)
		have.free = have.free.Add(n.Capacity).Sub(have.Capacity)
	}
	have.Node = n
	c.note(have)
	c.total = c.total.Add(n.Capacity)
	for d := range c.dims {
		switch amount := n.Capacity[d]; {
		case amount > c.largest[d]:
			c.largest[d], c.having[d], c.stale = amount, 1, true
		case amount == c.largest[d]:
			c.having[d]++
		}
	}
	if n.Rack != "" {
		c.racks[n.Rack] = insert(c.racks[n.Rack], have)
	}
	for _, a := range n.Artefacts {
		c.holders[a] = insert(c.holders[a], have)
	}
	if !n.Cordoned {
		have.band = c.bandFor(have)
		if !c.stale {
			have.fill.free = normalised(&have.free, c.norm)
			have.band.add(have)
		}
	}
}

// insert puts a node among others in the order of definition.
func insert(nodes []*node, n *node) []*node {
	i, _ := slices.BinarySearchFunc(nodes, n, func(a, b *node) int { return int(a.fill.order) - int(b.fill.order) })
	return slices.Insert(nodes, i, n)
}

// kindOf says what a node has in common with others.
func (c *cluster) kindOf(n *node) bandKey {
	return bandKey{n.Type, n.Platform, c.gpu >= 0 && n.Capacity[c.gpu] > 0}
}

// bandFor finds or makes the band of a node.
func (c *cluster) bandFor(n *node) *band {
	k := c.kindOf(n)
	b, ok := c.bandOf[k]
	if !ok {
		b = &band{id: len(c.bands), kind: k, dims: c.dims}
		c.bandOf[k] = b
		c.bands = append(c.bands, b)
		c.version++
	}
	return b
}

// leave takes a node out of all that it is found by, except its name.
func (c *cluster) leave(n *node) {
	if n.block != nil {
		n.band.remove(n)
	}
	n.band = nil
	c.total = c.total.Sub(n.Capacity)
	for d := range c.dims {
		if amount := n.Capacity[d]; amount > 0 && amount == c.largest[d] {
			c.having[d]--
			c.stale = c.stale || c.having[d] == 0
		}
	}
	same := func(o *node) bool { return o == n }
	if c.racks[n.Rack] = slices.DeleteFunc(c.racks[n.Rack], same); len(c.racks[n.Rack]) == 0 {
		delete(c.racks, n.Rack)
	}
	for _, a := range n.Artefacts {
		if c.holders[a] = slices.DeleteFunc(c.holders[a], same); len(c.holders[a]) == 0 {
			delete(c.holders, a)
		}
	}
}

// remove takes a node out.
func (c *cluster) remove(n *node) {
	c.leave(n)
	delete(c.byName, n.Name)
	c.order = slices.DeleteFunc(c.order, func(o *node) bool { return o == n })
}

// freshen finds the norm and all that hangs on it anew, where that is due.
func (c *cluster) freshen() {
	if !c.stale {
		return
	}
	c.stale = false
	c.version++
	c.largest = resource.Vector{}
	for _, n := range c.order {
		c.largest = c.largest.Max(n.Capacity)
	}
	c.having = [resource.MaxDimensions]int{}
	for _, n := range c.order {
		for d := range c.dims {
			if n.Capacity[d] == c.largest[d] {
				c.having[d]++
			}
		}
	}
	for d := range c.norm {
		c.norm[d] = double{}
		if c.largest[d] > 0 {
			c.norm[d] = double{hi: 1}.over(double{hi: float64(c.largest[d])})
		}
	}
	of := make([][]*node, len(c.bands))
	for _, n := range c.order {
		if n.band != nil {
			n.fill.free = normalised(&n.free, c.norm)
			of[n.band.id] = append(of[n.band.id], n)
		}
	}
	for i, b := range c.bands {
		b.build(of[i])
	}
}

// note keeps in mind that what a node has free has changed.
func (c *cluster) note(n *node) {
	c.changes[c.changed%uint64(len(c.changes))] = n
	c.changed++
}

// take has a node hold an amount more, or less of it where sign is -1.
func (c *cluster) take(n *node, amount *resource.Vector, sign int64) {
	for d := range c.dims {
		n.free[d] -= sign * amount[d]
	}
	c.note(n)
	if n.block != nil && !c.stale {
		n.fill.free = normalised(&n.free, c.norm)
		n.band.update(n)
	}
}
