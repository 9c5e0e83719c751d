package sched

import (
	"cmp"
	"math"
	"slices"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched/resource"
)

// band is the index over the nodes of one type, platform and kind (with GPUs or without) that may be given containers.
// It keeps them in blocks by how little they have free, the fullest first, so that the best fit is the first node that
// fits; each block knows the most that a node of it has free of each dimension, so that most blocks are passed over at a
// glance.
type band struct {
	id   int
	kind bandKey

	dims   int
	blocks []*block
	least  []fill  // of each block: no node of it is fuller
	lowest []int32 // of each block: no node of it was defined earlier
	most   []int64 // of each block in turn, by dimension: what no node of it exceeds
}

// bandKey is what the nodes of a band have in common.
type bandKey struct {
	nodeType string
	platform platform.Platform
	gpu      bool
}

// blockSize is how many nodes a block holds at most.
const blockSize = 64

// block is some nodes, in no order.
type block struct {
	n     int
	nodes [blockSize]*node
	fill  [blockSize]fill
	free  []int64 // by node and dimension; nothing below 0
}

// fill orders nodes by how full they are, the fullest first, and then by definition.
type fill struct {
	free  float64 // sum of the normalised amounts
	order int32
}

// All nodes are between the two.
var (
	fullest  = fill{math.Inf(-1), 0}
	emptiest = fill{math.Inf(1), math.MaxInt32}
)

func (f fill) less(o fill) bool { return f.free < o.free || f.free == o.free && f.order < o.order }

func (f fill) compare(o fill) int {
	return cmp.Or(cmp.Compare(f.free, o.free), cmp.Compare(f.order, o.order))
}

// need is an amount of one dimension that is not nothing.
type need struct {
	dim    int
	amount int64
}

// build makes the index anew of these nodes.
func (b *band) build(nodes []*node) {
	slices.SortFunc(nodes, func(x, y *node) int { return x.fill.compare(y.fill) })
	b.blocks, b.least, b.lowest, b.most = nil, nil, nil, nil
	for chunk := range slices.Chunk(nodes, blockSize*3/4) {
		k := b.newBlock()
		for _, n := range chunk {
			b.put(k, n)
		}
		b.insert(len(b.blocks), k)
	}
}

func (b *band) newBlock() *block { return &block{free: make([]int64, blockSize*b.dims)} }

// insert brings a block in at index i.
func (b *band) insert(i int, k *block) {
	b.blocks = slices.Insert(b.blocks, i, k)
	b.least = slices.Insert(b.least, i, fill{})
	b.lowest = slices.Insert(b.lowest, i, 0)
	var none resource.Vector
	b.most = slices.Insert(b.most, i*b.dims, none[:b.dims]...)
	b.survey(i)
}

// survey finds anew what is the least and the most in block i.
func (b *band) survey(i int) {
	k := b.blocks[i]
	least, lowest := emptiest, int32(math.MaxInt32)
	for _, f := range k.fill[:k.n] {
		if f.less(least) {
			least = f
		}
		lowest = min(lowest, f.order)
	}
	b.least[i], b.lowest[i] = least, lowest
	most := b.most[i*b.dims : (i+1)*b.dims]
	clear(most)
	for at := 0; at < k.n*b.dims; at += b.dims {
		for d, free := range k.free[at : at+b.dims] {
			most[d] = max(most[d], free)
		}
	}
}

// put appends a node to a block that has room.
func (b *band) put(k *block, n *node) {
	n.block, n.at = k, k.n
	k.nodes[k.n] = n
	k.n++
	b.write(n)
}

// write notes what the node has free in its place.
func (b *band) write(n *node) {
	n.block.fill[n.at] = n.fill
	row := n.block.free[n.at*b.dims : (n.at+1)*b.dims]
	for d := range row {
		row[d] = max(n.free[d], 0)
	}
}

// find gives the index of the block to which a node of this fill belongs; there must be one.
func (b *band) find(f fill) int {
	lo, hi := 0, len(b.least)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; f.less(b.least[mid]) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo
}

