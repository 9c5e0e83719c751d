package sim

import "time"

// clockUnit is the rate of a clock that goes as the world's does.
const clockUnit = 1024

// clock is what a process takes for the time, which is not the time of the world, nor that of another process: it is some
// days off, may go faster or slower, jump ahead, and stand still with its process. It never goes back.
type clock struct {
	since int64 // when it was set last, in the world's time
	shown int64 // what it showed then
	rate  int64 // by 1024ths of the world's
	wild  bool  // it is not the world's
}

// reads is what the clock shows at a time of the world.
func (c *clock) reads(at int64) int64 {
	if !c.wild {
		return at
	}
	return c.shown + (at-c.since)*c.rate/clockUnit
}

// when is the first time of the world at which the clock shows at least this.
func (c *clock) when(shown int64) int64 {
	if !c.wild {
		return shown
	}
	return c.since + ((shown-c.shown)*clockUnit+c.rate-1)/c.rate
}

// set has the clock show something else from now on, and go at a rate.
func (c *clock) set(at, shown, rate int64) {
	*c = clock{since: at, shown: shown, rate: rate, wild: true}
}

// jump moves the clock by so much.
func (c *clock) jump(at int64, by time.Duration) {
	rate := c.rate
	if !c.wild {
		rate = clockUnit
	}
	c.set(at, c.reads(at)+int64(by), rate)
}

// now is the time by the clock of the process.
func (p *process) now() time.Time {
	if !p.clock.wild {
		return p.w.now
	}
	return epochOfTime.Add(time.Duration(p.clock.reads(p.w.at)))
}

// drawClock gives a new process its clock.
func (w *World) drawClock(p *process) {
	if !w.plan.on.Has(Clocks) {
		return
	}
	s := &w.drawFault
	off := s.span(-48*time.Hour, 48*time.Hour)
	rate := int64(clockUnit)
	if s.n(2) == 0 && !w.healing {
		rate = int64(s.between(clockUnit*7/10, clockUnit*14/10)) // two of them go up to twice as fast as each other
		w.tally.add(ClocksOff)
	}
	p.clock.set(w.at, w.at+int64(off), rate)
}

// jumpClock has the clock of some process jump ahead.
func (c *chaos) jumpClock() {
	w := c.w
	p := c.victim()
	if p == nil || !p.alive || p.paused > w.at {
		return
	}
	length := w.drawFault.span(10*time.Millisecond, w.plan.pauseFor)
	p.clock.jump(w.at, length)
	w.tally.add(ClockJumps)
	c.suffers(length)
	c.silences(c.hostOf(p), length)
	if s, ok := p.owner.(*client); ok && length > 2*time.Second { // it waits less for what is on its way
		s.place.doubted = max(s.place.doubted, w.at+int64(w.plan.clientGrace))
	}
	if w.tracing {
		w.trace("the clock of %s jumps ahead by %v", p.name, length)
	}
	p.rouse()
}

// haste is how much sooner than it says a time-out may come by the clock of another process.
func (w *World) haste() time.Duration {
	if w.plan.on.Has(Clocks) {
		return 2
	}
	return 1
}
