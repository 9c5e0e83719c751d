package sched

import "slices"

// shelves find the parked lines of a leaf by the bit of their class, and in the order in which their requests go.
type shelves struct {
	at    [classBits]uint16 // index among all, from 1
	all   []shelf
	spare []uint16
	order []uint16 // of those in use, by key
}

// shelf is the lines of one bit.
type shelf struct {
	key   key // of the request that goes first of all of them
	bit   uint16
	lines *line
}

// makeRoom sees to it that so many shelves need nothing more.
func (s *shelves) makeRoom(shelves int) {
	s.all = slices.Grow(s.all, max(shelves-len(s.all), 0))
	s.order = slices.Grow(s.order, max(shelves-len(s.order), 0))
	s.spare = slices.Grow(s.spare, max(shelves-len(s.spare), 0))
}

func (s *shelves) add(l *line) {
	bit := l.key.class.bit
	if i := s.at[bit]; i != 0 {
		f := &s.all[i-1]
		l.next, f.lines = f.lines, l
		s.settle(bit)
		return
	}
	var i uint16
	if last := len(s.spare) - 1; last >= 0 {
		i, s.spare = s.spare[last], s.spare[:last]
	} else {
		s.all = append(s.all, shelf{})
		i = uint16(len(s.all) - 1) //nolint:gosec // there are no more than bits
	}
	s.at[bit] = i + 1
	s.all[i] = shelf{key: *l.waiting.topKey(), bit: bit, lines: l}
	s.enter(i)
}

// find gives the place that a shelf has in the order, or would have. No two have the same key: it is that of a request.
func (s *shelves) find(i uint16) int {
	k := &s.all[i].key
	at, _ := slices.BinarySearchFunc(s.order, i, func(a, _ uint16) int { return s.all[a].key.compare(k) })
	return at
}

func (s *shelves) enter(i uint16) { s.order = slices.Insert(s.order, s.find(i), i) }

func (s *shelves) leave(i uint16) {
	at := s.find(i)
	s.order = slices.Delete(s.order, at, at+1)
}

// remove takes a line out, which may be empty.
func (s *shelves) remove(l *line) {
	bit := l.key.class.bit
	i := s.at[bit] - 1
	f := &s.all[i]
	if f.lines == l {
		f.lines = l.next
	} else {
		before := f.lines
		for before.next != l {
			before = before.next
		}
		before.next = l.next
	}
	l.next = nil
	if f.lines != nil {
		s.settle(bit)
		return
	}
	s.leave(i)
	s.spare = append(s.spare, i)
	s.at[bit] = 0
}

// settle finds anew which request goes first on a shelf.
func (s *shelves) settle(bit uint16) {
	i := s.at[bit] - 1
	f := &s.all[i]
	first := f.lines.waiting.topKey()
	for l := f.lines.next; l != nil; l = l.next {
		if k := l.waiting.topKey(); k.less(first) {
			first = k
		}
	}
	if *first != f.key {
		s.leave(i)
		f.key = *first
		s.enter(i)
	}
}

// next gives the line whose first request goes before that of first, if there is one, and before that of all others whose
// class is open and which are not kept.
func (s *shelves) next(c *classes, first *line, kept func(*line) bool) *line {
	var best *key
	if first != nil {
		best = first.waiting.topKey()
	}
	var found *line
	for _, i := range s.order {
		f := &s.all[i]
		if best != nil && !f.key.less(best) {
			break
		}
		if !c.open.has(f.bit) {
			continue
		}
		for l := f.lines; l != nil; l = l.next {
			if k := l.waiting.topKey(); !c.closed(l.key.class) && (best == nil || k.less(best)) && !kept(l) {
				found, best = l, k
			}
		}
	}
	return found
}
