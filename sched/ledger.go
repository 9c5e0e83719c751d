package sched

import (
	"slices"

	"github.com/weft-fabric/weft/sched/resource"
)

// ledger keeps what is held and wanted, by container, request, service, user and queue.
type ledger struct{ *Scheduler }

// unseat takes a service with all that it holds and wants out of its leaf.
func (s ledger) unseat(v *service) {
	for _, r := range v.requests {
		if r.line != nil {
			v.leaf.quit(r)
		}
	}
	s.account(v, &v.used, -1, -v.containers)
	f := v.leaf
	s.gaveBack(f)
	last := f.members[len(f.members)-1]
	f.members[v.seat], last.seat = last, v.seat
	f.members = f.members[:len(f.members)-1]
	v.leaf, v.user = nil, nil
}

// seat puts a service with all that it holds and wants into a leaf.
func (s ledger) seat(v *service, f *leaf) {
	u := f.users[v.User]
	if u == nil {
		u = &user{name: v.User}
		f.users[v.User] = u
	}
	v.leaf, v.user = f, u
	v.seat = len(f.members)
	f.members = append(f.members, v)
	s.account(v, &v.used, 1, v.containers)
	s.stand(v)
	for _, r := range v.requests {
		s.line(r)
	}
}

// account has the leaf of a service, its user and all queues above hold an amount in so many containers more; or less,
// where sign is -1 and the number below 0.
func (s ledger) account(v *service, amount *resource.Vector, sign int64, containers int) {
	s.tree.charge(v.leaf.queue, amount, &s.cluster.total, sign, containers)
	for d := range amount {
		v.user.held[d] += sign * amount[d]
	}
	v.user.running += containers
	v.leaf.census(v.user)
	v.leaf.lifted()
}

// hold has a service hold an amount in one container more, or less where sign is -1.
func (s ledger) hold(v *service, amount *resource.Vector, sign int64) {
	for d := range s.cluster.dims {
		v.used[d] += sign * amount[d]
	}
	v.containers += int(sign)
	s.account(v, amount, sign, int(sign))
	s.stand(v)
}

// stand gives a service the place that it has by what it holds.
func (s ledger) stand(v *service) {
	if !v.leaf.policy.byHolding() {
		v.standing = 0
		return
	}
	v.standing = v.leaf.policy.standing(v, &s.cluster.total)
	for _, r := range v.requests {
		if r.line != nil {
			r.line.waiting.fix(r.spot, r.key())
			v.leaf.settle(r.line)
		}
	}
}

// line has a request stand in line when it wants more than it holds, and not otherwise.
func (s ledger) line(r *request) {
	switch lacks := r.lacks() > 0; {
	case lacks && r.line == nil:
		r.service.leaf.join(r, s.delay)
	case !lacks && r.line != nil:
		r.service.leaf.quit(r)
	}
	if f := r.service.leaf; f.queue.Reserve {
		f.queue.touch() // another one may be the first in line now
	}
	if r.nodes > 1 || r.delayed { // what it holds and wants decides where it may be, and how long it waits for its place
		s.retry(r)
	}
}

// retry has a request tried again, if it wants something.
func (s ledger) retry(r *request) {
	if r.line != nil {
		r.service.leaf.lift(r.line)
		r.service.leaf.queue.touch()
	}
}

// forget drops a request that wants nothing and holds nothing.
func (s ledger) forget(r *request) {
	if r.want > 0 || r.held > 0 {
		return
	}
	delete(s.requests, r.id)
	decider(s).undelay(r)
	if r.line != nil {
		r.service.leaf.quit(r)
	}
	s.classes.leave(r.class)
	v := r.service
	i := slices.Index(v.requests, r)
	last := len(v.requests) - 1
	v.requests[i] = v.requests[last]
	v.requests[last] = nil
	v.requests = v.requests[:last]
}

// drop takes a container from its node, its request and the queues.
func (s ledger) drop(i int32) {
	k := s.containers.at(i)
	r, n, ask := k.request, k.node, &k.class.ask
	s.containers.drop(i)
	n.containers--
	s.cluster.take(n, ask, -1)
	r.held--
	r.note(n, -1)
	s.hold(r.service, ask, -1)
	s.classes.freed(n, s.now)
	s.stuck.freed(n, &s.cluster)
	s.gaveBack(r.service.leaf)
	s.line(r)
	s.forget(r)
}

// gaveBack notes that less is held in a leaf.
func (s ledger) gaveBack(f *leaf) {
	f.lifts++
	for q := f.queue; q != nil; q = q.parent {
		q.released = s.now
	}
	f.queue.touch()
}

// settle finds anew, after a change of the cluster or the queues, what everyone is guaranteed, and has everything tried.
func (s ledger) settle() {
	s.cluster.freshen()
	if s.settled {
		return
	}
	s.settled = true
	s.now++
	s.tree.settle(&s.cluster.total)
	s.classes.reopenAll(s.now)
	for _, q := range s.tree.all {
		q.forgive()
		q.released = s.now
		if q.leaf == nil {
			continue
		}
		q.leaf.stale = true
		if q.leaf.active.len()+len(q.leaf.parked) > 0 {
			q.touch()
		}
	}
	for _, q := range s.tree.all {
		if q.parent != nil && q.spot != absent {
			q.parent.active.fix(q.spot, q.key())
		}
	}
}

// refresh brings a leaf up to date with a cluster or queues that changed: its services have other places in line, its limits
// are others, and there may be other nodes for what was stuck. It is done when the leaf is looked at next.
func (s ledger) refresh(f *leaf) {
	if !f.stale {
		return
	}
	f.stale = false
	f.lifts++
	for _, v := range f.members {
		s.stand(v)
	}
	for i := len(f.parked) - 1; i >= 0; i-- {
		if l := f.parked[i]; l.held == noPlace {
			f.lift(l)
		}
	}
}
