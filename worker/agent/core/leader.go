package core

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

const (
	statusEvery = protocol.Heartbeat
	// registerAgain is how long after a refused registration the next is tried.
	registerAgain = 2 * time.Second
	nobody        = -1
)

// leader is which broker is obeyed, and what it was told and has taken note of.
type leader struct {
	at     int // its place among the brokers; nobody before the first welcome
	node   protocol.RegisterNode
	lines  *lines
	roster *roster
	do     *actions

	usage       protocol.NodeStatus
	reports     map[uint64]string // containers by the id of their last report
	nextID      uint64
	registering uint64    // id of the registration under way; 0 none
	registered  bool      // it knows the node
	registerAt  time.Time // when a refused registration is tried again; zero: none was refused
	nextStatus  time.Time
}

func newLeader(now time.Time, node protocol.RegisterNode, lines *lines, roster *roster, do *actions) *leader {
	return &leader{
		at: nobody, node: node, lines: lines, roster: roster, do: do,
		reports: map[uint64]string{}, nextStatus: now.Add(statusEvery),
	}
}

// broker is the leader's line; there has to be a leader.
func (l *leader) broker() *broker { return l.lines.brokers[l.at] }

// welcomed says that broker i welcomed the agent. It leads from now on when it has the highest epoch; the node is
// registered with a leader that is new, or forgot what was said before.
func (l *leader) welcomed(i int, resumed bool) {
	if l.at == i && resumed {
		return
	}
	if l.at == i || l.at == nobody || l.lines.brokers[i].epoch > l.broker().epoch {
		l.at = i
		l.register()
	}
}

// register tells the leader of the node and its containers, and again of every container's last change that no broker
// has taken note of. What was asked of another broker, or of another process, is void.
func (l *leader) register() {
	l.registered = false
	l.registerAt = time.Time{}
	clear(l.reports)
	body := l.node
	body.Containers = l.roster.list()
	l.registering = l.newID()
	l.send(protocol.KindRegisterNode, l.registering, body)
	for _, k := range l.roster.containers.All() {
		if k.reported != 0 && !planted.Is(planted.ExitUnreported) {
			l.report(k)
		}
	}
}

// done takes the answer to the request with this id.
func (l *leader) done(id uint64) {
	if id == 0 || id != l.registering {
		l.acknowledged(id)
		return
	}
	l.registering, l.registered = 0, true
	l.lines.lastRefusal = ""
	l.do.note(NoteRegistered, l.broker().endpoint, "", fmt.Sprintf("with %d containers", l.roster.containers.Len()))
}

// refused takes the refusal of the request with this id; 0 is a status, which says that the leader has forgotten the node.
func (l *leader) refused(now time.Time, id uint64) {
	switch id {
	case 0:
		if l.registered {
			l.registered = false
			l.registerAt = now.Add(registerAgain)
		}
	case l.registering:
		l.registering = 0
		l.registerAt = now.Add(registerAgain)
	default:
		l.acknowledged(id)
	}
}

// acknowledged takes the answer to a report; a container that is over is then forgotten.
func (l *leader) acknowledged(report uint64) {
	id, ok := l.reports[report]
	if !ok {
		return
	}
	delete(l.reports, report)
	k, ok := l.roster.containers.Get(id)
	if !ok || k.reported != report {
		return
	}
	k.reported = 0
	if k.state == Ended {
		l.roster.containers.Delete(id)
	}
}

// tick does what is due at now.
func (l *leader) tick(now time.Time) {
	if !l.registerAt.IsZero() && !now.Before(l.registerAt) {
		l.register()
	}
	if !now.Before(l.nextStatus) {
		l.nextStatus = now.Add(statusEvery)
		l.status()
	}
}

// deadline is when tick has something to do.
func (l *leader) deadline() time.Time {
	if l.registerAt.IsZero() {
		return l.nextStatus
	}
	return sooner(l.nextStatus, l.registerAt)
}

// status tells the leader how the node fares.
func (l *leader) status() {
	if !l.registered || !l.broker().link.Up() {
		return
	}
	body := l.usage
	body.Containers = l.roster.running()
	l.send(protocol.KindNodeStatus, 0, body)
}

// report tells the leader of a container's present state; it is kept until it was answered.
func (l *leader) report(k *container) {
	k.last.ID, k.last.State = k.id, k.state.wire()
	k.reported = l.newID()
	l.reports[k.reported] = k.id
	l.send(protocol.KindContainerState, k.reported, k.last)
}

// unknown tells the leader that there is no such container.
func (l *leader) unknown(id string) {
	l.send(protocol.KindContainerState, l.newID(), protocol.ContainerState{
		ID: id, State: protocol.ContainerExited, Reason: "this agent has no such container",
	})
}

// send appends a record to the leader's link.
func (l *leader) send(kind protocol.Kind, id uint64, body any) {
	l.broker().link.Append(kind, 0, id, protocol.Marshal(body))
}

func (l *leader) newID() uint64 {
	l.nextID++
	return l.nextID
}
