package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/weft-fabric/weft/protocol"
)

// DeadLetters lists the tasks of all clients that were given up after their attempts, and that the broker keeps, the
// oldest first and as [Operator.Services] does. Of the filter count Service, Version, Environment and Session. The
// sessions' parameters are left out: [Operator.DeadLetter] gives them.
func (o *Operator) DeadLetters(ctx context.Context, f Filter) iter.Seq2[protocol.DeadLetter, error] {
	return pages(ctx, o.client, f.request(), protocol.KindListDead, protocol.KindDeadPage,
		func(p *protocol.DeadPage) ([]protocol.DeadLetter, string) {
			return p.Entries, after(p.Entries, p.More, func(l *protocol.DeadLetter) string { return strconv.FormatUint(l.ID, 10) })
		})
}

// LostDeadLetters is how many tasks the broker has dropped from its dead-letter list because it was full.
func (o *Operator) LostDeadLetters(ctx context.Context) (uint64, error) {
	var page protocol.DeadPage
	err := fetch(ctx, o.client, protocol.KindListDead, protocol.ListRequest{Limit: 1}, protocol.KindDeadPage, &page)
	return page.Dropped, err
}

// DeadLetter gives an entry of the dead-letter list with the payload of its task, which the caller owns. The error is of
// protocol.CodeNotFound when it is not there (any more).
func (o *Operator) DeadLetter(ctx context.Context, id uint64) (protocol.DeadLetter, []byte, error) {
	var payload []byte
	for {
		var part protocol.DeadPart
		err := fetch(ctx, o.client, protocol.KindGetDead, protocol.GetDead{ID: id, Offset: int64(len(payload))}, protocol.KindDeadPart, &part)
		if err != nil {
			return protocol.DeadLetter{}, nil, err
		}
		payload = append(payload, part.Payload...)
		if !part.More {
			return part.Letter, payload, nil
		}
	}
}

// RetryDeadLetter runs the task of an entry of the dead-letter list again, in a session of this client that is opened for
// it with the service, version, environment, name and parameters of the first, and gives its result. The entry is dropped
// when the task succeeded, and when it was given up again, for which there is a new entry that the error names. The error is
// of protocol.CodeNotFound when the entry is not there (any more), or that of the session or of the task.
func (o *Operator) RetryDeadLetter(ctx context.Context, id uint64) (result []byte, err error) {
	l, payload, err := o.DeadLetter(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := o.client.OpenSession(ctx, l.Service, WithVersion(l.Version), WithEnvironment(l.Environment),
		WithSessionName(l.SessionName), WithParameters(l.Parameters))
	if err != nil {
		return nil, err
	}
	result, err = s.Call(ctx, payload)
	closed := s.Close(context.WithoutCancel(ctx)) // then the list has the new entry, if there is one
	switch {
	case err == nil:
		_, err = o.DropDeadLetters(ctx, protocol.DropDead{IDs: []uint64{id}})
		return result, errors.Join(closed, err)
	case errors.Is(err, ErrAttemptsSpent), errors.Is(err, ErrHostLossSpent):
		err = o.supersede(ctx, id, s.Number(), err)
	}
	return nil, errors.Join(err, closed)
}

// supersede drops an entry for which there is another one, of the session, and says so in the error.
func (o *Operator) supersede(ctx context.Context, id uint64, by protocol.SessionNumber, why error) error {
	for l, err := range o.DeadLetters(ctx, Filter{Session: by}) {
		if err == nil {
			_, err = o.DropDeadLetters(ctx, protocol.DropDead{IDs: []uint64{id}})
		}
		if err != nil {
			return errors.Join(why, err)
		}
		return fmt.Errorf("given up again, as number %d of the dead-letter list: %w", l.ID, why)
	}
	return why
}

// DropDeadLetters takes entries off the dead-letter list, and gives how many; what is named beside IDs narrows it. One that
// was dropped before is of no effect, and a service that has none is no error. The error is [ErrInvalid] when nothing is named,
// or of protocol.CodeNotFound for an id that there never was.
func (o *Operator) DropDeadLetters(ctx context.Context, which protocol.DropDead) (int, error) {
	var dropped protocol.DeadDropped
	err := fetch(ctx, o.client, protocol.KindDropDead, which, protocol.KindDeadDropped, &dropped)
	return dropped.Count, err
}