// add takes a node in.
func (b *band) add(n *node) {
	if len(b.blocks) == 0 {
		b.insert(0, b.newBlock())
	}
	i := b.find(n.fill)
	if b.blocks[i].n == blockSize {
		b.split(i)
		i = b.find(n.fill)
	}
	b.put(b.blocks[i], n)
	b.widen(i, n)
}

// widen lets block i know of a node that came or changed.
func (b *band) widen(i int, n *node) {
	if n.fill.less(b.least[i]) {
		b.least[i] = n.fill
	}
	b.lowest[i] = min(b.lowest[i], n.fill.order)
	most := b.most[i*b.dims : (i+1)*b.dims]
	for d := range most {
		most[d] = max(most[d], n.free[d])
	}
}

// split makes two blocks of a full one.
func (b *band) split(i int) {
	k := b.blocks[i]
	nodes := k.nodes // copied
	slices.SortFunc(nodes[:], func(x, y *node) int { return x.fill.compare(y.fill) })
	k.n = 0
	clear(k.nodes[:])
	upper := b.newBlock()
	for j, n := range nodes {
		if j < blockSize/2 {
			b.put(k, n)
		} else {
			b.put(upper, n)
		}
	}
	b.survey(i)
	b.insert(i+1, upper)
}

// remove takes a node out, which had this fill when it was written last.
func (b *band) remove(n *node) {
	k := n.block
	old := k.fill[n.at]
	i := b.find(old)
	k.n--
	if k.n == 0 {
		b.blocks = slices.Delete(b.blocks, i, i+1)
		b.least = slices.Delete(b.least, i, i+1)
		b.lowest = slices.Delete(b.lowest, i, i+1)
		b.most = slices.Delete(b.most, i*b.dims, (i+1)*b.dims)
		n.block = nil
		return
	}
	gone := k.free[n.at*b.dims : (n.at+1)*b.dims]
	narrow := b.bounds(i, gone)
	if n.at != k.n {
		last := k.nodes[k.n]
		k.nodes[n.at], k.fill[n.at] = last, k.fill[k.n]
		copy(gone, k.free[k.n*b.dims:(k.n+1)*b.dims])
		last.at = n.at
	}
	k.nodes[k.n] = nil
	n.block = nil
	if narrow {
		b.narrow(i)
	}
}

// bounds says whether what a node has free is the most in block i.
func (b *band) bounds(i int, row []int64) bool {
	most := b.most[i*b.dims : (i+1)*b.dims]
	for d, free := range row {
		if free > 0 && free == most[d] {
			return true
		}
	}
	return false
}

// narrow finds anew what is the most in block i; its least stays, as a bound between blocks.
func (b *band) narrow(i int) {
	least := b.least[i]
	b.survey(i)
	b.least[i] = least
}

// update takes what a node has free now.
func (b *band) update(n *node) {
	k := n.block
	i := b.find(k.fill[n.at])
	if b.find(n.fill) != i {
		b.remove(n)
		b.add(n)
		return
	}
	narrow := b.bounds(i, k.free[n.at*b.dims:(n.at+1)*b.dims])
	b.write(n)
	if n.fill.less(b.least[i]) {
		b.least[i] = n.fill
	}
	if narrow {
		b.narrow(i)
	} else {
		b.widen(i, n)
	}
}

// covers says whether row has all that is needed.
func covers(row []int64, needs []need) bool {
	for i := range needs {
		if row[needs[i].dim] < needs[i].amount {
			return false
		}
	}
	return true
}

// bestFit gives the fullest node that has what is needed, and is fuller than the best so far. No node that is fuller than
// from needs to be looked at. Those that pass over says true of are passed over; nil passes over none.
func (b *band) bestFit(needs []need, from fill, best *node, passOver func(*node) bool) *node {
	dims := b.dims
	for i := b.find(from); i < len(b.blocks); i++ {
		k := b.blocks[i]
		if best != nil && best.fill.less(b.least[i]) {
			return best
		}
		if !covers(b.most[i*dims:(i+1)*dims], needs) {
			continue
		}
		found := best
		free := k.free
		for j := range k.n {
			if !covers(free[j*dims:(j+1)*dims], needs) {
				continue
			}
			if n := k.nodes[j]; (found == nil || n.fill.less(found.fill)) && (passOver == nil || !passOver(n)) {
				found = n
			}
		}
		if found != best {
			return found
		}
	}
	return best
}

