package sched

import "slices"

// best finds the node for one more container of r: at the place that it names, and, where it need not be there, of its
// class's tiers the first in which a node has room, and in it the one with the best score, those first that hold the
// artefact. Where there is no such node, none says that no node at all has room for the class.
func (c *cluster) best(r *request) (n *node, none bool) {
	k := r.class
	k.refresh(c)
	if r.placed() {
		if n := c.bestAt(r); n != nil || !r.relaxed {
			return n, false
		}
	}
	if r.spreading() {
		passOver := func(n *node) bool { return r.spreads(n) || slices.Contains(k.except, n.Name) }
		for tier := range k.tiers {
			if n := c.bestIn(k, r, tier, passOver); n != nil {
				return n, false
			}
		}
	}
	var passOver func(*node) bool
	if len(k.except) > 0 {
		passOver = func(n *node) bool { return slices.Contains(k.except, n.Name) }
	}
	for tier := range k.tiers {
		if n := c.bestIn(k, nil, tier, passOver); n != nil {
			if r.spreading() {
				n = nil
			}
			return n, false
		}
	}
	return nil, true
}

// bestAt finds the best node at the place that a request names.
func (c *cluster) bestAt(r *request) *node {
	if r.node == "" {
		return c.bestOf(r.class, r, c.racks[r.rack])
	}
	if n, ok := c.byName[r.node]; ok && r.isAt(n) {
		return c.bestOf(r.class, r, append(c.holding[:0], n))
	}
	return nil
}

// bestOf finds the best of some nodes, tier by tier, those first that hold the artefact; it passes over those where r, if
// it is given, may not be.
func (c *cluster) bestOf(k *class, r *request, nodes []*node) *node {
	var found *node
	rank := 0
	for _, n := range nodes {
		if !k.admits(n, c) || r != nil && r.spreads(n) {
			continue
		}
		at := 2 * int(k.tierOf(n))
		if k.artefact != "" && !slices.Contains(n.Artefacts, k.artefact) {
			at++
		}
		if found == nil || at < rank || at == rank && c.better(k, n, found) {
			found, rank = n, at
		}
	}
	return found
}

// better says whether one node that has room scores better than another.
func (c *cluster) better(k *class, n, o *node) bool {
	switch c.scores.of(k) {
	case Alignment:
		x, y := dot(n.free[:c.dims], k.needs, k.weights), dot(o.free[:c.dims], k.needs, k.weights)
		return x > y || x == y && n.fill.order < o.fill.order
	case Spreading:
		return n.fill.free > o.fill.free || n.fill.free == o.fill.free && n.fill.order < o.fill.order
	default:
		return n.fill.less(o.fill)
	}
}

// bestIn finds the best node of a tier, of those that pass over, if it is given, does not say true of.
func (c *cluster) bestIn(k *class, r *request, tier int, passOver func(*node) bool) *node {
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
	m := &k.frontier[tier]
	if passOver != nil || c.scores.of(k) != BestFit {
		return c.scan(k, tier, fullest, nil, passOver)
	}
	best, from := c.recent(k, tier, m)
	if best == nil || from.less(best.fill) {
		best = c.scan(k, tier, from, best, nil)
	}
	*m = frontier{fill: emptiest, seen: c.changed, known: true}
	if best != nil {
		m.fill = best.fill
	}
	return best
}

// scan finds the best node of a tier by the index, if it is better than the best so far; for the best fit, none that is
// fuller than from is looked at.
func (c *cluster) scan(k *class, tier int, from fill, best *node, passOver func(*node) bool) *node {
	switch c.scores.of(k) {
	case Alignment:
		var a aligned
		for _, b := range k.tiers[tier] {
			a = b.bestAligned(k.needs, k.weights, a, passOver)
		}
		return a.node
	case Spreading:
		for _, b := range k.tiers[tier] {
			best = b.emptiest(k.needs, best, passOver)
		}
	default:
		for _, b := range k.tiers[tier] {
			best = b.bestFit(k.needs, from, best, passOver)
		}
	}
	return best
}

// frontier is what a search for the best fit left for the next one of its class.
type frontier struct {
	known bool
	seen  uint64 // changes of nodes
	fill  fill   // of the nodes that did not change since, those that are fuller have no room
}

// recent finds the best of the nodes that changed since the search before, and from where on others have to be looked at.
func (c *cluster) recent(k *class, tier int, m *frontier) (best *node, from fill) {
	const patience = 512 // changes; with more a new search is cheaper
	if !m.known || c.changed-m.seen > patience {
		return nil, fullest
	}
	for i := m.seen; i < c.changed; i++ {
		n := c.changes[i%uint64(len(c.changes))]
		if n.block != nil && n != best && int(k.tierOf(n)) == tier && k.fits(n, c.dims) && (best == nil || n.fill.less(best.fill)) {
			best = n
		}
	}
	return best, m.fill
}
