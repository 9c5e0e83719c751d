package sched_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

func share(cpu, memory int64) resource.Vector {
	return resource.Vector{resource.CPU: cpu, resource.Memory: memory}
}

// node has two loops of 100 millicores and 1000 bytes in all.
func node(loops int) *Shares { return NewShares(loops, share(100, 0), share(0, 1000)) }

// serve gives shares, on the first loop with room, for as long as the first in line finds room.
func serve(s *Shares, loops int) (given []string) {
	for {
		first, ok := s.First()
		if !ok {
			return given
		}
		for i := range loops {
			if s.Room(i, first.Amount) {
				s.Give(i)
				given = append(given, fmt.Sprintf("%s on %d", first.Name, i))
				break
			}
		}
	}
}

func TestSharesAreOfALoopAndOfTheNode(t *testing.T) {
	s := node(2)
	for i, amount := range []resource.Vector{share(60, 400), share(60, 400), share(40, 100), share(10, 200), share(1, 1)} {
		s.Ask(Share{ID: uint32(i), Name: string(rune('a' + i)), Amount: amount})
	}
	if got := strings.Join(serve(s, 2), ", "); got != "a on 0, b on 1, c on 0" {
		t.Fatalf("given were %s", got)
	}
	if !s.Waits() || s.Room(2, share(1, 1)) || s.Room(-1, share(1, 1)) || s.Room(0, share(1, 0)) || !s.Room(1, share(40, 100)) {
		t.Fatalf("free are %v and %v", s.Free(0), s.Free(1))
	}
	for id, want := range map[uint32]string{
		0: "",
		3: "not enough memory of the management node for its session manager: 200 B needed, 100 B of 1000 B free; to be freed by closing all sessions of one of a, b, c",
		4: "it is number 2 in line for a session manager, behind d: not enough memory of the management node for its session manager: " +
			"200 B needed, 100 B of 1000 B free; to be freed by closing all sessions of one of a, b, c",
	} {
		if got := s.Explain(id); got != want {
			t.Errorf("%d: %q\nwant %q", id, got, want)
		}
	}
	s.Release(1)
	if got := strings.Join(serve(s, 2), ", "); got != "d on 1, e on 1" || s.Waits() {
		t.Fatalf("given were %s when b had left", got)
	}
}

func TestSharesOfALoopAreNotTornApart(t *testing.T) {
	s := node(2)
	s.Ask(Share{ID: 1, Name: "a", Amount: share(70, 1)})
	s.Ask(Share{ID: 2, Name: "b", Amount: share(70, 1)})
	serve(s, 2)
	s.Ask(Share{ID: 3, Name: "c", Amount: share(60, 1)})
	if _, ok := s.First(); ok {
		t.Fatal("60 are left on two loops together, not on one")
	}
	want := "not enough cpu of a manager loop for its session manager: 0.06 needed, 0.03 of 0.1 free; to be freed by closing all sessions of one of a, b"
	if got := s.Explain(3); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Leave(3)
	if s.Waits() || s.Explain(3) != "" {
		t.Error("it has left the line and still waits")
	}
}

func TestSharesMoveWhereThereIsRoom(t *testing.T) {
	s := node(2)
	s.Ask(Share{ID: 1, Name: "a", Amount: share(60, 1000)})
	serve(s, 2)
	for loop, want := range map[int]bool{0: true, 1: true, 2: false, -1: false} {
		if s.Movable(1, loop) != want {
			t.Errorf("it could be moved to loop %d: %v", loop, !want)
		}
	}
	if !s.Move(1, 1) || s.Free(0) != share(100, 0) || s.Free(1) != share(40, 0) {
		t.Fatalf("free are %v and %v when it was moved", s.Free(0), s.Free(1))
	}
	s.Release(1)
	s.Ask(Share{ID: 2, Name: "b", Amount: share(60, 1)})
	s.Ask(Share{ID: 3, Name: "c", Amount: share(60, 1)})
	serve(s, 2)
	if s.Move(2, 1) || s.Move(7, 1) || s.Free(0) != share(40, 998) || s.Free(1) != share(40, 998) {
		t.Fatalf("free are %v and %v when there was no room to move", s.Free(0), s.Free(1))
	}
}

