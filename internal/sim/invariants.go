package sim

import clientengine "github.com/weft-fabric/weft/internal/engine/client"

// inspector holds cores to their invariants, between their turns.
type inspector struct{ w *World }

// inspectEvery is how many turns of a core pass between two walks over all that it holds.
const inspectEvery = 32

// control holds the control core to its invariants.
func (i inspector) control(l *controlLoop) {
	w := i.w
	if w.steps[atControl]%inspectEvery != 0 {
		return
	}
	w.tally.add(Inspections)
	if err := l.core.Verify(); err != nil {
		w.fail("invariant", "%s: %v", l.actor.name, err)
	}
	w.queueing.holds(l)
}

// manager holds a manager core to its invariants.
func (i inspector) manager(l *managerLoop) {
	w := i.w
	has := l.core.Inspect()
	if has.Tasks < 0 || has.Bytes < 0 || has.Pinned < 0 {
		w.fail("invariant", "%s holds %+v", l.actor.name, has)
	}
	w.promises.ranked()
	if has.Late > 0 {
		w.tally.add(LateTurns)
	}
	if w.steps[atManager]%inspectEvery != 0 && has.Late == 0 {
		return
	}
	w.tally.add(Inspections)
	if err := l.core.Verify(); err != nil {
		w.fail("invariant", "%s: %v", l.actor.name, err)
	}
}

// client holds a client's engine to its invariants.
func (i inspector) client(c *client) {
	w := i.w
	if w.steps[atClient]%inspectEvery != 0 {
		return
	}
	w.tally.add(Inspections)
	if err := clientengine.Verify(c.engine); err != nil {
		w.fail("invariant", "%s: %v", c.process.name, err)
	}
}
