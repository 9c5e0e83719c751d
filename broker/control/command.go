package control

import (
	"github.com/weft-fabric/weft/protocol"
)

// Command is a request of an operator who has no connection of his own: somebody in the broker's process has it for him.
// It is served as if a client had sent it. Exactly one [Answer] with its ID follows, in this batch or a later one.
type Command struct {
	ID   uint64 // of the answer; not 0
	By   string // who asks, for people
	Kind protocol.Kind
	Body []byte // as on the wire
}

// Answer is the answer to a [Command] or to a [Survey].
type Answer struct {
	ID    uint64
	After uint64 // it must not be told before this position is durable; 0: at once
	Kind  protocol.Kind
	Body  []byte // as on the wire
	// Census is what a survey found; nil for a command.
	Census *Census
}

func (Command) event() {}
func (Survey) event()  {}

// Commands gives the kinds that a [Command] may have, in ascending order: all requests of clients but those that are
// about a client's own connection.
func Commands() []protocol.Kind {
	var all []protocol.Kind
	for _, k := range protocol.Kinds() {
		if isCommand(k) {
			all = append(all, k)
		}
	}
	return all
}

func isCommand(k protocol.Kind) bool {
	switch k {
	case protocol.KindOpenSession, protocol.KindAttachSession, protocol.KindDetachSession:
		return false
	default:
		h, ok := handlerOf(k)
		return ok && h.role == protocol.RoleClient
	}
}

// command serves a command.
func (c *Core) command(ev Command) {
	p := &party{hello: protocol.Hello{Role: protocol.RoleClient, Name: ev.By}}
	err := error(nil)
	if isCommand(ev.Kind) {
		err = serve(c, p, &protocol.Record{Kind: ev.Kind, Task: ev.ID, Payload: ev.Body})
	} else {
		err = protocol.Errorf(protocol.CodePermission, ev.Kind.String(), "only a peer with a connection of its own may send it")
	}
	if err != nil {
		p.refuse(c.out, ev.ID, err)
	}
}

// answer appends the answer to a command.
func (o *outbox) answer(position uint64, kind protocol.Kind, id uint64, payload []byte) {
	o.answers = append(o.answers, Answer{ID: id, After: o.gate(position), Kind: kind, Body: payload})
}