func TestManyHoldersAreNotAllNamed(t *testing.T) {
	s := node(1)
	for i := range 8 {
		s.Ask(Share{ID: uint32(i), Name: fmt.Sprint("s", i), Amount: share(12, 0)})
	}
	serve(s, 1)
	s.Ask(Share{ID: 9, Name: "x", Amount: share(12, 0)})
	if got := s.Explain(9); !strings.HasSuffix(got, "one of s0, s1, s2, s3, s4 and 3 others") {
		t.Error(got)
	}
	one := node(1)
	one.Ask(Share{ID: 1, Name: "a", Amount: share(100, 0)})
	if got := one.Explain(1); !strings.Contains(got, "about to be given") {
		t.Error(got)
	}
	serve(one, 1)
	one.Ask(Share{ID: 2, Name: "b", Amount: share(1, 0)})
	if got := one.Explain(2); !strings.HasSuffix(got, "closing all sessions of a") {
		t.Error(got)
	}
}

func TestWhatNeverFitsIsRefused(t *testing.T) {
	s := node(2)
	for want, amount := range map[string]resource.Vector{
		"": share(100, 1000),
		"its session manager needs cpu 0.101, and each loop of the management node has 0.1 in all": share(101, 1),
		"its session manager needs memory 1001 B, and the management node has 1000 B in all":       share(1, 1001),
		"its session manager needs gpu 1, and the management node has 0 in all":                    {resource.GPU: 1},
	} {
		got := ""
		if err := s.Satisfiable(amount); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v: %q, want %q", amount, got, want)
		}
	}
}

// TestSharesAreFairAndNeverExceedTheNode plays random shares: no loop and no node gives more than it has, nobody
// overtakes, nobody waits while there is room, and all comes back.
func TestSharesAreFairAndNeverExceedTheNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loops := rapid.IntRange(1, 3).Draw(t, "loops")
		s := node(loops)
		amounts, on := map[uint32]resource.Vector{}, map[uint32]int{}
		var line []uint32
		next := uint32(0)
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				next++
				amounts[next] = share(rapid.Int64Range(0, 100).Draw(t, "cpu"), rapid.Int64Range(0, 1000).Draw(t, "memory"))
				s.Ask(Share{ID: next, Name: fmt.Sprint(next), Amount: amounts[next]})
				line = append(line, next)
			},
			"leave": func(t *rapid.T) {
				if len(line) > 0 {
					i := rapid.IntRange(0, len(line)-1).Draw(t, "who")
					s.Leave(line[i])
					line = append(line[:i:i], line[i+1:]...)
				}
			},
			"release": func(t *rapid.T) {
				for id := range next + 1 {
					if _, ok := on[id]; ok && rapid.Bool().Draw(t, "this one") {
						s.Release(id)
						delete(on, id)
					}
				}
			},
			"": func(t *rapid.T) {
				for first, ok := s.First(); ok; first, ok = s.First() {
					if first.ID != line[0] {
						t.Fatalf("%d overtakes %d", first.ID, line[0])
					}
					loop := 0
					for !s.Room(loop, first.Amount) {
						loop++
					}
					s.Give(loop)
					on[first.ID], line = loop, line[1:]
				}
				if s.Waits() != (len(line) > 0) {
					t.Fatalf("somebody waits: %v, want %v", s.Waits(), line)
				}
				sum := make([]resource.Vector, loops)
				memory := int64(0)
				for id, loop := range on {
					sum[loop] = sum[loop].Add(amounts[id])
					memory += amounts[id][resource.Memory]
				}
				for i := range sum {
					if cpu := sum[i][resource.CPU]; cpu > 100 || memory > 1000 || s.Free(i) != share(100-cpu, 1000-memory) {
						t.Fatalf("loop %d has given %d millicores, the node %d bytes; free are %v", i, cpu, memory, s.Free(i))
					}
					if len(line) > 0 && s.Room(i, amounts[line[0]]) {
						t.Fatalf("%d waits although loop %d has room", line[0], i)
					}
				}
				for _, id := range line {
					if s.Explain(id) == "" {
						t.Fatalf("%d waits for nothing", id)
					}
				}
			},
		})
	})
}
