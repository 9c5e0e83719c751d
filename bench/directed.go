package main

import (
	"bytes"
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
	b := make([]byte, max(d.result, 8))
	binary.BigEndian.PutUint64(b, d.number)
	for at := 8; at < len(b); at += 8 {
		putWord(b[at:], contentOf(d.number, at))
	}
	return b
}

// contentOf is what a result has at a place behind its number, which is a multiple of 8: different for each task and place.
func contentOf(number uint64, at int) uint64 { return (number+1)*0x9e3779b97f4a7c15 ^ uint64(at) }

// putWord puts as much of a word as there is room for.
func putWord(b []byte, word uint64) {
	if len(b) >= 8 {
		binary.BigEndian.PutUint64(b, word)
		return
	}
	for i := range b {
		b[i] = byte(word >> (56 - 8*i))
	}
}

// isResultOf says whether every byte of a result is as a directive of this number and size makes it.
func isResultOf(result []byte, number uint64, size int) bool {
	if n, ok := numberOf(result); !ok || n != number || len(result) != max(size, 8) {
		return false
	}
	at := 8
	for ; at+8 <= len(result); at += 8 {
		if binary.BigEndian.Uint64(result[at:]) != contentOf(number, at) {
			return false
		}
	}
	var last [8]byte
	putWord(last[:len(result)-at], contentOf(number, at))
	return bytes.Equal(last[:len(result)-at], result[at:])
}

// numberOf is the number in a result; false when it has none.
func numberOf(result []byte) (uint64, bool) {
	if len(result) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(result), true
}
