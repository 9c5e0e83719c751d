package client

import (
	"errors"
	"slices"

	"github.com/rs/zerolog"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// line is a connection with its socket.
type line struct {
	id       uint32
	endpoint string
	socket   *zmqx.Socket // nil: it could not be opened
	blocked  bool         // the last Send found nobody: somebody there is news
}

// lines are the client's sockets, and what is waited for. They belong to who drives.
type lines struct {
	waiter   *zmqx.Waiter
	payloads *zmqx.Payloads
	logger   zerolog.Logger
	list     []*line
	failed   []uint32 // connections that nobody is at the other end of
	met      []uint32 // those where somebody is again
}

// report tells of what failed and what can be reached since the last call.
func (n *lines) report(failed, met func(conn uint32)) {
	for _, id := range n.failed {
		failed(id)
	}
	for _, id := range n.met {
		met(id)
	}
	n.failed, n.met = n.failed[:0], n.met[:0]
}

// of gives the line of a socket that may have something; nil when it was replaced.
func (n *lines) of(s *zmqx.Socket) *line {
	for _, l := range n.list {
		if l.socket == s {
			if l.blocked {
				l.blocked = false
				n.met = append(n.met, l.id)
			}
			return l
		}
	}
	return nil
}

// send sends one frame. What cannot leave is the engine's to send again, and so is what comes after it.
func (n *lines) send(d *departure) {
	if slices.Contains(n.failed, d.conn) {
		d.unsent = true
		return
	}
	i := slices.IndexFunc(n.list, func(l *line) bool { return l.id == d.conn })
	if i < 0 || n.list[i].socket == nil {
		d.unsent = true
		n.failed = append(n.failed, d.conn)
		return
	}
	l := n.list[i]
	switch err := l.socket.Send(0, d.records, d.payloads); {
	case err == nil:
		l.blocked = false
	case errors.Is(err, zmqx.ErrAgain):
		l.blocked, d.unsent = true, true
		n.failed = append(n.failed, l.id)
	default:
		n.fail(l, err)
	}
}

// open opens the socket of a new connection.
func (n *lines) open(d engine.Dial) {
	l := &line{id: d.Conn, endpoint: d.Endpoint}
	n.list = append(n.list, l)
	n.openSocket(l)
}

func (n *lines) openSocket(l *line) {
	s, err := zmqx.NewDealer(n.payloads, zmqx.Options{MaxRecords: protocol.MaxRecords, Linger: lingerFor})
	if err == nil {
		if err = s.Connect(l.endpoint); err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}
	if err != nil {
		n.logger.Error().Str("endpoint", l.endpoint).Err(err).Msg("cannot connect")
	}
	l.socket, l.blocked = s, false
	n.setSockets()
}

// fail replaces a socket that is of no more use.
func (n *lines) fail(l *line, why error) {
	n.logger.Warn().Str("endpoint", l.endpoint).Err(why).Msg("opening a socket anew")
	n.failed = append(n.failed, l.id)
	n.closeSocket(l)
	n.openSocket(l)
}

// redial opens a socket anew whose connection leads to nobody.
func (n *lines) redial(id uint32) {
	if i := slices.IndexFunc(n.list, func(l *line) bool { return l.id == id }); i >= 0 {
		n.closeSocket(n.list[i])
		n.openSocket(n.list[i])
	}
}

func (n *lines) hangUp(id uint32) {
	if i := slices.IndexFunc(n.list, func(l *line) bool { return l.id == id }); i >= 0 {
		l := n.list[i]
		n.list = slices.Delete(n.list, i, i+1)
		n.closeSocket(l)
	}
}

// closeSocket closes a socket that nobody waits for any more.
func (n *lines) closeSocket(l *line) {
	s := l.socket
	if s == nil {
		return
	}
	l.socket = nil
	n.setSockets()
	if err := s.Close(); err != nil {
		n.logger.Warn().Str("endpoint", l.endpoint).Err(err).Msg("closing a socket")
	}
}

func (n *lines) closeAll() {
	for _, l := range n.list {
		n.closeSocket(l)
	}
	n.list = nil
}

func (n *lines) setSockets() {
	sockets := make([]*zmqx.Socket, 0, len(n.list))
	for _, l := range n.list {
		if l.socket != nil {
			sockets = append(sockets, l.socket)
		}
	}
	n.waiter.SetSockets(sockets...)
}