// aligned is a node and how well what it has free is aligned with what is asked for.
type aligned struct {
	node *node
	dot  float64
}

// beats says whether an alignment, of a node of this order, is better.
func (a *aligned) beats(dot float64, order int32) bool {
	return a.node != nil && (a.dot > dot || a.dot == dot && a.node.fill.order <= order)
}

// dot is the weighted sum of a row.
func dot(row []int64, needs []need, weights []double) float64 {
	var sum double
	for i := range needs {
		sum = sum.plus(weights[i].scaled(float64(row[needs[i].dim])))
	}
	return sum.hi
}

// falls says whether the weighted sum of a row is clearly below one.
func falls(row []int64, needs []need, weights []double, below float64) bool {
	sum := 0.0
	for i := range needs {
		sum += float64(row[needs[i].dim]) * weights[i].hi
	}
	return sum < below*(1-1e-12)
}

// bestAligned gives the node with what is needed whose free amounts have the largest dot product with the weights, one
// for each need, the first by definition among equals, if it is better than the best so far.
func (b *band) bestAligned(needs []need, weights []double, best aligned, passOver func(*node) bool) aligned {
	dims := b.dims
	// The block that promises most goes first: the more of the others can be passed over.
	first, promise := -1, 0.0
	for i := range b.blocks {
		if most := b.most[i*dims : (i+1)*dims]; covers(most, needs) {
			if p := dot(most, needs, weights); first < 0 || p > promise {
				first, promise = i, p
			}
		}
	}
	if first < 0 {
		return best
	}
	best = b.blocks[first].bestAligned(dims, needs, weights, best, passOver)
	for i, k := range b.blocks {
		most := b.most[i*dims : (i+1)*dims]
		if i != first && covers(most, needs) && !best.beats(dot(most, needs, weights), b.lowest[i]) {
			best = k.bestAligned(dims, needs, weights, best, passOver)
		}
	}
	return best
}

func (k *block) bestAligned(dims int, needs []need, weights []double, best aligned, passOver func(*node) bool) aligned {
	for j := range k.n {
		row := k.free[j*dims : (j+1)*dims]
		if !covers(row, needs) {
			continue
		}
		n := k.nodes[j]
		if best.node != nil && falls(row, needs, weights, best.dot) {
			continue
		}
		if p := dot(row, needs, weights); !best.beats(p, n.fill.order) && (passOver == nil || !passOver(n)) {
			best = aligned{n, p}
		}
	}
	return best
}

// normalised is the sum of what is free, each dimension by its norm.
func normalised(free *resource.Vector, norm []double) float64 {
	var sum double
	for d, per := range norm {
		sum = sum.plus(per.scaled(float64(free[d])))
	}
	return sum.hi
}

// emptiest gives the emptiest node that has what is needed, if it is emptier than the best so far, the first by
// definition among equals.
func (b *band) emptiest(needs []need, best *node, passOver func(*node) bool) *node {
	better := func(n *node) bool {
		return best == nil || n.fill.free > best.fill.free || n.fill.free == best.fill.free && n.fill.order < best.fill.order
	}
	for i, k := range slices.Backward(b.blocks) {
		if i+1 < len(b.blocks) && best != nil && b.least[i+1].free < best.fill.free {
			return best // from here on all are fuller
		}
		if !covers(b.most[i*b.dims:(i+1)*b.dims], needs) {
			continue
		}
		for j := range k.n {
			if n := k.nodes[j]; covers(k.free[j*b.dims:(j+1)*b.dims], needs) && better(n) && (passOver == nil || !passOver(n)) {
				best = n
			}
		}
	}
	return best
}
