package control

import (
	"cmp"
	"slices"

	"github.com/weft-fabric/weft/internal/ordered"
)

// pass brings what managers have in line with what they want: it reviews those with which something has happened, looks
// after each once in every beat, gives out shares and containers, and makes room where there is none. Whatever came since the
// one before leads to one pass, and each is done in slices, so that the loop serves its peers in between.
type pass struct {
	c      *Core
	due    bool       // something has happened since, or it is not finished
	dirty  []*manager // to be reviewed
	hungry []*manager // that were reviewed, and want more than they have
	rounds []round    // of what is to be looked after once in every beat, in their order
	sorted bool       // the hungry ones are in the order of the queues
	steps  int        // that the last slice took
	spent  int        // what the steps of the last slice were worth
}

// sliceSteps bounds what a slice does: reviews, decisions, looks for room. Each takes some microseconds, some of them some
// tens of them; one that looks through many nodes or containers counts for more.
const sliceSteps = 32

// spendPart is how many nodes or containers may be looked at in the time of a step.
const spendPart = 256

// spend notes that so many nodes or containers were looked at.
func (p *pass) spend(looked int) { p.spent += looked / spendPart }

// touch notes that what the manager has and wants is to be reviewed.
func (t *managers) touch(m *manager) {
	t.c.pass.due = true
	if !m.dirty {
		m.dirty = true
		t.c.pass.dirty = append(t.c.pass.dirty, m)
	}
}

// starves notes that a manager wants more than it has.
func (p *pass) starves(m *manager) {
	if !m.hungry {
		m.hungry, p.sorted = true, false
		p.hungry = append(p.hungry, m)
	}
}

// round looks after each of many things once, for what only time changes. It is gone a part at a time.
type round struct {
	part  int // how many are looked after in the time of a step
	begin func()
	next  func() bool // looks after the next one; false: there is none
}

// roundOf makes the round of what is in a map.
func roundOf[K cmp.Ordered, V any](part int, all *ordered.Map[K, V], look func(V)) round {
	var keys []K
	return round{
		part: part,
		begin: func() {
			if len(keys) > 0 {
				return // the round before is not over
			}
			for key := range all.All() {
				keys = append(keys, key)
			}
		},
		next: func() bool {
			if len(keys) == 0 {
				return false
			}
			v, ok := all.Get(keys[0])
			if keys = keys[1:]; len(keys) == 0 {
				keys = nil
			}
			if ok {
				look(v)
			}
			return true
		},
	}
}

func newPass(c *Core) *pass {
	const quick, slow = 8, 1
	return &pass{c: c, rounds: []round{
		roundOf(quick, &c.lobby.parties, c.lobby.lookAfter),
		roundOf(quick, &c.sessions.expiry.timed, c.sessions.expiry.lookAfter),
		roundOf(quick, &c.crew.watched, c.crew.lookAfter),
		roundOf(slow, &c.managers.byID, c.managers.lookAfter),
	}}
}

// beat has everything looked after once.
func (p *pass) beat() {
	p.due = true
	for i := range p.rounds {
		p.rounds[i].begin()
	}
}

// goRound goes on with the rounds, and says whether there was anything left of them.
func (p *pass) goRound() bool {
	for i := range p.rounds {
		r := &p.rounds[i]
		done := 0
		for done < r.part && r.next() {
			done++
		}
		if done > 0 {
			return true
		}
	}
	return false
}

// slice does a part of the pass, and leaves it due when that was not all.
func (p *pass) slice() {
	p.steps, p.spent = 0, 0
	for p.spent < sliceSteps {
		p.steps++
		p.spent++
		if p.due = p.step(); !p.due {
			return
		}
	}
}

// step does what comes next, and says whether there was anything to be done.
func (p *pass) step() bool {
	t := p.c.managers
	if p.c.hosts.changed {
		p.c.hosts.admit()
		return true
	}
	if p.goRound() {
		return true
	}
	if m := take(&p.dirty); m != nil {
		m.dirty = false
		t.review(m)
		return true
	}
	switch placement, ok, more := t.sched.NextWithin(sliceLooks); {
	case ok:
		p.c.crew.start(placement)
		return true
	case more:
		return true
	}
	if !p.sorted {
		slices.SortStableFunc(p.hungry, func(a, b *manager) int {
			one, other := a.rid(), b.rid()
			switch {
			case t.lookup.Before(one, other):
				return -1
			case t.lookup.Before(other, one):
				return 1
			}
			return 0
		})
		p.sorted = true
	}
	if m := take(&p.hungry); m != nil {
		m.hungry = false
		vacating{t}.makeRoom(m)
		return true
	}
	return false
}

// sliceLooks is how many requests a decision may look at in the time of a step.
const sliceLooks = 16

// take takes the first of a line, nil when there is none.
func take(line *[]*manager) *manager {
	if len(*line) == 0 {
		return nil
	}
	m := (*line)[0]
	(*line)[0] = nil
	if *line = (*line)[1:]; len(*line) == 0 {
		*line = nil
	}
	return m
}
