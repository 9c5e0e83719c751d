package main

import "cmp"

// counts is what became of tasks, each of which gives its number back.
type counts struct {
	Tasks   int    `json:"tasks"`
	Once    int    `json:"once"`              // tasks with exactly one result
	Again   int    `json:"again,omitempty"`   // results beyond the first of a task
	Failed  int    `json:"failed,omitempty"`  // tasks that failed
	Strange int    `json:"strange,omitempty"` // results of tasks that were never sent
	Failure string `json:"failure,omitempty"` // the first failure of a task
}

// add adds the counts of further tasks.
func (c *counts) add(more counts) {
	c.Tasks += more.Tasks
	c.Once += more.Once
	c.Again += more.Again
	c.Failed += more.Failed
	c.Strange += more.Strange
	c.Failure = cmp.Or(c.Failure, more.Failure)
}

// missing is how many tasks had no result.
func (c *counts) missing() int { return c.Tasks - c.Once }

// right says that each task had exactly one result and none failed.
func (c *counts) right() bool {
	return c.missing() == 0 && c.Again == 0 && c.Failed == 0 && c.Strange == 0
}

// tally counts what came back for each of a number of tasks.
type tally struct {
	counts
	results []uint8 // by the task's number
}

func newTally(tasks int) *tally {
	return &tally{counts: counts{Tasks: tasks}, results: make([]uint8, tasks)}
}

// result notes a result of the task with this number.
func (t *tally) result(number uint64) {
	switch {
	case number >= uint64(len(t.results)):
		t.Strange++
	case t.results[number] == 0:
		t.results[number] = 1
		t.Once++
	default:
		t.Again++
	}
}
