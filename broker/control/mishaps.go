package control

import (
	"strings"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// keptWrecks is how many containers that died are remembered until the managers of the sessions that they held tell of it.
const keptWrecks = 256

// wrecks is what is known of the containers that died last.
type wrecks struct {
	byID  map[string]*protocol.Failure
	order []string
}

// add remembers one.
func (w *wrecks) add(f *protocol.Failure) {
	if w.byID == nil {
		w.byID = make(map[string]*protocol.Failure)
	}
	if w.byID[f.Container] == nil {
		w.order = append(w.order, f.Container)
	}
	w.byID[f.Container] = f
	if len(w.order) > keptWrecks {
		delete(w.byID, w.order[0])
		w.order = w.order[1:]
	}
}

// mishap takes what a manager tells of a hook that failed.
func (t *sessions) mishap(n *session.Mishap) {
	if s, ok := t.open.Get(n.Session); ok {
		f := n.Failure
		f.At = t.c.now
		blame(&f, f.Error)
		s.mishap = &f
		if end := t.c.crew.wrecks.byID[f.Container]; end != nil { // its agent was faster
			s.mishap = after(&f, end)
		}
	}
}

// blame says in a failure what a hook said: of a panic, the stack apart.
func blame(f *protocol.Failure, e *protocol.Error) {
	f.Error = cutError(e)
	if e == nil {
		return
	}
	first, stack, panicked := strings.Cut(e.Msg, "\n")
	if panicked && strings.HasPrefix(first, "panic: ") {
		short := *e
		short.Msg, f.Stack = first, cut(stack)
		f.Error = cutError(&short)
	}
}

// wreck is what is known of a container that is gone out of turn. s is what its agent said, if that knows.
func (w *crew) wreck(c *fleet.Container, why string, s *protocol.ContainerState) *protocol.Failure {
	f := &protocol.Failure{At: w.c.now, Container: c.ID, Node: c.NodeName()}
	if s != nil {
		f.Code, f.Signal = s.Code, cut(s.Signal)
		for _, line := range s.Output {
			f.Output = append(f.Output, cut(line))
		}
	}
	switch {
	case c.Failure == nil:
		code := protocol.CodeCreateFailed
		if c.Served {
			code = protocol.CodeUnavailable
		}
		f.Error = protocol.Errorf(code, "container "+c.ID, "%s", cut(why))
	case c.Failure.Code == protocol.CodeCreateFailed && !c.Served:
		f.Hook = "OnCreateService"
		fallthrough
	default:
		blame(f, c.Failure)
	}
	return f
}

// mourn tells the sessions of a manager how a container ended: those whose last failure was in it, and, when it was out of
// turn, those that wait for one. Those that it held are told of by their manager.
func (w *crew) mourn(m *manager, f *protocol.Failure, outOfTurn bool) {
	w.wrecks.add(f)
	for _, s := range m.sessions.All() {
		if last := s.mishap; last != nil && last.Container == f.Container || outOfTurn && s.state != session.Running {
			s.mishap = after(last, f)
		}
	}
}

// after is the end of a container as the last failure of a session: when a hook failed in it before, that is why.
func after(last, end *protocol.Failure) *protocol.Failure {
	if last == nil || last.Container != end.Container || last.Hook == "" {
		return end
	}
	both := *last
	both.Code, both.Signal, both.Output = end.Code, end.Signal, end.Output
	return &both
}

// lost notes that a session was on an instance that died.
func (t *sessions) lost(s *sess, n *session.Seat) {
	f := t.c.crew.wrecks.byID[n.Container]
	if f == nil {
		f = &protocol.Failure{
			At: t.c.now, Container: n.Container, Node: n.Node,
			Error: protocol.Errorf(protocol.CodeUnavailable, "container "+n.Container, "%s", cut(n.Reason)),
		}
	}
	s.mishap = after(s.mishap, f)
}
