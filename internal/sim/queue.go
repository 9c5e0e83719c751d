package sim

// eventKind says what an event in the queue is about.
type eventKind uint8

const (
	evTurn    eventKind = iota // ref is the *actor whose turn it is
	evDeliver                  // ref is the *message that arrives
	evConnect                  // ref is the *dealer that connects
	evHook                     // ref is the *hookRun that ends
	evCall                     // ref is a func() to call
	evKinds
)

// event is something that is going to happen. An event whose version is not its subject's any more does not happen.
type event struct {
	at      int64 // nanoseconds since the world began
	order   uint64
	ref     any
	version uint32
	kind    eventKind
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.order < o.order }

// queue holds the events in the order of their times; those of one time in the order in which they were added. It is a
// heap of four children a node.
type queue struct {
	heap  []event
	count uint64
}

func (q *queue) push(at int64, kind eventKind, ref any, version uint32) {
	q.count++
	e := event{at: at, order: q.count, ref: ref, version: version, kind: kind}
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// pop takes the next event; ok is false when there is none.
func (q *queue) pop() (e event, ok bool) {
	n := len(q.heap) - 1
	if n < 0 {
		return event{}, false
	}
	e = q.heap[0]
	last := q.heap[n]
	q.heap[n] = event{}
	q.heap = q.heap[:n]
	if n == 0 {
		return e, true
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		least := first
		for k := first + 1; k < min(first+4, n); k++ {
			if q.heap[k].before(&q.heap[least]) {
				least = k
			}
		}
		if !q.heap[least].before(&last) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = last
	return e, true
}
