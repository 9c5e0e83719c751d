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
	first      int32 // of its containers, 0 none
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
	norm           []float64 // by dimension: 1 over the largest amount of any node
	version        uint64    // of bands and norm
	stale          bool      // the norm is to be found anew
	holding        []*node   // used again by each search

	// The nodes whose free amounts changed last, so that a search can go on from where the one before ended.
	changes [1024]*node
	changed uint64
}

func newCluster(space resource.Space, scores Scores) cluster {
	gpu, ok := space.Dimension(resource.GPU.String())
	c := cluster{
		dims: space.Len(), gpu: int(gpu), scores: scores, byName: make(map[string]*node), racks: make(map[string][]*node),
		holders: make(map[string][]*node), bandOf: make(map[bandKey]*band), norm: make([]float64, space.Len()), version: 1,
	}
	if !ok {
		c.gpu = -1
	}
	return c
}

// set brings a node in or changes it.
func (c *cluster) set(n Node) *node {
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
		c.racks[n.Rack] = append(c.racks[n.Rack], have)
		slices.SortFunc(c.racks[n.Rack], byDefinition)
	}
	for _, a := range n.Artefacts {
		c.holders[a] = append(c.holders[a], have)
		slices.SortFunc(c.holders[a], byDefinition)
	}
	if !n.Cordoned {
		have.band = c.bandFor(have)
		if !c.stale {
			have.fill.free = normalised(&have.free, c.norm)
			have.band.add(have)
		}
	}
	return have
}

func byDefinition(a, b *node) int { return int(a.fill.order) - int(b.fill.order) }

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
		c.norm[d] = 0
		if c.largest[d] > 0 {
			c.norm[d] = 1 / float64(c.largest[d])
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

// best finds the node for one more container of r: of the class's tiers the first in which a node has room, and in it the
// one with the best score, those first that hold the artefact. It is nil when no node has room.
func (c *cluster) best(k *class, r *request) *node {
	k.refresh(c)
	if k.node != "" || k.rack != "" {
		if n := c.bestAt(k, r); n != nil || !k.relaxed {
			return n
		}
	}
	for tier := range k.tiers {
		if n := c.bestIn(k, r, tier); n != nil {
			return n
		}
	}
	return nil
}

// bestAt finds the best node at the class's place.
func (c *cluster) bestAt(k *class, r *request) *node {
	nodes := c.racks[k.rack]
	if k.node != "" {
		n, ok := c.byName[k.node]
		if !ok || k.rack != "" && n.Rack != k.rack {
			return nil
		}
		return c.bestOf(k, r, []*node{n})
	}
	return c.bestOf(k, r, nodes)
}

// bestOf finds the best of some nodes, tier by tier, those first that hold the artefact.
func (c *cluster) bestOf(k *class, r *request, nodes []*node) *node {
	var found *node
	rank, score := 0, 0.0
	for _, n := range nodes {
		tier := k.tierOf(n)
		if tier == noTier || !k.fits(n, c.dims) || k.passes(r, n) {
			continue
		}
		at := 2 * int(tier)
		if k.artefact != "" && !slices.Contains(n.Artefacts, k.artefact) {
			at++
		}
		s := c.score(k, n)
		if found == nil || at < rank || at == rank && s > score {
			found, rank, score = n, at, s
		}
	}
	return found
}

// score says how well a node that has room fits: the higher, the better.
func (c *cluster) score(k *class, n *node) float64 {
	switch c.scores.of(k) {
	case Alignment:
		return dot(n.free[:c.dims], k.needs, k.weights)
	case Spreading:
		return n.fill.free
	default:
		return -n.fill.free
	}
}

// bestIn finds the best node of a tier.
func (c *cluster) bestIn(k *class, r *request, tier int) *node {
	if k.artefact != "" && len(c.holders[k.artefact]) > 0 {
		c.holding = c.holding[:0]
		for _, n := range c.holders[k.artefact] {
			if int(k.tierOf(n)) == tier {
				c.holding = append(c.holding, n)
			}
		}
		if n := c.bestOf(k, r, c.holding); n != nil {
			return n
		}
	}
	var passOver func(*node) bool
	if k.passesSome() {
		passOver = func(n *node) bool { return k.passes(r, n) }
	}
	var best *node
	switch c.scores.of(k) {
	case Alignment:
		var a aligned
		for _, b := range k.tiers[tier] {
			a = b.bestAligned(k.needs, k.weights, a, passOver)
		}
		best = a.node
	case Spreading:
		for _, b := range k.tiers[tier] {
			best = b.emptiest(k.needs, best, passOver)
		}
	default:
		if passOver != nil {
			for _, b := range k.tiers[tier] {
				best = b.bestFit(k.needs, fullest, best, passOver)
			}
			return best
		}
		best = c.bestFit(k, tier)
	}
	return best
}

// frontier is what a search for the best fit left for the next one of its class: of the nodes that did not change since,
// those that are fuller have no room.
type frontier struct {
	fill  fill
	seen  uint64 // changes
	known bool
}

// bestFit finds the best fit in a tier, from where the search before ended.
func (c *cluster) bestFit(k *class, tier int) *node {
	const patience = 256 // changes; with more a new search is cheaper
	m := &k.frontier[tier]
	var best *node
	from := fullest
	if m.known && c.changed-m.seen <= patience {
		from = m.fill
		for i := m.seen; i < c.changed; i++ {
			n := c.changes[i%uint64(len(c.changes))]
			if n.block != nil && int(k.tierOf(n)) == tier && (best == nil || n.fill.less(best.fill)) && k.fits(n, c.dims) {
				best = n
			}
		}
	}
	if best == nil || from.less(best.fill) {
		for _, b := range k.tiers[tier] {
			best = b.bestFit(k.needs, from, best, nil)
		}
	}
	*m = frontier{fill: emptiest, seen: c.changed, known: true}
	if best != nil {
		m.fill = best.fill
	}
	return best
}
