package sched

import (
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched/resource"
)

// class is what equal requests have in common: what they ask for, and of what kind the nodes must be. They share the
// search for a node: where it found none, nobody looks again until something became free that would do. What is a
// request's own, its place and the nodes that it has already, is looked at beside it.
type class struct {
	key      classKey
	ask      resource.Vector
	needs    []need
	gpu      bool
	nodeType string
	allowed  []platform.Platform
	except   []string
	artefact string

	bit      uint16
	requests int
	closed   bool // no node has room
	narrow   bool // a search found no room, so that it is known of which nodes there is some now
	at       int  // among the narrow ones
	nodes    int  // that have room, while it is narrow

	// What follows from the cluster, as of its version.
	version  uint64
	weights  []double // of the needs, for alignment
	tiers    [2][]*band
	tier     []tier      // by band
	frontier [2]frontier // by tier
}

// tier says how well a band suits a class: the first is tried before the second.
type tier uint8

const (
	first tier = iota
	second
	noTier
)

type classKey struct {
	ask       resource.Vector
	nodeType  string
	platforms string
	except    string
	artefact  string
	anywhere  bool // no platforms are named
}

// keyOf says of which class a request is.
func keyOf(r *Request) classKey {
	k := classKey{
		ask: r.Capacity, nodeType: r.NodeType, artefact: r.Artefact, except: strings.Join(r.Except, " "),
		anywhere: len(r.Platforms) == 0,
	}
	if len(r.Platforms) > 0 {
		names := make([]string, len(r.Platforms))
		for i, p := range r.Platforms {
			names[i] = p.String()
		}
		k.platforms = strings.Join(names, " ")
	}
	return k
}

// newClass makes the class of a request.
func newClass(key classKey, r *Request, dims, gpu int) *class {
	k := &class{
		key: key, ask: r.Capacity, nodeType: r.NodeType, allowed: r.Platforms, except: r.Except, artefact: r.Artefact,
		gpu: gpu >= 0 && r.Capacity[gpu] > 0,
	}
	for d := range dims {
		if r.Capacity[d] > 0 {
			k.needs = append(k.needs, need{d, r.Capacity[d]})
		}
	}
	return k
}

// refresh finds anew what follows from the cluster.
func (k *class) refresh(c *cluster) {
	if k.version == c.version {
		return
	}
	k.version = c.version
	k.weights = k.weights[:0]
	for _, n := range k.needs {
		k.weights = append(k.weights, c.norm[n.dim].times(c.norm[n.dim]).scaled(float64(n.amount)))
	}
	k.tier = k.tier[:0]
	k.tiers = [2][]*band{}
	k.frontier = [2]frontier{}
	for _, b := range c.bands {
		t, _ := k.judge(&b.kind)
		k.tier = append(k.tier, t)
		if t != noTier {
			k.tiers[t] = append(k.tiers[t], b)
		}
	}
}

// judge says how well nodes of a kind suit the class, and what stands in the way where they do not: what asks for nodes
// with CPUs only may have others where there is no room.
func (k *class) judge(kind *bandKey) (tier, Barrier) {
	t := noTier
	switch k.nodeType {
	case "", kind.nodeType:
		t = first
	case NodeTypeCPU:
		if kind.nodeType == NodeTypeGPU {
			t = second
		}
	}
	switch {
	case t == noTier:
		return noTier, WrongType
	case len(k.allowed) > 0 && !slices.ContainsFunc(k.allowed, kind.platform.Runs):
		return noTier, WrongPlatform
	case k.gpu && !kind.gpu:
		return noTier, TooSmall
	default:
		return t, NoBarrier
	}
}

// The node types.
const (
	NodeTypeCPU = "cpu" // with CPUs only
	NodeTypeGPU = "gpu" // with CPUs and GPUs
)

// tierOf says how well a node suits the class, which is fresh.
func (k *class) tierOf(n *node) tier {
	if n.band == nil {
		return noTier
	}
	return k.tier[n.band.id]
}

// fits says whether a node has what is asked for.
func (k *class) fits(n *node, dims int) bool { return covers(n.free[:dims], k.needs) }

// admits says whether the node has room for a container of the class.
func (k *class) admits(n *node, c *cluster) bool {
	k.refresh(c)
	return k.tierOf(n) != noTier && k.fits(n, c.dims) && !slices.Contains(k.except, n.Name)
}

// classes holds the classes there are, and which of them are closed. Of a narrow one it is known how many nodes have room,
// since each of them gained it after the search that found none; when the last one has lost it again, the class is closed.
type classes struct {
	byKey  map[classKey]*class
	narrow []*class
	asks   []int64  // of the narrow ones in turn, by dimension
	bands  []uint64 // of the narrow ones in turn: those whose nodes suit it, by id; the last bit stands for all from there on
	dims   int
	open   counts // of the classes that are not closed
	spare  []uint16
	opened uint64 // the moment when one was opened last
	era    uint64 // what nodes know of narrow classes is of this one
}

