package sched

import mathbits "math/bits"

// shelves find the parked lines of a leaf by the bit of their class.
type shelves struct {
	has   bits
	at    [classBits]uint16 // index among all, from 1
	all   []shelf
	spare []uint16
}

// shelf is the lines of one bit.
type shelf struct {
	key   key // of the request that goes first of all of them
	lines *line
}

func (s *shelves) add(l *line) {
	bit := l.key.class.bit
	i := s.at[bit]
	if i == 0 {
		if last := len(s.spare) - 1; last >= 0 {
			i, s.spare = s.spare[last], s.spare[:last]
		} else {
			s.all = append(s.all, shelf{})
			i = uint16(len(s.all))
		}
		s.at[bit] = i
		s.has.set(bit)
	}
	f := &s.all[i-1]
	if k := l.waiting.topKey(); f.lines == nil || k.less(&f.key) {
		f.key = *k
	}
	l.next, f.lines = f.lines, l
}

// remove takes a line out, which may be empty.
func (s *shelves) remove(l *line) {
	bit := l.key.class.bit
	i := s.at[bit]
	f := &s.all[i-1]
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
	s.spare = append(s.spare, i)
	s.at[bit] = 0
	s.has.clear(bit)
}

// settle finds anew which request goes first on a shelf.
func (s *shelves) settle(bit uint16) {
	f := &s.all[s.at[bit]-1]
	f.key = *f.lines.waiting.topKey()
	for l := f.lines.next; l != nil; l = l.next {
		if k := l.waiting.topKey(); k.less(&f.key) {
			f.key = *k
		}
	}
}

// next gives the line whose first request goes before that of first, if there is one, and before that of all others whose
// class is open and which are not kept.
func (s *shelves) next(open *bits, first *line, kept func(*line) bool) *line {
	var best *key
	if first != nil {
		best = first.waiting.topKey()
	}
	var found *line
	for i := range open {
		for word := s.has[i] & open[i]; word != 0; word &= word - 1 {
			f := &s.all[s.at[64*i+mathbits.TrailingZeros64(word)]-1]
			if best != nil && !f.key.less(best) {
				continue
			}
			for l := f.lines; l != nil; l = l.next {
				if k := l.waiting.topKey(); !l.key.class.closed && (best == nil || k.less(best)) && !kept(l) {
					found, best = l, k
				}
			}
		}
	}
	return found
}
