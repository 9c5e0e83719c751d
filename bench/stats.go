package main

// tally counts what came back for each of a number of tasks.
type tally struct {
	results []uint8 // by the task's number
	once    int     // tasks with exactly one result
	again   int     // results beyond the first of a task
	failed  int     // tasks that failed
	strange int     // results of tasks that were never sent
}

func newTally(tasks int) *tally { return &tally{results: make([]uint8, tasks)} }

// result notes a result of the task with this number.
func (t *tally) result(number uint64) {
	switch {
	case number >= uint64(len(t.results)):
		t.strange++
	case t.results[number] == 0:
		t.results[number] = 1
		t.once++
	default:
		t.again++
	}
}

// missing is how many tasks had no result.
func (t *tally) missing() int { return len(t.results) - t.once }

// right says that each task had exactly one result and none failed.
func (t *tally) right() bool {
	return t.missing() == 0 && t.again == 0 && t.failed == 0 && t.strange == 0
}