func newClasses(dims int) classes {
	c := classes{byKey: make(map[classKey]*class), dims: dims, era: 1}
	for bit := manyClasses - 1; bit >= 0; bit-- {
		c.spare = append(c.spare, uint16(bit))
	}
	return c
}

// of gives the class of a request, which joins it.
func (c *classes) of(q *Request, dims, gpu int) *class {
	key := keyOf(q)
	k, ok := c.byKey[key]
	if !ok {
		k = newClass(key, q, dims, gpu)
		k.bit = manyClasses
		if last := len(c.spare) - 1; last >= 0 {
			k.bit, c.spare = c.spare[last], c.spare[:last]
		}
		c.byKey[key] = k
		c.open.add(k.bit)
	}
	k.requests++
	return k
}

// leave takes a request out of its class.
func (c *classes) leave(k *class) {
	if k.requests--; k.requests > 0 {
		return
	}
	if k.narrow {
		c.widen(k)
	}
	if !k.closed {
		c.open.drop(k.bit)
	}
	delete(c.byKey, k.key)
	if k.bit != manyClasses {
		c.spare = append(c.spare, k.bit)
	}
}

// close notes that no node has room for the class.
func (c *classes) close(k *class) {
	if k.closed {
		return
	}
	k.closed = true
	c.open.drop(k.bit)
	if !k.narrow {
		k.narrow, k.at, k.nodes = true, len(c.narrow), 0
		for t := range k.frontier {
			k.frontier[t].least = emptiest
		}
		c.narrow = append(c.narrow, k)
		c.asks = append(c.asks, k.ask[:c.dims]...)
		suit := uint64(0)
		for id, t := range k.tier {
			if t != noTier {
				suit |= bandBit(id)
			}
		}
		c.bands = append(c.bands, suit)
	}
}

// widen takes a class out of the narrow ones.
func (c *classes) widen(k *class) {
	end := len(c.narrow) - 1
	last := c.narrow[end]
	c.narrow[k.at], last.at = last, k.at
	copy(c.asks[k.at*c.dims:(k.at+1)*c.dims], c.asks[end*c.dims:])
	c.bands[k.at] = c.bands[end]
	c.narrow[end] = nil
	c.narrow, c.asks, c.bands = c.narrow[:end], c.asks[:end*c.dims], c.bands[:end]
	k.narrow = false
	k.frontier = [2]frontier{}
}

// reopen has the search tried again.
func (c *classes) reopen(k *class, now uint64) {
	if k.closed {
		k.closed = false
		c.open.add(k.bit)
		c.opened = now
	}
}

// reopenAll has the search tried again for all, and forgets what is known of narrow classes.
func (c *classes) reopenAll(now uint64) {
	c.era++
	for len(c.narrow) > 0 {
		k := c.narrow[len(c.narrow)-1]
		c.reopen(k, now)
		c.widen(k)
	}
}

// freed opens the classes for which a node has room that something was given back on.
func (c *classes) freed(n *node, of *cluster, now uint64) {
	if n.era == c.era {
		for _, k := range n.rooms {
			k.nodes--
		}
	}
	n.rooms, n.era = n.rooms[:0], c.era
	if n.band == nil {
		return
	}
	free := n.free[:c.dims]
	bit := bandBit(n.band.id)
	for i, suit := range c.bands {
		if suit&bit == 0 || !within(c.asks[i*c.dims:(i+1)*c.dims], free) {
			continue
		}
		k := c.narrow[i]
		if slices.Contains(k.except, n.Name) {
			continue
		}
		n.rooms = append(n.rooms, k)
		k.nodes++
		if k.closed {
			c.reopen(k, now)
			for t := range k.frontier { // but for this change no node has room
				k.frontier[t] = frontier{known: true, seen: of.changed - 1, fill: emptiest, least: emptiest}
			}
		}
		k.reach(n)
	}
}

func bandBit(id int) uint64 { return 1 << min(id, 63) }

// within says whether an amount leaves nothing below 0; what is not asked for may be.
func within(ask, free []int64) bool {
	for d, amount := range ask {
		if amount > free[d] && amount > 0 {
			return false
		}
	}
	return true
}

// reach lets the next search of a narrow class begin no later than at this node.
func (k *class) reach(n *node) {
	if m := &k.frontier[k.tierOf(n)]; n.fill.less(m.least) {
		m.least = n.fill
	}
}

// taken closes the narrow classes of whose nodes this was the last to have room.
func (c *classes) taken(n *node, of *cluster) {
	if n.era != c.era {
		return
	}
	kept := n.rooms[:0]
	for _, k := range n.rooms {
		if k.fits(n, of.dims) {
			kept = append(kept, k)
			k.reach(n)
			continue
		}
		if k.nodes--; k.nodes == 0 && k.narrow {
			c.close(k)
		}
	}
	n.rooms = kept
}
