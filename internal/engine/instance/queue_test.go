package instance

import (
	"slices"
	"testing"
)

// TestQueueOfRecalledTasksTakesNoMemory: tasks that come and are recalled leave nothing behind, also where none begins.
func TestQueueOfRecalledTasksTakesNoMemory(t *testing.T) {
	var q queue
	var a arena
	for n := range uint64(1000) {
		q.push(&a).task = 2*n + 1
		q.push(&a).task = 2*n + 2
		for _, name := range []uint64{2*n + 1, 2*n + 2} {
			if got, ok := q.remove(name, &a); !ok || got.task != name {
				t.Fatalf("task %d is not there", name)
			}
		}
	}
	if q.live != 0 || cap(q.items) > 10 {
		t.Fatalf("%d tasks have room for %d", q.live, cap(q.items))
	}
	q.push(&a).task = 1
	if got := q.first(); got.task != 1 {
		t.Fatalf("got %d", got.task)
	}
}

// TestQueueGivesTasksInOrder: whatever is recalled in between, and whenever the queue makes room, tasks come out in the
// order in which they came in.
func TestQueueGivesTasksInOrder(t *testing.T) {
	var q queue
	var a arena
	var want []uint64
	in := uint64(0)
	for round := range 2000 {
		for range 1 + round%7 {
			in++
			q.push(&a).task = in
			want = append(want, in)
		}
		at := (round * 7) % len(want)
		if got, ok := q.remove(want[at], &a); !ok || got.task != want[at] {
			t.Fatalf("round %d: task %d is not there", round, want[at])
		}
		want = slices.Delete(want, at, at+1)
		for range min(round%8, len(want)) {
			if got := q.first().task; got != want[0] {
				t.Fatalf("round %d: task %d is next, want %d", round, got, want[0])
			}
			q.pop()
			want = want[1:]
		}
		if q.live != len(want) {
			t.Fatalf("round %d: %d tasks, want %d", round, q.live, len(want))
		}
	}
}
