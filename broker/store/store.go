// Package store keeps the log of a broker: what its cores decided, in order. [Mem] keeps it in memory.
package store

import (
	"errors"
	"fmt"
	"sync"
)

// Entry is one entry of the log: the records that were committed together.
type Entry struct {
	Index   uint64 // from 1, without gaps
	Core    int    // which core's records: 0 is the control loop, 1 + i manager loop i
	Records [][]byte
}

// Store is an ordered log. Append is called by one goroutine, the committer; the other methods by any.
type Store interface {
	// Append makes the entries durable, all or none, and returns when they are. Their indices follow the last. After an
	// error the store must not be used any more: what was acknowledged is durable, nothing else is promised.
	Append(entries []Entry) error
	// Last is the index of the last entry, 0 when there is none.
	Last() uint64
	// Read calls yield for each entry from index on, in order, until it returns false.
	Read(index uint64, yield func(Entry) bool) error
	// Close gives back what the store holds.
	Close() error
}

// ErrClosed is returned by a store after Close.
var ErrClosed = errors.New("store: closed")

// Mem is a store in memory: it forgets everything when the process ends. It is safe for concurrent use.
type Mem struct {
	mu      sync.Mutex
	entries []Entry
	last    uint64
	bytes   int
	closed  bool
}

// memKeeps bounds what Mem remembers: nobody reads further back, since a broker starts anew with it.
const memKeeps = 1 << 20

// NewMem makes an empty store in memory.
func NewMem() *Mem { return &Mem{} }

// Append implements [Store].
func (m *Mem) Append(entries []Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for i, e := range entries {
		if want := m.last + uint64(i) + 1; e.Index != want {
			return fmt.Errorf("store: entry has index %d, the next is %d", e.Index, want)
		}
	}
	for _, e := range entries {
		records := make([][]byte, len(e.Records))
		for i, r := range e.Records {
			records[i] = append([]byte(nil), r...)
			m.bytes += len(r)
		}
		m.entries = append(m.entries, Entry{Index: e.Index, Core: e.Core, Records: records})
	}
	m.last += uint64(len(entries))
	for m.bytes > memKeeps && len(m.entries) > 1 {
		for _, r := range m.entries[0].Records {
			m.bytes -= len(r)
		}
		m.entries[0] = Entry{}
		m.entries = m.entries[1:]
	}
	return nil
}

// Last implements [Store].
func (m *Mem) Last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Read implements [Store]. Entries that Mem has forgotten (it keeps about 1 MiB) are left out.
func (m *Mem) Read(index uint64, yield func(Entry) bool) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	entries := append([]Entry(nil), m.entries...)
	m.mu.Unlock()
	for _, e := range entries {
		if e.Index >= index && !yield(e) {
			return nil
		}
	}
	return nil
}

// Close implements [Store].
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.entries = nil
	return nil
}
