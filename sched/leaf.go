package sched

import (
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/sched/resource"
)

// leaf is what stands in line in a queue without children. The requests of one class, user and place make up a line: what
// stands in the way of one stands in the way of all; one that has a way of its own has a line of its own. Of the lines
// that were not tried, the one whose first request goes first is at the top; those whose first request was tried and
// failed are parked.
type leaf struct {
	queue   *queue
	policy  policy
	byKey   map[lineKey]*line
	limits  []*queue // the leaf and those above it that have a maximum
	active  heap[*line]
	parked  []*line
	classes shelves
	lifts   uint64 // counts what may have lifted a limit
	stale   bool   // see [ledger.refresh]

	members []*service
	users   map[string]*user
	present int // of the users, how many hold or want something
	wanting int // of the users, how many want something
}

// user is who submits services, and what is held for them in a leaf.
type user struct {
	running int  // containers
	pending int  // requests that want some
	counts  bool // it is present
	wants   bool
	held    resource.Vector
	name    string
}

type lineKey struct {
	class      *class
	user       *user
	node, rack string
	relaxed    bool
	own        *request // nil: it is shared
}

// keyOfLine says in which line a request stands: one of its own where what it holds, or has let pass, decides where it may
// be.
func (r *request) keyOfLine(delay bool) lineKey {
	k := lineKey{class: r.class, user: r.service.user, node: r.node, rack: r.rack, relaxed: r.relaxed}
	if r.nodes > 1 || r.relaxed && delay {
		k.own = r
	}
	return k
}

// hold is what keeps the first request of a parked line. When the class is open, it may be tried where it is, unless a limit
// keeps it that nothing has lifted since.
type hold uint8

const (
	noRoom  hold = iota // on any node: its class is closed, or was
	atLimit             // its queue's or its user's
	noPlace             // on the nodes where it may be, or it waits for those; see [stuck]
)

// line is the requests of one class and user that want containers.
type line struct {
	waiting  heap[*request]
	leaf     *leaf
	spot     int32 // in the heap of the leaf
	shelf    int32 // among the parked
	held     hold
	key      lineKey
	next     *line  // of those on its shelf
	blockers uint64 // depths of the queues whose limit keeps it
	lifts    uint64 // of the leaf, and
	at       uint64 // when a limit kept it
	listed   bool   // among the stuck
	survey   *survey
}

func (l *line) place() *int32 { return &l.spot }

func newLeaf(q *queue) *leaf {
	return &leaf{queue: q, policy: policyOf(q.Policy), byKey: make(map[lineKey]*line), users: make(map[string]*user)}
}

// join puts a request that wants containers in its line.
func (f *leaf) join(r *request, delay bool) {
	key := r.keyOfLine(delay)
	l := f.byKey[key]
	if l == nil {
		l = &line{leaf: f, key: key, spot: absent, shelf: absent}
		f.byKey[key] = l
		f.makeRoom()
	}
	if l.waiting.len() == 0 {
		f.queue.wanted(r.class.bit, true)
	}
	r.line = l
	l.waiting.push(r.key(), r)
	f.lift(l)
	key.user.pending++
	f.census(key.user)
	f.queue.touch()
}

// makeRoom sees to it that a decision finds room for every line wherever it may be.
func (f *leaf) makeRoom() {
	lines := len(f.byKey)
	f.parked = slices.Grow(f.parked, lines-len(f.parked))
	f.active.slots = slices.Grow(f.active.slots, lines-f.active.len())
	f.classes.makeRoom(lines)
}

// census notes whether a user holds or wants something here.
func (f *leaf) census(u *user) {
	if counts := u.pending > 0 || u.running > 0; counts != u.counts {
		u.counts = counts
		f.present += one(counts)
	} else if wants := u.pending > 0; wants == u.wants {
		return
	}
	if wants := u.pending > 0; wants != u.wants {
		u.wants = wants
		f.wanting += one(wants)
	}
	f.lifted()
}

// lifted notes that what users may have has changed.
func (f *leaf) lifted() {
	if f.policy.byUser() {
		f.lifts++
		f.queue.touch()
	}
}

func one(more bool) int {
	if more {
		return 1
	}
	return -1
}

