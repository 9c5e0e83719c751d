package manager

import (
	"slices"
	"sort"
)

// seen remembers which sequences of a session were accepted, for the session's life: all up to a low-water mark, and
// intervals above it.
type seen struct {
	low   uint64
	above []interval // sorted, disjoint, none touching another or low
}

type interval struct{ first, last uint64 }

// highest is the highest sequence that was noted, 0 when none was.
func (s *seen) highest() uint64 {
	if n := len(s.above); n > 0 {
		return s.above[n-1].last
	}
	return s.low
}

// has says whether a sequence was noted.
func (s *seen) has(n uint64) bool {
	if n <= s.low {
		return n > 0
	}
	i := sort.Search(len(s.above), func(i int) bool { return s.above[i].last >= n })
	return i < len(s.above) && s.above[i].first <= n
}

// add notes a sequence and says whether it is new.
func (s *seen) add(n uint64) bool {
	if n == s.low+1 && len(s.above) == 0 {
		s.low = n
		return true
	}
	if n <= s.low {
		return false
	}
	i := sort.Search(len(s.above), func(i int) bool { return s.above[i].last >= n })
	if i < len(s.above) && s.above[i].first <= n {
		return false
	}
	switch {
	case i > 0 && s.above[i-1].last+1 == n && i < len(s.above) && s.above[i].first == n+1:
		s.above[i-1].last = s.above[i].last
		s.above = append(s.above[:i], s.above[i+1:]...)
	case i > 0 && s.above[i-1].last+1 == n:
		s.above[i-1].last = n
	case i < len(s.above) && s.above[i].first == n+1:
		s.above[i].first = n
	default:
		s.above = append(s.above, interval{})
		copy(s.above[i+1:], s.above[i:])
		s.above[i] = interval{n, n}
	}
	if s.above[0].first == s.low+1 {
		s.low = s.above[0].last
		s.above = s.above[1:]
	}
	return true
}

// remove forgets a sequence, which is new when it comes again.
func (s *seen) remove(n uint64) {
	if n == 0 || n > s.low {
		i := sort.Search(len(s.above), func(i int) bool { return s.above[i].last >= n })
		if n == 0 || i == len(s.above) || s.above[i].first > n {
			return
		}
		switch v := &s.above[i]; {
		case v.first == n && v.last == n:
			s.above = slices.Delete(s.above, i, i+1)
		case v.first == n:
			v.first++
		case v.last == n:
			v.last--
		default:
			s.above = slices.Insert(s.above, i, interval{v.first, n - 1})
			s.above[i+1].first = n + 1
		}
		return
	}
	if n < s.low {
		s.above = slices.Insert(s.above, 0, interval{n + 1, s.low})
	}
	s.low = n - 1
}
