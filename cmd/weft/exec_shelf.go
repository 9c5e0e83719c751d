package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// shelfMemory is how many bytes of results that cannot be printed yet are kept in memory; more goes to a file.
const shelfMemory = 64 << 20

// shelf keeps results until it is their turn, the first in memory, the others in a file without a name, which is gone
// with the process. It is for one goroutine at a time.
type shelf struct {
	room  int // bytes of memory that are left
	items map[int]shelved
	file  *os.File
	end   int64 // of the file
	filed int   // results in the file
}

// shelved is one result: in memory, or a part of the file.
type shelved struct {
	text []byte
	at   int64
	size int64 // in the file; -1: in memory
}

func newShelf(memory int) *shelf { return &shelf{room: memory, items: map[int]shelved{}} }

// put keeps a result.
func (s *shelf) put(number int, text []byte) error {
	if len(text) <= s.room {
		s.room -= len(text)
		s.items[number] = shelved{text: text, size: -1}
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "weft-exec-")
		if err != nil {
			return fmt.Errorf("results that are to be printed later: %w", err)
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(fmt.Errorf("results that are to be printed later: %w", err), f.Close())
		}
		s.file = f
	}
	if _, err := s.file.WriteAt(text, s.end); err != nil {
		return fmt.Errorf("results that are to be printed later: %w", err)
	}
	s.items[number] = shelved{at: s.end, size: int64(len(text))}
	s.end += int64(len(text))
	s.filed++
	return nil
}

// take gives a result, and forgets it; false when it is not there.
func (s *shelf) take(number int) (text []byte, ok bool, err error) {
	v, ok := s.items[number]
	if !ok {
		return nil, false, nil
	}
	delete(s.items, number)
	if v.size < 0 {
		s.room += len(v.text)
		return v.text, true, nil
	}
	text = make([]byte, v.size)
	if _, err := s.file.ReadAt(text, v.at); err != nil && !errors.Is(err, io.EOF) {
		return nil, true, fmt.Errorf("results that were kept: %w", err)
	}
	if s.filed--; s.filed == 0 {
		s.end = 0
		err = s.file.Truncate(0)
	}
	return text, true, err
}

// close forgets all.
func (s *shelf) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
