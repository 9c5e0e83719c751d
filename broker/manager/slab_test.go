package manager

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTaskStatesMoveByTheTable(t *testing.T) {
	legal := map[taskState][]taskState{
		taskFree:      {taskQueued},
		taskQueued:    {taskFlying, taskFree, taskFailed},
		taskSuspect:   {taskFlying, taskFree, taskFailed},
		taskFlying:    {taskFree, taskRecalling, taskStopping, taskSuspect, taskQueued, taskDelayed, taskDone, taskFailed},
		taskRecalling: {taskFree, taskStopping, taskQueued, taskSuspect, taskDelayed, taskDone, taskFailed},
		taskStopping:  {taskFree, taskDone, taskFailed},
		taskDelayed:   {taskQueued, taskFree, taskFailed},
		taskDone:      {taskFree},
		taskFailed:    {taskFree},
	}
	for from := range taskStates {
		for to := range taskStates {
			refused := func() (refused bool) {
				defer func() { refused = recover() != nil }()
				s := slot{state: from}
				s.move(to)
				return false
			}()
			if refused == slices.Contains(legal[from], to) {
				t.Errorf("from %d to %d: refused %v", from, to, refused)
			}
		}
	}
}

func TestStaleIDsFindNothing(t *testing.T) {
	s := newSlab()
	i := s.take()
	s.slots[i].move(taskQueued)
	id := s.wireID(i)
	if s.find(id) != i {
		t.Fatal("a task in use is not found")
	}
	s.slots[i].move(taskFlying)
	s.put(i)
	if s.find(id) != 0 {
		t.Fatal("a finished task is found")
	}
	if j := s.take(); j != i {
		t.Fatalf("slot %d was taken, %d is free", j, i)
	}
	s.slots[i].move(taskQueued)
	for _, stale := range []uint64{id, 0, 1 << 40, uint64(len(s.slots)), ^uint64(0)} {
		if s.find(stale) != 0 {
			t.Errorf("id %x finds slot %d", stale, s.find(stale))
		}
	}
}

// TestSeenAgainstASet holds the intervals against a plain set of sequences.
func TestSeenAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s seen
		set := map[uint64]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			n := rapid.Uint64Range(1, 60).Draw(t, "sequence")
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				s.remove(n)
				set[n] = false
			} else {
				if got, want := s.add(n), !set[n]; got != want {
					t.Fatalf("%d is new: %v, want %v", n, got, want)
				}
				set[n] = true
			}
			for i, v := range s.above {
				if v.first > v.last || v.first <= s.low+1 || (i > 0 && v.first <= s.above[i-1].last+1) {
					t.Fatalf("low %d and intervals %v touch or overlap", s.low, s.above)
				}
			}
		}
	})
}

func TestSparseBuffersAreCompacted(t *testing.T) {
	var p buffers
	s := newSlab()
	// Of each 64 KiB frame one small task is left.
	for range 2000 {
		b := p.copyOf(make([]byte, 60<<10), time.Time{})
		p.hold(b, 16)
		i := s.take()
		s.slots[i].buf, s.slots[i].size, s.slots[i].off = b, 16, 100
		b.data[100] = 7
		p.drop(b, 0)
	}
	if !p.sparse() {
		t.Fatalf("%d bytes pinned for %d is not sparse", p.pinned, p.live)
	}
	p.compact(&s)
	if p.live != 2000*16 || p.pinned > 2000*64 {
		t.Fatalf("%d bytes pinned for %d after compaction", p.pinned, p.live)
	}
	for i := 1; i < len(s.slots); i++ {
		v := &s.slots[i]
		if v.buf.data[v.off] != 7 {
			t.Fatal("a payload changed")
		}
		p.drop(v.buf, v.size)
	}
	if p.live != 0 || p.pinned != 0 {
		t.Fatalf("%d bytes pinned for %d at the end", p.pinned, p.live)
	}
}

// TestSlabGivesMemoryBack: after many tasks, without that an id of before finds one of later.
func TestSlabGivesMemoryBack(t *testing.T) {
	s := newSlab()
	ids := map[uint64]bool{}
	add := func() uint32 {
		i := s.take()
		s.slots[i].move(taskQueued)
		if ids[s.wireID(i)] {
			t.Fatalf("id %x names a second task", s.wireID(i))
		}
		ids[s.wireID(i)] = true
		return i
	}
	for range 3 {
		var all []uint32
		for range 5 * trimFrom {
			all = append(all, add())
		}
		s.trim()
		if len(s.slots) <= 5*trimFrom {
			t.Fatal("slots with tasks were given back")
		}
		for _, i := range all[1:] {
			s.put(i)
		}
		if s.trim(); cap(s.slots) > 1000 || cap(s.free) > 1000 || s.used != 1 || s.find(s.wireID(all[0])) != all[0] {
			t.Fatalf("one task has %d slots and a list of %d that are free", cap(s.slots), cap(s.free))
		}
		for range 10 {
			s.put(add())
		}
		s.put(all[0])
	}
}

// TestSpareBuffersAreBounded: what is kept for use again counts, is bounded, is used, and goes when memory is short.
func TestSpareBuffersAreBounded(t *testing.T) {
	var p buffers
	var all []*buffer
	for range keepFree {
		all = append(all, p.copyOf(make([]byte, 1<<20), time.Time{}))
	}
	for _, b := range all {
		p.drop(b, 0)
	}
	if p.pinned != 0 || p.spare != keepBytes {
		t.Fatalf("%d bytes in use and %d to spare, want 0 and %d", p.pinned, p.spare, keepBytes)
	}
	b := p.copyOf(make([]byte, 1<<20), time.Time{})
	if p.pinned != 1<<20 || p.spare != keepBytes-1<<20 {
		t.Fatalf("%d bytes in use and %d to spare after one was used again", p.pinned, p.spare)
	}
	p.drop(b, 0)
	c := New(Config{QueuedBytes: 1 << 20})
	c.buffers = p
	before, _ := Holds(c)
	c.Step(time.Unix(1, 0), Event{Kind: EventMemory, Memory: &Memory{Limit: 100, Used: highFrom}})
	if after, _ := Holds(c); before-after != keepBytes || c.buffers.spare != 0 {
		t.Errorf("of %d bytes %d are held when memory is short", before, after)
	}
}
