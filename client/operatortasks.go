package client

import (
	"context"
	"iter"
	"strconv"

	"github.com/weft-fabric/weft/protocol"
)

// Task tells of a task of any client, by its place in its session, from 1. The error is [ErrNoSession], of
// protocol.CodeNotFound when the session has had no such task, or of protocol.CodeSessionClosed when it is over.
func (o *Operator) Task(ctx context.Context, session protocol.SessionNumber, sequence uint64) (protocol.TaskInfo, error) {
	var info protocol.TaskInfo
	a, err := o.client.request(ctx, protocol.KindGetTask, protocol.TaskRef{Session: session, Sequence: sequence})
	if err != nil {
		return info, err
	}
	err = protocol.Unmarshal(a.Kind, a.Body, &info)
	return info, err
}

// Tasks lists the unfinished tasks of a session of any client, in their order, as [Operator.Services] does.
func (o *Operator) Tasks(ctx context.Context, session protocol.SessionNumber) iter.Seq2[protocol.TaskInfo, error] {
	return pages(ctx, o.client, protocol.ListRequest{Session: session}, protocol.KindListTasks, protocol.KindTaskPage,
		func(p *protocol.TaskPage) ([]protocol.TaskInfo, string) {
			return p.Entries, after(p.Entries, p.More, func(i *protocol.TaskInfo) string { return strconv.FormatUint(i.Sequence, 10) })
		})
}

// CancelTask ends a task of any client; one that is over already is left as it is. It returns when that was begun: a task
// that was not at an instance is over, of another one [Operator.Task] tells how far it has come. The task's client gets an
// error with protocol.CodeCancelled and the reason. Errors are those of [Operator.Task].
func (o *Operator) CancelTask(ctx context.Context, session protocol.SessionNumber, sequence uint64, reason string) error {
	_, err := o.client.request(ctx, protocol.KindCancelTask, protocol.TaskRef{Session: session, Sequence: sequence, Reason: reason})
	return err
}
