package sched

import "github.com/weft-fabric/weft/sched/resource"

// capacityPolicy gives to the service that was submitted first, within limits for users: while another user wants some of
// the leaf, one holds at most its part of the leaf's guarantee, or of what is used where that is more, as the capacity
// scheduler of Hadoop YARN has it. The first container is never held back: where parts are smaller than containers, nobody
// would get any.
type capacityPolicy struct{}

func (capacityPolicy) standing(*service, *resource.Vector) float64 { return 0 }
func (capacityPolicy) byHolding() bool                             { return false }
func (capacityPolicy) byUser() bool                                { return true }

func (capacityPolicy) allows(l *leaf, ask *resource.Vector, u *user) bool {
	if l.wanting == 0 || l.wanting == 1 && u.pending > 0 {
		return true // nobody else wants any
	}
	part := l.userPart()
	q := l.queue
	for d, guaranteed := range q.guaranteed {
		base := max(guaranteed, float64(q.used[d]+ask[d]))
		if u.held[d] > 0 && u.held[d]+ask[d] > whole64(base*part) {
			return false
		}
	}
	return true
}

// userPart is the part that one user may hold at most while another wants some.
func (l *leaf) userPart() float64 {
	part := 1 / float64(max(l.present, 1))
	if l.queue.UserLimit != nil {
		part = max(part, l.queue.UserLimit.Of(1))
	}
	return part
}
