package broker

import (
	"sync"

	"github.com/weft-fabric/weft/internal/zmqx"
)

// mailbox hands things to a loop in order and wakes it.
type mailbox[T any] struct {
	wake *zmqx.Wake

	mu    sync.Mutex
	items []T
}

// put adds items. It never blocks; what bounds a mailbox is that each item answers to something bounded.
func (m *mailbox[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	m.mu.Lock()
	m.items = append(m.items, items...)
	m.mu.Unlock()
	m.wake.Ring()
}

// take moves what there is to dst.
func (m *mailbox[T]) take(dst []T) []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	dst = append(dst, m.items...)
	clear(m.items)
	m.items = m.items[:0]
	return dst
}
