// Package ordered holds the one collection that deterministic code needs and Go
// does not have: a map that is always iterated in the order of its keys.
//
// The packages that decide something must give equal outputs for equal inputs,
// so they may not range over a built-in map where the order could be seen. A Map
// costs O(1) to read, O(log n) to find a place in and O(n) machine-word moves to
// grow or shrink in the middle: right for sessions, nodes and containers, which
// come in thousands; wrong for tasks, which live in slabs.
//
// Nothing in this package is safe for concurrent use; a Map belongs to one core.
package ordered

import (
	"cmp"
	"iter"
	"slices"
)

// Map is a map whose iteration follows the order of its keys. The zero value is
// an empty map, ready for use. Keys must be equal to themselves: a floating-point
// NaN is no key. A Map must not be copied after its first Set.
type Map[K cmp.Ordered, V any] struct {
	keys   []K
	values map[K]V
}

// Len reports how many keys the map holds.
func (m *Map[K, V]) Len() int { return len(m.keys) }

// Get returns the value of key, and whether the map holds it. It allocates nothing.
func (m *Map[K, V]) Get(key K) (V, bool) {
	v, ok := m.values[key]
	return v, ok
}

// Set stores value under key, in place of the value that was there.
func (m *Map[K, V]) Set(key K, value V) {
	if m.values == nil {
		m.values = make(map[K]V)
	}
	if _, ok := m.values[key]; !ok {
		at, _ := slices.BinarySearch(m.keys, key)
		m.keys = slices.Insert(m.keys, at, key)
	}
	m.values[key] = value
}

// Delete removes key and reports whether it was there.
func (m *Map[K, V]) Delete(key K) bool {
	if _, ok := m.values[key]; !ok {
		return false
	}
	at, _ := slices.BinarySearch(m.keys, key)
	m.keys = slices.Delete(m.keys, at, at+1)
	delete(m.values, key)
	return true
}

// First returns the entry with the smallest key, or false when the map is empty.
func (m *Map[K, V]) First() (K, V, bool) {
	if len(m.keys) == 0 {
		var (
			k K
			v V
		)
		return k, v, false
	}
	k := m.keys[0]
	return k, m.values[k], true
}

// All iterates over the entries in ascending order of their keys. The loop's body
// may call Set and Delete: an entry that comes or goes behind the present key is
// of no effect on the iteration, one ahead of it is seen or missed accordingly,
// and no entry is visited twice.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for at := 0; at < len(m.keys); {
			k := m.keys[at]
			if !yield(k, m.values[k]) {
				return
			}
			if at < len(m.keys) && m.keys[at] == k {
				at++
				continue
			}
			// The body changed what lies before or at k: find the place after it.
			place, found := slices.BinarySearch(m.keys, k)
			at = place
			if found {
				at++
			}
		}
	}
}
