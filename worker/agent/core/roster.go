package core

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/fsm"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// roster is the containers of the node, by their ids. It knows nothing of brokers: what changes a container returns it
// when its leader is to be told, and nil when not.
type roster struct {
	table      *fsm.Table[State, Change]
	containers ordered.Map[string, *container]
	do         *actions
}

func newRoster(do *actions) *roster { return &roster{table: Containers(), do: do} }

// list gives the state of each.
func (r *roster) list() []protocol.Container {
	var all []protocol.Container
	for id, k := range r.containers.All() {
		all = append(all, protocol.Container{ID: id, Service: k.service, State: k.state.wire()})
	}
	return all
}

// running gives the ids of those that have a process.
func (r *roster) running() []string {
	var ids []string
	for id, k := range r.containers.All() {
		if k.state == Running || k.state == Stopping {
			ids = append(ids, id)
		}
	}
	return ids
}

// ended says whether all have.
func (r *roster) ended() bool {
	for _, k := range r.containers.All() {
		if k.state != Ended {
			return false
		}
	}
	return true
}

// abandon notes those that have not ended in time.
func (r *roster) abandon() {
	for id, k := range r.containers.All() {
		if k.state != Ended {
			r.do.note(NoteForced, "", id, "has not ended in time")
		}
	}
}

// start has a container started. Of one that was ordered before, the leader is told how it fares, unless the answer
// follows in any case.
func (r *roster) start(body protocol.StartContainer) *container {
	k, known := r.containers.Get(body.ID)
	switch {
	case !known:
		r.containers.Set(body.ID, &container{id: body.ID, state: Starting, service: body.Service})
		r.do.starts = append(r.do.starts, body)
		return nil
	case k.state == Starting:
		return nil
	default:
		return k
	}
}

// decline is start while the agent is ending: a container that is not there yet is over at once.
func (r *roster) decline(body protocol.StartContainer) *container {
	if _, known := r.containers.Get(body.ID); known {
		return r.start(body)
	}
	k := &container{id: body.ID, state: Ended, service: body.Service}
	k.last.Error = protocol.Errorf(protocol.CodeUnavailable, "start container "+body.ID, "the agent is ending")
	k.last.Reason = k.last.Error.Error()
	r.containers.Set(body.ID, k)
	return k
}

// stop orders a container's end.
func (r *roster) stop(k *container, grace time.Duration) *container {
	before := k.state
	if !r.change(k, OrderStop) {
		return nil
	}
	switch k.state {
	case Stopping:
		r.do.stops = append(r.do.stops, Stop{ID: k.id, Grace: grace})
	case Abandoned:
		if before == Starting || grace < k.grace {
			k.grace = grace
		}
	case Starting, Running, Ended:
	}
	return k
}

// change moves a container along its table, and says whether it may.
func (r *roster) change(k *container, by Change) bool {
	next, ok := r.table.Next(k.state, by)
	if !ok {
		r.do.note(NoteIgnored, "", k.id, fmt.Sprintf("%v while %v: %s", by, k.state, r.table.Refusal(k.state, by)))
		return false
	}
	k.state = next
	return true
}

// known gives the container that an event of the shell is about, moved along its table; nil when there is none, or it
// may not move.
func (r *roster) known(id string, by Change) *container {
	k, ok := r.containers.Get(id)
	if !ok {
		r.do.note(NoteIgnored, "", id, by.String()+": no such container")
		return nil
	}
	if !r.change(k, by) {
		return nil
	}
	return k
}

func (r *roster) started(e Started) *container {
	k := r.known(e.ID, HasStarted)
	if k == nil {
		return nil
	}
	k.last.PID = e.PID
	r.do.note(NoteStarted, "", e.ID, fmt.Sprintf("%s, process %d", k.service, e.PID))
	if k.state == Stopping {
		r.do.stops = append(r.do.stops, Stop{ID: e.ID, Grace: k.grace})
	}
	return k
}

func (r *roster) failed(e StartFailed) *container {
	k := r.known(e.ID, HasFailed)
	if k == nil {
		return nil
	}
	k.last.Error, k.last.Reason = e.Error, e.Error.Error()
	r.do.note(NoteEnded, "", e.ID, k.service+": "+k.last.Reason)
	return k
}

func (r *roster) exited(e Exited) *container {
	k := r.known(e.ID, HasExited)
	if k == nil {
		return nil
	}
	k.last.Code, k.last.Signal, k.last.Reason, k.last.Output = e.Code, e.Signal, e.Reason, e.Output
	r.do.note(NoteEnded, "", e.ID, k.service+": "+e.Reason)
	return k
}
