package client

import (
	"context"
	"iter"

	"github.com/weft-fabric/weft/protocol"
)

// Resources is what operators do about resources: queues, nodes, and why what is wanted is not there. Every [Client] is
// one. It is safe for concurrent use.
type Resources struct{ via *Client }

// ApplyQueues replaces the tree of queues and the shapes of containers while everything runs, or with DryRun only says what
// would change. It is all or nothing: the error is [ErrInvalid] and names each fault in a line, or of protocol.CodeInUse and
// names the services that stand in queues which would be gone.
func (r *Resources) ApplyQueues(ctx context.Context, queues protocol.ApplyQueues) (protocol.QueuesApplied, error) {
	var applied protocol.QueuesApplied
	err := fetch(ctx, r.via, protocol.KindApplyQueues, queues, protocol.KindQueuesApplied, &applied)
	return applied, err
}

// Queues lists the queues, parents before their children and siblings as they were defined, as [Operator.Services] does. Of
// the filter counts Name.
func (r *Resources) Queues(ctx context.Context, f Filter) iter.Seq2[protocol.QueueInfo, error] {
	return pages(ctx, r.via, f.request(), protocol.KindListQueues, protocol.KindQueuePage,
		func(p *protocol.QueuePage) ([]protocol.QueueInfo, string) {
			return p.Entries, after(p.Entries, p.More, func(i *protocol.QueueInfo) string { return i.Queue.Name })
		})
}

// Shapes gives the shapes of containers by their names.
func (r *Resources) Shapes(ctx context.Context) (protocol.Shapes, error) {
	var page protocol.QueuePage
	err := fetch(ctx, r.via, protocol.KindListQueues, protocol.ListRequest{Limit: 1}, protocol.KindQueuePage, &page)
	return page.Shapes, err
}

// DrainQueue has a queue, and those below it, take no new sessions, or with undo take them again. Sessions that are open
// go on. The error is of protocol.CodeNotFound when there is no such queue.
func (r *Resources) DrainQueue(ctx context.Context, name string, undo bool) error {
	_, err := r.via.request(ctx, protocol.KindDrainQueue, protocol.DrainQueue{Name: name, Undo: undo})
	return err
}

// CordonNode has a node take no new containers, or, when on is false, take them again. Containers that it has go on. The
// error is of protocol.CodeNotFound when there is no such node.
func (r *Resources) CordonNode(ctx context.Context, name string, on bool, reason string) error {
	_, err := r.via.request(ctx, protocol.KindCordonNode, protocol.CordonNode{Name: name, On: on, Reason: reason})
	return err
}

// Overview gives the state of the fabric at a glance.
func (r *Resources) Overview(ctx context.Context) (protocol.Overview, error) {
	var o protocol.Overview
	err := fetch(ctx, r.via, protocol.KindGetOverview, nil, protocol.KindOverview, &o)
	return o, err
}

// Explain says what a session, or a service, waits for, and why. The error is [ErrNoSession], [ErrNoService], or [ErrInvalid]
// when of names neither or both.
func (r *Resources) Explain(ctx context.Context, of protocol.Explain) (protocol.Explained, error) {
	var e protocol.Explained
	err := fetch(ctx, r.via, protocol.KindExplain, of, protocol.KindExplained, &e)
	return e, err
}
