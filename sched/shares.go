package sched

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/sched/resource"
)

// Shares hands out the management node to its session managers. What a loop has, its millicores, a manager
// takes from the one loop on which it runs, since a loop is one thread; what the node has, its bytes, all loops share.
// Who asks waits in line: the first in line goes first, and nobody overtakes it. Make it with [NewShares].
type Shares struct {
	loop    resource.Vector   // of each loop, when it is empty
	node    resource.Vector   // of the node, when it is empty
	free    []resource.Vector // by loop
	left    resource.Vector   // of the node
	held    ordered.Map[uint32, holding]
	waiting []Share
}

// Share is what one session manager asks for or holds.
type Share struct {
	ID     uint32 // of who asks, unique
	Name   string // of who asks, for people
	Amount resource.Vector
}

// holding is a share that was given.
type holding struct {
	Share
	loop int
}

// NewShares makes an empty management node: each of its loops has one vector, all of them together have the other. A
// dimension is in one of the two.
func NewShares(loops int, loop, node resource.Vector) *Shares {
	return &Shares{loop: loop, node: node, free: slices.Repeat([]resource.Vector{loop}, loops), left: node}
}

// Satisfiable says whether a share could ever be given, were the node empty. The error is an *[Unsatisfiable].
func (s *Shares) Satisfiable(amount resource.Vector) error {
	whole := s.loop.Add(s.node)
	d, short := amount.Short(whole)
	if !short {
		return nil
	}
	of := "the management node"
	if s.loop[d] > 0 {
		of = "each loop of the management node"
	}
	return &Unsatisfiable{Barrier: TooSmall, Reason: fmt.Sprintf("its session manager needs %s %s, and %s has %s in all",
		d, d.Format(amount[d]), of, d.Format(whole[d]))}
}

// Ask puts a share at the end of the line. It must be satisfiable, and its ID must neither wait nor hold anything.
func (s *Shares) Ask(share Share) { s.waiting = append(s.waiting, share) }

// Waits says whether anybody waits.
func (s *Shares) Waits() bool { return len(s.waiting) > 0 }

// Room says whether a loop could be asked for this amount now. A loop that is not there has no room.
func (s *Shares) Room(loop int, amount resource.Vector) bool {
	return loop >= 0 && loop < len(s.free) && amount.Fits(s.free[loop].Add(s.left))
}

// First gives the first in line when a loop has room for it.
func (s *Shares) First() (share Share, ok bool) {
	if len(s.waiting) == 0 {
		return Share{}, false
	}
	first := s.waiting[0]
	return first, slices.ContainsFunc(s.free, func(free resource.Vector) bool { return first.Amount.Fits(free.Add(s.left)) })
}

// Give gives the first in line its share of a loop, which must have room for it.
func (s *Shares) Give(loop int) {
	first := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.held.Set(first.ID, holding{first, loop})
	s.take(loop, first.Amount, -1)
}

// take adds an amount, times sign, to what is free.
func (s *Shares) take(loop int, amount resource.Vector, sign int64) {
	for d, n := range amount {
		if s.loop[d] > 0 {
			s.free[loop][d] += sign * n
		} else {
			s.left[d] += sign * n
		}
	}
}

// Release gives back the share that ID holds. One that holds none is of no effect.
func (s *Shares) Release(id uint32) {
	if share, ok := s.held.Get(id); ok {
		s.held.Delete(id)
		s.take(share.loop, share.Amount, 1)
	}
}

// Movable says whether ID holds a share that it could take from that loop.
func (s *Shares) Movable(id uint32, loop int) bool {
	share, ok := s.held.Get(id)
	if !ok || loop < 0 || loop >= len(s.free) {
		return false
	}
	for d, n := range share.Amount {
		if s.loop[d] > 0 && share.loop != loop && n > s.free[loop][d] {
			return false
		}
	}
	return true
}

// Move has ID take its share from another loop, and says whether there was room.
func (s *Shares) Move(id uint32, loop int) bool {
	if !s.Movable(id, loop) {
		return false
	}
	share, _ := s.held.Get(id)
	if !planted.Is(planted.ShareLeftBehind) {
		s.take(share.loop, share.Amount, 1)
	}
	s.take(loop, share.Amount, -1)
	share.loop = loop
	s.held.Set(id, share)
	return true
}

// Leave takes ID out of the line.
func (s *Shares) Leave(id uint32) {
	s.waiting = slices.DeleteFunc(s.waiting, func(w Share) bool { return w.ID == id })
}

// Free is what a loop has left, and what the node has.
func (s *Shares) Free(loop int) resource.Vector { return s.free[loop].Add(s.left) }

// Explain says what the one with this ID waits for: the dimension, what is needed and free of it, and whose end would
// free it. It is "" for one that does not wait.
func (s *Shares) Explain(id uint32) string {
	at := slices.IndexFunc(s.waiting, func(w Share) bool { return w.ID == id })
	if at < 0 {
		return ""
	}
	first := s.waiting[0]
	var most resource.Vector
	for i := range s.free {
		most = most.Max(s.Free(i))
	}
	d, short := first.Amount.Short(most)
	if !short { // room is there and is about to be given
		return "its session manager is about to be given its share of the management node"
	}
	of := "of the management node"
	if s.loop[d] > 0 {
		of = "of a manager loop"
	}
	why := fmt.Sprintf("not enough %s %s for its session manager: %s needed, %s of %s free; to be freed by closing all sessions of %s",
		d, of, d.Format(first.Amount[d]), d.Format(max(most[d], 0)), d.Format(s.loop.Add(s.node)[d]), s.holders(d))
	if at > 0 {
		return fmt.Sprintf("it is number %d in line for a session manager, behind %s: %s", at+1, first.Name, why)
	}
	return why
}

// holders names who holds something of a dimension, some of them where there are many.
func (s *Shares) holders(d resource.Dimension) string {
	const most = 5
	var names []string
	for _, share := range s.held.All() {
		if share.Amount[d] > 0 && !slices.Contains(names, share.Name) {
			names = append(names, share.Name)
		}
	}
	switch over := len(names) - most; {
	case over > 0:
		return fmt.Sprintf("one of %s and %d others", strings.Join(names[:most], ", "), over)
	case len(names) > 1:
		return "one of " + strings.Join(names, ", ")
	default:
		return strings.Join(names, ", ")
	}
}
