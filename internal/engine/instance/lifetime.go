package instance

import "time"

// lifetime is how far an instance has come in its life, and when its end is due.
type lifetime struct {
	state State
	err   error // the first that was blamed

	created   progress  // OnCreateService
	destroyed progress  // OnDestroyService
	farewell  bool      // BYE was said
	forced    bool      // hooks are not waited for, and none is begun
	stopAt    time.Time // when draining began
	graceAt   time.Time // when contexts of hooks end; zero: not pending
	flushAt   time.Time // when a leaving instance waits no longer
}

type progress uint8

const (
	notBegun progress = iota
	underWay
	done
)

// take moves the instance in its table and says whether it is in another state now.
func (l *lifetime) take(ev Event) bool {
	next, ok := life.Next(l.state, ev)
	if !ok || next == l.state {
		return false
	}
	l.state = next
	return true
}

// blame notes why the instance ends; the first reason counts.
func (l *lifetime) blame(err error) {
	if l.err == nil {
		l.err = err
	}
}

// windUp starts the clock of the hooks' grace when an instance is first on its way out, and says whether it did.
func (l *lifetime) windUp(now time.Time, grace time.Duration) bool {
	if l.state != Draining && l.state != Leaving || !l.graceAt.IsZero() || !l.stopAt.IsZero() {
		return false
	}
	l.stopAt, l.graceAt = now, now.Add(grace)
	return true
}

// graceEnds says, once, that the hooks' grace is over.
func (l *lifetime) graceEnds(now time.Time) bool {
	if l.graceAt.IsZero() || now.Before(l.graceAt) {
		return false
	}
	l.graceAt = time.Time{}
	return true
}

// beginCreate says, once, that OnCreateService is to run.
func (l *lifetime) beginCreate() bool {
	if l.state != Creating || l.created != notBegun {
		return false
	}
	l.created = underWay
	return true
}

// beginDestroy says, once, that OnDestroyService is to run in an idle instance.
func (l *lifetime) beginDestroy() bool {
	if l.state != Leaving || l.created != done || l.destroyed != notBegun {
		return false
	}
	l.destroyed = underWay
	return true
}

// undone says whether nothing is left of what OnCreateService made.
func (l *lifetime) undone() bool {
	return l.created != underWay && (l.created != done || l.destroyed == done)
}

// sayFarewell says, once, that BYE is to be said, and starts the clock for its acknowledgement.
func (l *lifetime) sayFarewell(now time.Time) bool {
	if l.farewell {
		return false
	}
	l.farewell, l.flushAt = true, now.Add(flushWait)
	return true
}

// deadline is when something of the life is due; zero: nothing is.
func (l *lifetime) deadline() time.Time {
	if l.farewell {
		return sooner(l.flushAt, l.graceAt)
	}
	return l.graceAt
}

// sooner is the earlier of two times, of which a zero one never comes.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
