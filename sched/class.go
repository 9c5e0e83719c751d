package sched

import (
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched/resource"
)

// class is what equal requests have in common: what they ask for and where it may be. They share the search for a node:
// where it found none, nobody looks again until something became free that would do.
//
// A request whose search depends on what it holds or has let pass has a class of its own.
type class struct {
	key      classKey
	ask      resource.Vector
	needs    []need
	gpu      bool
	node     string
	rack     string
	relaxed  bool
	nodeType string
	allowed  []platform.Platform
	except   []string
	artefact string
	own      *request // of which it is the class alone; nil: it is shared

	bit      uint8
	requests int
	closed   bool // no node has room
	at       int  // among the closed ones
	survey   survey

	// What follows from the cluster, as of its version.
	version uint64
	weights []float64 // of the needs, for alignment
	tiers   [2][]*band
	tier    []tier // by band
	// Of the last search, by tier.
	frontier [2]frontier
}

// tier says how well a band suits a class: the first is tried before the second.
type tier uint8

const (
	first tier = iota
	second
	noTier
)

type classKey struct {
	ask            resource.Vector
	node, rack     string
	nodeType       string
	platforms      string
	except         string
	artefact       string
	own            string // the request's id where it has a class of its own
	relaxed, plain bool
}

// keyOf says of which class a request is.
func keyOf(r *Request) classKey {
	k := classKey{
		ask: r.Capacity, node: r.Node, rack: r.Rack, nodeType: r.NodeType, artefact: r.Artefact, relaxed: r.Relaxed,
		except: strings.Join(r.Except, " "), plain: len(r.Platforms) == 0,
	}
	if len(r.Platforms) > 0 {
		names := make([]string, len(r.Platforms))
		for i, p := range r.Platforms {
			names[i] = p.String()
		}
		k.platforms = strings.Join(names, " ")
	}
	if r.Relaxed || r.Nodes > 1 {
		k.own = r.ID
	}
	return k
}

// newClass makes the class of a request.
func newClass(key classKey, r *request, dims, gpu int) *class {
	k := &class{
		key: key, ask: r.Capacity, node: r.Node, rack: r.Rack, relaxed: r.Relaxed, nodeType: r.NodeType,
		allowed: r.Platforms, except: r.Except, artefact: r.Artefact, gpu: gpu >= 0 && r.Capacity[gpu] > 0,
	}
	if key.own != "" {
		k.own = r
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
		k.weights = append(k.weights, float64(n.amount)*c.norm[n.dim]*c.norm[n.dim])
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

// at says whether the node is where the class is to be.
func (k *class) isAt(n *node) bool {
	return (k.node == "" || k.node == n.Name) && (k.rack == "" || k.rack == n.Rack)
}

// passesSome says whether there may be nodes with room that are out of the question.
func (k *class) passesSome() bool { return len(k.except) > 0 || k.own != nil && k.own.Nodes > 1 }

// passes says whether a node is out of the question for the next container of r, although it has room.
func (k *class) passes(r *request, n *node) bool {
	return slices.Contains(k.except, n.Name) || r != nil && r.Nodes > 1 && r.spreads(n)
}

// admits says whether the node has room for a container of the class, wherever it is to be when it is relaxed.
func (k *class) admits(n *node, c *cluster) bool {
	k.refresh(c)
	return k.tierOf(n) != noTier && (k.relaxed || k.isAt(n)) && k.fits(n, c.dims) && !k.passes(k.own, n)
}

// classes holds the classes there are, and which of them are closed.
type classes struct {
	byKey  map[classKey]*class
	closed []*class
	open   counts // of the classes that are not closed
	spare  []uint8
	opened uint64 // the moment when one was opened last
}

func newClasses() classes {
	c := classes{byKey: make(map[classKey]*class)}
	for bit := manyClasses - 1; bit >= 0; bit-- {
		c.spare = append(c.spare, uint8(bit))
	}
	return c
}

// of gives the class of a request, which joins it.
func (c *classes) of(r *request, dims, gpu int) *class {
	key := keyOf(&r.Request)
	k, ok := c.byKey[key]
	if !ok {
		k = newClass(key, r, dims, gpu)
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
	if k.closed {
		c.take(k)
	} else {
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
	k.closed, k.at = true, len(c.closed)
	c.closed = append(c.closed, k)
	c.open.drop(k.bit)
}

// take takes a class out of the closed ones.
func (c *classes) take(k *class) {
	last := c.closed[len(c.closed)-1]
	c.closed[k.at], last.at = last, k.at
	c.closed[len(c.closed)-1] = nil
	c.closed = c.closed[:len(c.closed)-1]
	k.closed = false
}

// reopen has the search tried again.
func (c *classes) reopen(k *class, now uint64) {
	if k.closed {
		c.take(k)
		c.open.add(k.bit)
		c.opened = now
	}
}

// reopenAll has the search tried again for all.
func (c *classes) reopenAll(now uint64) {
	for len(c.closed) > 0 {
		c.reopen(c.closed[len(c.closed)-1], now)
	}
}

// freed opens the classes for which the node has room.
func (c *classes) freed(n *node, of *cluster, now uint64) {
	if n.band == nil {
		return
	}
	for i := len(c.closed) - 1; i >= 0; i-- { // what is opened makes room for the last one, which was looked at
		if k := c.closed[i]; k.admits(n, of) {
			c.reopen(k, now)
		}
	}
}