// quit takes a request out of its line.
func (f *leaf) quit(r *request) {
	l := r.line
	r.line = nil
	l.waiting.remove(r.spot)
	f.settle(l)
	l.key.user.pending--
	f.census(l.key.user)
	if l.waiting.len() == 0 {
		f.queue.wanted(l.key.class.bit, false)
		delete(f.byKey, l.key)
	}
}

// settle gives a line the place that its first request has, or takes it out when it is empty.
func (f *leaf) settle(l *line) {
	switch {
	case l.waiting.len() > 0 && l.spot != absent:
		f.active.fix(l.spot, *l.waiting.topKey())
	case l.waiting.len() > 0 && l.shelf != absent && l.held != noPlace:
		f.classes.settle(l.key.class.bit)
	case l.waiting.len() > 0:
	case l.spot != absent:
		f.active.remove(l.spot)
	case l.shelf != absent:
		f.unshelve(l)
	}
}

// lift puts a line, which is not empty, among the active ones.
func (f *leaf) lift(l *line) {
	if l.spot != absent {
		f.active.fix(l.spot, *l.waiting.topKey())
		return
	}
	f.unshelve(l)
	f.active.push(*l.waiting.topKey(), l)
}

func (f *leaf) unshelve(l *line) {
	if l.shelf == absent {
		return
	}
	last := f.parked[len(f.parked)-1]
	f.parked[l.shelf], last.shelf = last, l.shelf
	f.parked = f.parked[:len(f.parked)-1]
	l.shelf = absent
	if l.held != noPlace {
		f.classes.remove(l)
	}
}

// park sets a line aside, whose first request could not be placed.
func (f *leaf) park(l *line, held hold, blockers, now uint64) {
	if l.shelf == absent {
		f.active.remove(l.spot)
		l.shelf = int32(len(f.parked))
		f.parked = append(f.parked, l)
		if held != noPlace {
			f.classes.add(l)
		}
	} else if held == noPlace { // it was tried on its shelf
		f.classes.remove(l)
	}
	l.held, l.blockers, l.lifts, l.at = held, blockers, f.lifts, now
}

// keeps says whether a limit keeps a parked line, as one did before.
func (f *leaf) keeps(l *line, released, now uint64) bool {
	if l.held != atLimit {
		return false
	}
	if l.lifts == f.lifts && l.at >= released {
		return true
	}
	ask := &l.key.class.ask
	if at := f.full(ask); at != nil {
		l.blockers = 1 << at.depth
	} else if l.blockers = 0; f.policy.allows(f, ask, l.key.user) {
		return false
	}
	l.lifts, l.at = f.lifts, now
	return true
}

// next gives the line whose first request is to be tried next: of the active ones, and of those parked whose class is open
// again and which no limit keeps. It is nil when there is none, or when a request that is kept waiting goes before it and
// keeps its place. Released is when something was given back last below a queue above with a maximum.
func (f *leaf) next(c *classes, released, now uint64) *line {
	var first *line
	if f.active.len() > 0 {
		first = f.active.top()
	}
	if l := f.classes.next(c, first, func(l *line) bool { return f.keeps(l, released, now) }); l != nil {
		first = l
	}
	if first != nil && f.queue.Reserve {
		for _, l := range f.parked {
			if l != first && l.waiting.topKey().less(first.waiting.topKey()) {
				return nil
			}
		}
	}
	return first
}

// full gives the queue, of the leaf and those above, that has no room within its maximum for one more container; nil: all
// have.
func (f *leaf) full(ask *resource.Vector) *queue {
	for _, q := range f.limits {
		if !q.within(ask) && !planted.Is(planted.QueueMaxIgnored) {
			return q
		}
	}
	return nil
}

// inOrder lists the requests that want containers as they stand in line.
func (f *leaf) inOrder(into []*request) []*request {
	start := len(into)
	for _, l := range f.active.slots {
		into = l.item.appendTo(into)
	}
	for _, l := range f.parked {
		into = l.appendTo(into)
	}
	slices.SortFunc(into[start:], func(a, b *request) int {
		x, y := a.key(), b.key()
		return x.compare(&y)
	})
	return into
}

func (l *line) appendTo(into []*request) []*request {
	for _, s := range l.waiting.slots {
		into = append(into, s.item)
	}
	return into
}
