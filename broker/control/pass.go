package control

import "github.com/weft-fabric/weft/internal/ordered"

// pass brings what managers have in line with what they want: it reviews those with which something has happened, looks
// after each once in every beat, gives out shares and containers, and makes room where there is none. Whatever came since the
// one before leads to one pass, and each is done in slices, so that the loop serves its peers in between.
type pass struct {
	c      *Core
	due    bool       // something has happened since, or it is not finished
	dirty  []*manager // to be reviewed
	hungry []*manager // that were reviewed, and want more than they have
	round  []uint32   // that are to be looked after for what only time changes
	steps  int        // that the last slice took
}

// sliceSteps bounds what a slice does: reviews, decisions, looks for room. Each takes some microseconds, some of them some
// tens of them.
const sliceSteps = 64

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
		m.hungry = true
		p.hungry = append(p.hungry, m)
	}
}

// all has all managers looked after.
func (p *pass) all(managers *ordered.Map[uint32, *manager]) {
	if len(p.round) > 0 { // the last round is not over
		return
	}
	for id := range managers.All() {
		p.round = append(p.round, id)
	}
}

// slice does a part of the pass, and leaves it due when that was not all.
func (p *pass) slice() {
	for p.steps = 0; p.steps < sliceSteps; p.steps++ {
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
	if len(p.round) > 0 {
		id := p.round[0]
		p.round = p.round[1:]
		if m, ok := t.byID.Get(id); ok {
			t.lookAfter(m)
		}
		return true
	}
	if m := take(&p.dirty); m != nil {
		m.dirty = false
		t.review(m)
		return true
	}
	if placement, ok := t.sched.Next(); ok {
		p.c.crew.start(placement)
		return true
	}
	if m := take(&p.hungry); m != nil {
		m.hungry = false
		t.makeRoom(m)
		return true
	}
	return false
}

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
