package instance

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// lines is the two lines of an instance, and what is known of where they have to lead.
type lines struct {
	cfg    *Config
	orders *orders
	wires  [Lines]wire
	choice int            // index of the control endpoint in use
	epoch  protocol.Epoch // the highest that was heard
	refer  string         // where the service is served; empty when unknown
	beatAt time.Time

	beatEvery time.Duration
}

func (l *lines) at(line Line) *wire { return &l.wires[line] }

// start dials the first control endpoint.
func (l *lines) start(now time.Time) {
	l.beatAt = now.Add(l.beatEvery)
	l.dial(now, Control, l.cfg.Endpoints[0])
}

// dial leads a line to an endpoint and says HELLO there. A conversation that it had goes on there, if the other end
// knows of it.
func (l *lines) dial(now time.Time, line Line, endpoint string) {
	w := l.at(line)
	w.link.Lost()
	w.endpoint, w.heard, w.wait, w.refused = endpoint, now, 0, false
	l.orders.add(Order{Kind: Dial, Line: line, Endpoint: endpoint})
	w.greet(now)
}

// broken dials a line again.
func (l *lines) broken(now time.Time, line Line) {
	w := l.at(line)
	if !w.live() {
		return
	}
	w.link.Lost()
	l.orders.add(Order{Kind: Dial, Line: line, Endpoint: w.endpoint})
	w.greetSoon(now)
}

// follow dials the manager if the instance was referred to one.
func (l *lines) follow(now time.Time) {
	if !l.at(Data).live() && l.refer != "" {
		l.dial(now, Data, l.refer)
	}
}

// hangUp gives up the data line.
func (l *lines) hangUp() {
	w := l.at(Data)
	w.link.Restart()
	w.endpoint, w.greetAt, w.opened = "", time.Time{}, false
	l.orders.add(Order{Kind: HangUp, Line: Data})
}

// adopt takes a higher epoch over and says whether it is the first.
func (l *lines) adopt(epoch protocol.Epoch) (first bool) {
	first = l.epoch == 0
	l.epoch = epoch
	for i := range l.wires {
		l.wires[i].node.Epoch = epoch
	}
	if !first {
		l.refer = ""
	}
	return first
}

// referred takes the word of where the service is served; ok is false when it is of no worth. It says whether the data
// line leads elsewhere.
func (l *lines) referred(refer protocol.Refer) (moved, ok bool) {
	if refer.Epoch < l.epoch || refer.Endpoint == "" {
		return false, false
	}
	l.refer = refer.Endpoint
	data := l.at(Data)
	return data.live() && data.endpoint != refer.Endpoint, true
}

// wait says whether an acknowledgement can be expected on any line.
func (l *lines) wait() bool { return l.at(Control).waits() || l.at(Data).waits() }

// deadline is when [lines.tick] is next to be called.
func (l *lines) deadline() time.Time {
	return sooner(sooner(l.beatAt, l.at(Control).greetAt), l.at(Data).greetAt)
}

// tick says HELLO and sends signs of life where that is due.
func (l *lines) tick(now time.Time) {
	for i := range l.wires {
		w := &l.wires[i]
		if !w.greetAt.IsZero() && !now.Before(w.greetAt) {
			w.greet(now)
		}
	}
	if now.Before(l.beatAt) {
		return
	}
	l.beatAt = now.Add(l.beatEvery)
	for i := range l.wires {
		l.wires[i].beat(now)
	}
	l.tryNext(now)
}

// hurry has signs of life sent as often as the other end of a line wants, if that is more often than before.
func (l *lines) hurry(now time.Time, heartbeat time.Duration) {
	if every := heartbeat / 2; every > 0 && every < l.beatEvery {
		l.beatEvery = every
		l.beatAt = sooner(l.beatAt, now.Add(every))
	}
}

// tryNext dials the next control endpoint when the one in use does not answer.
func (l *lines) tryNext(now time.Time) {
	w := l.at(Control)
	patience := w.timeout
	if !w.opened {
		patience = switchAfter
	}
	if n := len(l.cfg.Endpoints); n > 1 && !w.link.Up() && now.Sub(w.heard) >= patience {
		l.choice = (l.choice + 1) % n
		w.opened = false
		l.dial(now, Control, l.cfg.Endpoints[l.choice])
	}
}
