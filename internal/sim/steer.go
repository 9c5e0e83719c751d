package sim

import (
	"cmp"
	"slices"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// helm is how an application steers what it has begun: its sessions, and tasks.
type helm struct{ *app }

// steer asks for something that can be done with a session. A broker that takes over may find another session under the
// number.
func (a helm) steer() {
	w := a.c.w
	s := a.pick(func(s *appSession) bool { return s.opened && s.session.Number() != 0 })
	if s == nil {
		return
	}
	action := pick(&w.drawApp, protocol.SteerStop, protocol.SteerAccept, protocol.SteerSuspend, protocol.SteerResume, protocol.SteerResume)
	if action == protocol.SteerStop {
		w.halted[s.session.Number()] = true
	}
	a.steerTo(s, action)
}

func (a helm) steerTo(s *appSession, action string) {
	a.c.w.tally.add(Steered)
	a.ask(protocol.KindSteerSession, protocol.SteerSession{Session: s.session.Number(), Action: action}, nil)
}

// putRight has the sessions go on that were held up, again and again until they have: whoever it was that held them up.
func (a helm) putRight() {
	w := a.c.w
	if !w.plan.on.Has(Steering) {
		return
	}
	for _, s := range a.sessions {
		if s.opened && (s.open > 0 || engine.Awaited(s.session) > 0) && s.session.Number() != 0 && (s.righted == 0 || w.at-s.righted > int64(10*time.Second)) {
			s.righted = w.at
			a.steerTo(s, protocol.SteerResume)
			a.steerTo(s, protocol.SteerAccept)
		}
	}
}

// query asks for the tasks of some session, or for one of them.
func (a helm) query() {
	w := a.c.w
	place := w.seats[w.drawApp.n(len(w.seats))]
	if place.client == nil || len(place.client.app.sessions) == 0 {
		return
	}
	s := place.client.app.sessions[w.drawApp.n(len(place.client.app.sessions))]
	switch number := s.session.Number(); {
	case number == 0:
	case w.drawApp.n(2) == 0:
		a.ask(protocol.KindListTasks, protocol.ListRequest{Session: number, Limit: w.drawApp.between(1, 50)}, nil)
	default:
		a.ask(protocol.KindGetTask, protocol.TaskRef{Session: number, Sequence: uint64(w.drawApp.between(1, 50))}, nil)
	}
}

// told judges what a session manager says of tasks.
func (k *checker) told(who string, kind protocol.Kind, body []byte) {
	if kind == protocol.KindGetTask {
		var t protocol.TaskInfo
		if err := protocol.Unmarshal(protocol.KindTaskInfo, body, &t); err != nil || t.State == "" {
			k.w.fail("answer", "%s asks for a task, and gets %+v: %v", who, t, err)
		}
		return
	}
	var page protocol.TaskPage
	if err := protocol.Unmarshal(protocol.KindTaskPage, body, &page); err != nil {
		k.w.fail("answer", "%s gets a list of tasks that cannot be read: %v", who, err)
		return
	}
	byPlace := func(x, y protocol.TaskInfo) int { return cmp.Compare(x.Sequence, y.Sequence) }
	if !slices.IsSortedFunc(page.Entries, byPlace) {
		k.w.fail("answer", "%s gets a list of tasks that is not in order", who)
	}
	for _, t := range page.Entries {
		if t.State == "" || t.State == protocol.TaskOver {
			k.w.fail("answer", "%s is told of %+v as unfinished", who, t)
		}
	}
}
