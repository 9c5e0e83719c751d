package sched

// key orders what stands in line, the lowest first: field by field.
type key struct {
	first  int64   // queues: priority, and whether it is below its min
	ratio  float64 // queues: usage ratio; requests: what their service holds, by the policy of the leaf
	second int64   // queues: order of definition; requests: place of the service in its line
	third  int64   // requests: priority
	fourth int64   // requests: order of submission
}

func (k *key) less(o *key) bool {
	switch {
	case k.first != o.first:
		return k.first < o.first
	case k.ratio != o.ratio:
		return k.ratio < o.ratio
	case k.second != o.second:
		return k.second < o.second
	case k.third != o.third:
		return k.third < o.third
	default:
		return k.fourth < o.fourth
	}
}

// compare orders keys for sorting.
func (k *key) compare(o *key) int {
	switch {
	case k.less(o):
		return -1
	case o.less(k):
		return 1
	default:
		return 0
	}
}

// heap is a binary heap of what stands in line. Each member knows where it is in it: absent when it is not.
type heap[T member] struct{ slots []slot[T] }

type slot[T member] struct {
	key  key
	item T
}

// member is what a heap holds.
type member interface {
	comparable
	place() *int32 // where its index in the heap is kept
}

// absent is the index of what is in no heap.
const absent = int32(-1)

func (h *heap[T]) len() int { return len(h.slots) }

// top is the lowest one; the heap must not be empty.
func (h *heap[T]) top() T { return h.slots[0].item }

// topKey is the key of the lowest one; the heap must not be empty.
func (h *heap[T]) topKey() *key { return &h.slots[0].key }

func (h *heap[T]) push(k key, item T) {
	h.slots = append(h.slots, slot[T]{k, item})
	*item.place() = int32(len(h.slots) - 1)
	h.up(len(h.slots) - 1)
}

// remove takes out the one at index i.
func (h *heap[T]) remove(i int32) {
	last := len(h.slots) - 1
	*h.slots[i].item.place() = absent
	moved := h.slots[last]
	h.slots[last] = slot[T]{}
	h.slots = h.slots[:last]
	if int(i) == last {
		return
	}
	h.slots[i] = moved
	*moved.item.place() = i
	if !h.up(int(i)) {
		h.down(int(i))
	}
}

// fix gives the one at index i another key.
func (h *heap[T]) fix(i int32, k key) {
	h.slots[i].key = k
	if !h.up(int(i)) {
		h.down(int(i))
	}
}

func (h *heap[T]) up(i int) bool {
	start := i
	s := h.slots[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !s.key.less(&h.slots[parent].key) {
			break
		}
		h.slots[i] = h.slots[parent]
		*h.slots[i].item.place() = int32(i)
		i = parent
	}
	if i == start {
		return false
	}
	h.slots[i] = s
	*s.item.place() = int32(i)
	return true
}

func (h *heap[T]) down(i int) {
	start := i
	s := h.slots[i]
	for {
		child := 2*i + 1
		if child >= len(h.slots) {
			break
		}
		if child+1 < len(h.slots) && h.slots[child+1].key.less(&h.slots[child].key) {
			child++
		}
		if !h.slots[child].key.less(&s.key) {
			break
		}
		h.slots[i] = h.slots[child]
		*h.slots[i].item.place() = int32(i)
		i = child
	}
	if i == start {
		return
	}
	h.slots[i] = s
	*s.item.place() = int32(i)
}
