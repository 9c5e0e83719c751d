package client

import (
	"context"

	"github.com/weft-fabric/weft/protocol"
)

// SessionStats gives what was counted of a session of any client, which is open, or over and still known to the broker. The
// error is [ErrNoSession], or of protocol.CodeUnavailable when its session manager does not answer.
func (o *Operator) SessionStats(ctx context.Context, number protocol.SessionNumber) (protocol.Stats, error) {
	return o.stats(ctx, protocol.GetStats{Session: number})
}

// ServiceStats gives what was counted of all sessions of a service, or of one version of it, since it was registered or the
// broker was started. The error is [ErrNoService], or of protocol.CodeUnavailable when one of its session managers does not
// answer.
func (o *Operator) ServiceStats(ctx context.Context, name, version string) (protocol.Stats, error) {
	return o.stats(ctx, protocol.GetStats{Service: name, Version: version})
}

func (o *Operator) stats(ctx context.Context, of protocol.GetStats) (s protocol.Stats, err error) {
	a, err := o.client.request(ctx, protocol.KindGetStats, of)
	switch {
	case err != nil:
	case a.Kind != protocol.KindStats:
		err = protocol.Errorf(protocol.CodeMalformed, protocol.KindGetStats.String(), "answered by %s, not by %s", a.Kind, protocol.KindStats)
	default:
		err = protocol.Unmarshal(a.Kind, a.Body, &s)
	}
	return s, err
}
