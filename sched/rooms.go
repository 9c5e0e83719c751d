package sched

import "slices"

// rooms knows of the narrow classes, those for which a search found no room, which nodes have room for them by now. A node
// is seated while it has room for any of them. It answers by sets of classes, a few words each, and never looks at one
// class after the other; only classes with a bit of their own can be told apart so.
type rooms struct {
	ladders []ladder // by dimension
	suits   []bits   // by band: the classes that its nodes suit
	except  []*class // of them those that name nodes where they may not be
	seats   []seat
	vacant  []int32 // seats of nobody
	groups  []bits  // of groupSize seats each: for which classes any of them has room
}

// seat is a node, nil when it is vacant, and the classes for which it has room.
type seat struct {
	node *node
	set  bits
}

// groupSize is how many seats are summed up in one set.
const groupSize = 16

// ladder is the classes by what they ask for of one dimension.
type ladder struct {
	amounts []int64 // that are asked for, in order; the first is 0
	upTo    []bits  // the classes that ask for at most that
}

// rung is the last amount that is not above one that is free; nothing is asked for on the first.
func (l *ladder) rung(free int64) int {
	low := 0
	for n := len(l.amounts); n > 1; {
		half := n / 2
		if l.amounts[low+half] <= free {
			low += half
		}
		n -= half
	}
	return low
}

func (l *ladder) add(bit uint16, ask int64) {
	i := l.rung(ask)
	if ask > l.amounts[i] {
		i++
		l.amounts = slices.Insert(l.amounts, i, ask)
		l.upTo = slices.Insert(l.upTo, i, l.upTo[i-1])
	}
	for ; i < len(l.upTo); i++ {
		l.upTo[i].set(bit)
	}
}

func (l *ladder) remove(bit uint16, ask int64) {
	first := l.rung(ask)
	for i := first; i < len(l.upTo); i++ {
		l.upTo[i].clear(bit)
	}
	if first > 0 && l.upTo[first] == l.upTo[first-1] { // nobody else asks for that amount
		l.amounts = slices.Delete(l.amounts, first, first+1)
		l.upTo = slices.Delete(l.upTo, first, first+1)
	}
}

func newRooms(dims int) rooms {
	r := rooms{ladders: make([]ladder, dims)}
	r.clear()
	return r
}

// clear forgets all classes and nodes.
func (r *rooms) clear() {
	for d := range r.ladders {
		l := &r.ladders[d]
		l.amounts, l.upTo = append(l.amounts[:0], 0), append(l.upTo[:0], bits{})
	}
	for i := range r.seats {
		if n := r.seats[i].node; n != nil {
			n.seat = 0
		}
	}
	clear(r.seats)
	r.suits, r.except, r.seats, r.vacant, r.groups = r.suits[:0], r.except[:0], r.seats[:0], r.vacant[:0], r.groups[:0]
}

// add takes in a class, which is fresh, and for which no node has room.
func (r *rooms) add(k *class) {
	for d := range r.ladders {
		r.ladders[d].add(k.bit, k.ask[d])
	}
	for len(r.suits) < len(k.tier) {
		r.suits = append(r.suits, bits{})
	}
	for band, t := range k.tier {
		if t != noTier {
			r.suits[band].set(k.bit)
		}
	}
	if len(k.except) > 0 {
		r.except = append(r.except, k)
	}
}

// remove takes a class out.
func (r *rooms) remove(k *class) {
	for d := range r.ladders {
		r.ladders[d].remove(k.bit, k.ask[d])
	}
	for i := range r.suits {
		r.suits[i].clear(k.bit)
	}
	r.except = slices.DeleteFunc(r.except, func(o *class) bool { return o == k })
	for i := range r.groups {
		r.groups[i].clear(k.bit)
	}
	for i := range r.seats {
		r.seats[i].set.clear(k.bit)
		r.vacate(i)
	}
}

// fitting gives the classes for which a node that may be given containers has room.
func (r *rooms) fitting(n *node) (set bits) {
	if n.band.id >= len(r.suits) {
		return bits{} // no class was added since the band is there
	}
	set = r.suits[n.band.id]
	for d := range r.ladders {
		l := &r.ladders[d]
		set.keep(&l.upTo[l.rung(n.free[d])])
	}
	for _, k := range r.except {
		if set.has(k.bit) && slices.Contains(k.except, n.Name) {
			set.clear(k.bit)
		}
	}
	return set
}

// freed gives the classes for which a node has room now that something was given back on it.
func (r *rooms) freed(n *node) bits {
	set := r.fitting(n)
	if set == (bits{}) {
		return set
	}
	if n.seat == 0 {
		r.give(n)
	}
	i := int(n.seat) - 1
	r.seats[i].set = set
	r.groups[i/groupSize].join(&set)
	return set
}

// taken gives the classes of which a node was the last one to have room, before something was taken of it.
func (r *rooms) taken(n *node) (lost bits) {
	if n.seat == 0 {
		return bits{}
	}
	i := int(n.seat) - 1
	set := r.fitting(n)
	lost = r.seats[i].set
	lost.drop(&set)
	if lost == (bits{}) {
		return lost
	}
	r.seats[i].set = set
	g := i / groupSize
	for j := g * groupSize; j < min((g+1)*groupSize, len(r.seats)) && lost != (bits{}); j++ {
		lost.drop(&r.seats[j].set)
	}
	r.groups[g].drop(&lost)
	for j := 0; j < len(r.groups) && lost != (bits{}); j++ {
		lost.drop(&r.groups[j])
	}
	r.vacate(i)
	return lost
}

// give has a node take a seat.
func (r *rooms) give(n *node) {
	if last := len(r.vacant) - 1; last >= 0 {
		n.seat, r.vacant = r.vacant[last], r.vacant[:last]
	} else {
		r.seats = append(r.seats, seat{})
		n.seat = int32(len(r.seats)) //nolint:gosec // there are not that many nodes
		if len(r.seats) > groupSize*len(r.groups) {
			r.groups = append(r.groups, bits{})
		}
	}
	r.seats[n.seat-1].node = n
}

// vacate has a node leave its seat when it has room for nobody.
func (r *rooms) vacate(i int) {
	s := &r.seats[i]
	if s.node != nil && s.set == (bits{}) {
		r.vacant = append(r.vacant, s.node.seat)
		s.node.seat, s.node = 0, nil
	}
}
