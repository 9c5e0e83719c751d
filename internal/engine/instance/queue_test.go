package instance

import "testing"

// TestQueueOfRecalledTasksTakesNoMemory: tasks that come and are recalled leave nothing behind, also where none begins.
func TestQueueOfRecalledTasksTakesNoMemory(t *testing.T) {
	var q queue
	for n := range uint64(1000) {
		q.push(task{task: 2*n + 1})
		q.push(task{task: 2*n + 2})
		for _, name := range []uint64{2*n + 1, 2*n + 2} {
			if got, ok := q.remove(name); !ok || got.task != name {
				t.Fatalf("task %d is not there", name)
			}
		}
	}
	if q.live != 0 || cap(q.items) > 10 {
		t.Fatalf("%d tasks have room for %d", q.live, cap(q.items))
	}
	q.push(task{task: 1})
	if got := q.pop(); got.task != 1 {
		t.Fatalf("got %d", got.task)
	}
}
