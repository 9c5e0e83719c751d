package main

import (
	"encoding/binary"
	"time"
)

// directive is a task that says itself how long it takes and how large its result is.
type directive struct {
	number    uint64 // comes back at the beginning of the result
	execution time.Duration
	result    int // bytes, at least those of the number
}

// directiveSize is how many bytes a task has at least that is a directive.
const directiveSize = 24

// payload makes the task, of at least size bytes.
func (d directive) payload(size int) []byte {
	b := make([]byte, directiveSize, max(size, directiveSize))
	binary.BigEndian.PutUint64(b, d.number)
	binary.BigEndian.PutUint64(b[8:], uint64(d.execution))
	binary.BigEndian.PutUint64(b[16:], uint64(d.result))
	return b[:cap(b)]
}

// readDirective reads a task; false when it is none.
func readDirective(b []byte) (directive, bool) {
	if len(b) < directiveSize {
		return directive{}, false
	}
	d := directive{
		number: binary.BigEndian.Uint64(b), execution: time.Duration(binary.BigEndian.Uint64(b[8:])),
		result: int(binary.BigEndian.Uint64(b[16:])),
	}
	return d, d.execution >= 0 && d.result >= 0 && d.result <= 1<<30
}

// obey takes the time and makes the result.
func (d directive) obey() []byte {
	time.Sleep(d.execution)
	return binary.BigEndian.AppendUint64(make([]byte, 0, max(d.result, 8)), d.number)[:max(d.result, 8)]
}

// numberOf is the number in a result; false when it has none.
func numberOf(result []byte) (uint64, bool) {
	if len(result) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(result), true
}
