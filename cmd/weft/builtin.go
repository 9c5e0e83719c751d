package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// closePatience is how long the end of a session is waited for.
	closePatience = 10 * time.Second
	// lookEvery is the time between two looks at why a session has no results yet.
	lookEvery = time.Second
	// nodeLost is the state of a node that does not answer.
	nodeLost = "lost"
)

// fabric is a connection to the broker for a command that uses a built-in service.
type fabric struct {
	*client.Client
	a       *app
	service string
	version string
	alive   []protocol.NodeInfo // nodes that could run it
	lost    []string            // nodes that are known and do not answer
}

// connect connects to the broker and looks at the nodes.
func (a *app) connect(ctx context.Context, name string) (*fabric, error) {
	dialing, stop := context.WithTimeout(ctx, dialPatience)
	defer stop()
	c, err := client.Dial(dialing, a.broker, client.WithName("weft "+strings.TrimPrefix(name, "weft.")), client.WithLogger(zerolog.Nop()))
	if err != nil {
		return nil, a.unreachable(ctx, err)
	}
	f := &fabric{Client: c, a: a, service: name}
	if err := f.lookAtNodes(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return f, nil
}

func (f *fabric) lookAtNodes(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	for n, err := range f.Nodes(ctx, client.Filter{}) {
		switch {
		case err != nil:
			return err
		case n.State == nodeLost:
			f.lost = append(f.lost, n.Name)
		default:
			f.alive = append(f.alive, n)
		}
	}
	return nil
}

// noNodes says what to do when no node is there.
func (f *fabric) noNodes() error {
	if len(f.alive) > 0 {
		return nil
	}
	if len(f.lost) > 0 {
		return protocol.Errorf(protocol.CodeUnavailable, f.service, "none of the nodes answers (%s): look whether \"weft agent\" runs there",
			strings.Join(f.lost, ", "))
	}
	return protocol.Errorf(protocol.CodeUnavailable, f.service,
		"no compute node is registered: start \"weft agent --broker %s\" on each (or \"weft dev\" instead of \"weft broker\")", f.a.broker)
}

// ensure registers the service when it is not, in a queue that is named, or else in the default one.
func (f *fabric) ensure(ctx context.Context, queue string) error {
	ctx, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	var platforms []string
	for _, n := range f.alive {
		if !slices.Contains(platforms, n.Platform) {
			platforms = append(platforms, n.Platform)
		}
	}
	s := builtin.Document(f.service, buildVersion(), queue, platforms)
	f.version = s.Version
	return builtin.Ensure(ctx, f, f.a.now(), s)
}

// open opens a session with the service.
func (f *fabric) open(ctx context.Context, opts ...client.SessionOption) (*client.Session, error) {
	ctx, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	return f.OpenSession(ctx, f.service, append(opts, client.WithVersion(f.version))...)
}

// whyNot says why a session has no instances, as the broker knows it; "" when it has some, or there is nothing to say.
func (f *fabric) whyNot(ctx context.Context, s *client.Session) string {
	ctx, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	reason := ""
	for i, err := range f.Services(ctx, client.Filter{Name: f.service}) {
		if err == nil && i.Service.Version == f.version {
			if i.Instances > 0 {
				return ""
			}
			reason = i.Reason
		}
	}
	for i, err := range f.Sessions(ctx, client.Filter{Session: s.Number()}) {
		if err == nil && i.Reason != "" {
			return i.Reason
		}
	}
	return reason
}

// serving is how many instances of the service there are; 0 when that is not known.
func (f *fabric) serving(ctx context.Context) int {
	ctx, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	for i, err := range f.Services(ctx, client.Filter{Name: f.service}) {
		if err == nil && i.Service.Version == f.version {
			return i.Instances
		}
	}
	return 0
}

// watchStart calls say with the reason for which a session has no instances, whenever it changes, until done is closed
// or what it returns is called, which waits for the last call.
func (f *fabric) watchStart(ctx context.Context, s *client.Session, done <-chan struct{}, say func(reason string)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		said := ""
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			case <-ctx.Done():
				return
			}
			if reason := f.whyNot(ctx, s); reason != "" && reason != said && ctx.Err() == nil {
				said = reason
				say(reason)
			}
		}
	})
	return func() { cancel(); all.Wait() }
}

// kill ends a session at once.
func (f *fabric) kill(s *client.Session) error {
	ctx, stop := context.WithTimeout(context.Background(), closePatience)
	defer stop()
	return s.Kill(ctx)
}

// finish ends a session in order.
func (f *fabric) finish(s *client.Session) error {
	ctx, stop := context.WithTimeout(context.Background(), closePatience)
	defer stop()
	return s.Close(ctx)
}
