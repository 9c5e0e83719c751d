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
	shut     uint64 // the release after which no node had room; it counts for those without a bit of their own

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
	k.frontier = [2]frontier{}
	k.weights = slices.Grow(k.weights[:0], len(k.needs))
	for _, n := range k.needs {
		k.weights = append(k.weights, c.norm[n.dim].times(c.norm[n.dim]).scaled(float64(n.amount)))
	}
	k.tier = slices.Grow(k.tier[:0], len(c.bands))
	for _, b := range c.bands {
		suits, _ := k.judge(&b.kind)
		k.tier = append(k.tier, suits)
	}
	inTiers := make([]*band, 0, len(c.bands))
	for t := range k.tiers {
		start := len(inTiers)
		for i, b := range c.bands {
			if int(k.tier[i]) == t {
				inTiers = append(inTiers, b)
			}
		}
		k.tiers[t] = inTiers[start:]
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

// classes holds the classes there are, and which of them are closed: no node has room. Of a narrow one it is known which
// nodes have room, since each of them gained it after a search that found none; when the last one has lost it again, the
// class is closed. Those that share a bit are not told apart so: they are open after every release, until a search finds
// no room.
type classes struct {
	byKey  map[classKey]*class
	spare  []uint16
	open   bits // those that are not closed
	narrow bits
	rooms  rooms  // of the narrow ones
	opened uint64 // the moment when one was opened last

	shared   int    // classes that share a bit
	shut     int    // how many of them are closed
	released uint64 // counts releases
}

func newClasses(dims int) classes {
	c := classes{byKey: make(map[classKey]*class), rooms: newRooms(dims), released: 1}
	for bit := manyClasses - 1; bit >= 0; bit-- {
		c.spare = append(c.spare, uint16(bit))
	}
	return c
}

// closed says whether no node has room for a class.
func (c *classes) closed(k *class) bool {
	if k.bit == manyClasses {
		return k.shut == c.released
	}
	return !c.open.has(k.bit)
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
		if k.bit == manyClasses {
			c.shared++
		}
		c.byKey[key] = k
		c.open.set(k.bit)
	}
	k.requests++
	return k
}

// leave takes a request out of its class.
func (c *classes) leave(k *class) {
	if k.requests--; k.requests > 0 {
		return
	}
	delete(c.byKey, k.key)
	if k.bit == manyClasses {
		if c.shared--; k.shut == c.released {
			c.shut--
		}
		c.openShared(c.shut < c.shared)
		return
	}
	if c.narrow.has(k.bit) {
		c.narrow.clear(k.bit)
		c.rooms.remove(k)
	}
	c.open.clear(k.bit)
	c.spare = append(c.spare, k.bit)
}

// openShared notes whether any of the classes is open that share a bit.
func (c *classes) openShared(yes bool) {
	if yes {
		c.open.set(manyClasses)
	} else {
		c.open.clear(manyClasses)
	}
}

// close notes that a search found no room for the class.
func (c *classes) close(k *class) {
	switch {
	case c.closed(k):
	case k.bit == manyClasses:
		k.shut = c.released
		c.shut++
		c.openShared(c.shut < c.shared)
	default:
		c.open.clear(k.bit)
		if !c.narrow.has(k.bit) {
			c.narrow.set(k.bit)
			c.rooms.add(k)
		}
	}
}

// reopenAll has the search tried again for all, and forgets what is known of narrow classes.
func (c *classes) reopenAll(now uint64) {
	c.open.join(&c.narrow)
	c.narrow = bits{}
	c.rooms.clear()
	c.opened = now
	c.reopenShared(now)
}

func (c *classes) reopenShared(now uint64) {
	if c.shut > 0 {
		c.shut, c.opened = 0, now
		c.open.set(manyClasses)
	}
	c.released++
}

// freed opens the classes for which a node has room that something was given back on.
func (c *classes) freed(n *node, now uint64) {
	if n.band == nil {
		return
	}
	c.reopenShared(now)
	set := c.rooms.freed(n)
	newly := set
	if newly.drop(&c.open); newly != (bits{}) {
		c.open.join(&set)
		c.opened = now
	}
}

// taken closes the narrow classes of whose nodes this was the last to have room.
func (c *classes) taken(n *node) {
	lost := c.rooms.taken(n)
	c.open.drop(&lost)
}
