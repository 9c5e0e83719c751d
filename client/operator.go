package client

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// Filter narrows a list. The zero value lists all that is not over.
type Filter struct {
	Name        string                 // only what has this name; of services also a pattern: * is any letters, ? is one
	Service     string                 // only sessions of this service
	Version     string                 // only services of this version, or their sessions
	Tag         string                 // only services with this tag, in any case
	Words       string                 // only services with all these words in name, tags or function; the best come first
	Environment string                 // only sessions of this environment
	Session     protocol.SessionNumber // only this session
	All         bool                   // also what is over
}

func (f *Filter) request() protocol.ListRequest {
	return protocol.ListRequest{
		Name: f.Name, Service: f.Service, Version: f.Version, Tag: f.Tag, Words: f.Words, Environment: f.Environment,
		Session: f.Session, All: f.All,
	}
}

// Operator is what operators do: registering services, looking after sessions, environments and nodes of all clients. Every
// [Client] is one. It is safe for concurrent use.
type Operator struct{ client *Client }

// BrokerInfo is what a client knows of its broker.
type BrokerInfo struct {
	Name     string         `json:"name"`     // for people
	Endpoint string         `json:"endpoint"` // control endpoint, as it was dialled
	Epoch    protocol.Epoch `json:"epoch"`    // grows with each broker that takes over
	Protocol uint8          `json:"protocol"` // version that is spoken
}

// Broker says which broker the client's requests go to; it changes when another takes over.
func (o *Operator) Broker() BrokerInfo {
	c := o.client
	c.mu.Lock()
	defer c.mu.Unlock()
	b := engine.BrokerOf(c.eng)
	return BrokerInfo{Name: b.Name, Endpoint: b.Endpoint, Epoch: b.Epoch, Protocol: b.Version}
}

// RegisterService puts a service into the catalogue, or a new version of one. Fields that are left out get their
// defaults; what is impossible is refused with [ErrInvalid], naming the field.
func (o *Operator) RegisterService(ctx context.Context, service protocol.Service) error {
	if err := service.WithDefaults().Validate(); err != nil {
		return err
	}
	_, err := o.client.request(ctx, protocol.KindRegisterService, service)
	return err
}

// DeregisterService takes a version of a service out of the catalogue; an empty version is all of them. The error is
// [ErrNoService], or of protocol.CodeInUse while sessions use it.
func (o *Operator) DeregisterService(ctx context.Context, name, version string) error {
	_, err := o.client.request(ctx, protocol.KindDeregisterService, protocol.ServiceRef{Name: name, Version: version})
	return err
}

// MoveService has a service, one version of it or, when that is empty, all of them, served by another manager loop of the
// broker, by its number from 0. It returns when that was begun; nothing that is under way is interrupted. The error is
// [ErrNoService], [ErrInvalid] where there is no such loop, or of protocol.CodeNotFound while nothing serves it.
func (o *Operator) MoveService(ctx context.Context, name, version string, loop int) error {
	_, err := o.client.request(ctx, protocol.KindMoveService, protocol.MoveService{Name: name, Version: version, Loop: loop})
	return err
}

// RestartService has the instances of a service, of one version or, when that is empty, of all of them, replaced by new
// ones, one after the other, so that a program that has been built again is run; with idle only those that are kept warm
// for no session, which are ended. It returns when that was begun; no task is lost, and sessions go on. The error is
// [ErrNoService].
func (o *Operator) RestartService(ctx context.Context, name, version string, idle bool) error {
	_, err := o.client.request(ctx, protocol.KindRestartService, protocol.RestartService{Name: name, Version: version, Idle: idle})
	return err
}

// CloseSession closes the session of any client; mode is [protocol.CloseFinish] or [protocol.CloseKill]. It returns when
// the broker has passed the order on.
func (o *Operator) CloseSession(ctx context.Context, number protocol.SessionNumber, mode, reason string) error {
	if mode != protocol.CloseFinish && mode != protocol.CloseKill {
		return protocol.Errorf(protocol.CodeInvalid, "close session", "mode: %q is neither %q nor %q",
			mode, protocol.CloseFinish, protocol.CloseKill)
	}
	_, err := o.client.request(ctx, protocol.KindCloseSession, protocol.CloseSession{Session: number, Mode: mode, Reason: reason})
	return err
}

// Services lists the catalogue in the order of names, then versions; by rank when the filter has words. The list is
// fetched page by page while the loop runs; after an error the loop is over.
func (o *Operator) Services(ctx context.Context, f Filter) iter.Seq2[protocol.ServiceInfo, error] {
	return pages(ctx, o.client, f.request(), protocol.KindListServices, protocol.KindServicePage,
		func(p *protocol.ServicePage) ([]protocol.ServiceInfo, string) { return p.Entries, p.Next })
}

// Sessions lists the sessions of all clients in the order of their numbers, as [Operator.Services] does.
func (o *Operator) Sessions(ctx context.Context, f Filter) iter.Seq2[protocol.SessionInfo, error] {
	return pages(ctx, o.client, f.request(), protocol.KindListSessions, protocol.KindSessionPage,
		func(p *protocol.SessionPage) ([]protocol.SessionInfo, string) {
			return p.Entries, after(p.Entries, p.More, func(i *protocol.SessionInfo) string { return fmt.Sprint(i.Session) })
		})
}

// Nodes lists the compute nodes in the order of their names, as [Operator.Services] does.
func (o *Operator) Nodes(ctx context.Context, f Filter) iter.Seq2[protocol.NodeInfo, error] {
	return pages(ctx, o.client, f.request(), protocol.KindListNodes, protocol.KindNodePage,
		func(p *protocol.NodePage) ([]protocol.NodeInfo, string) {
			return p.Entries, after(p.Entries, p.More, func(i *protocol.NodeInfo) string { return i.Name })
		})
}

// Environments lists the environments in the order of their names, as [Operator.Services] does.
func (o *Operator) Environments(ctx context.Context, f Filter) iter.Seq2[protocol.EnvironmentInfo, error] {
	return pages(ctx, o.client, f.request(), protocol.KindListEnvironments, protocol.KindEnvironmentPage,
		func(p *protocol.EnvironmentPage) ([]protocol.EnvironmentInfo, string) {
			return p.Entries, after(p.Entries, p.More, func(i *protocol.EnvironmentInfo) string { return i.Name })
		})
}

// CreateEnvironment makes an environment; the same once more is of no effect. The error is [ErrInvalid] for a wrong name
// or label, or of protocol.CodeAlreadyExists when there is one with other labels or another owner.
func (o *Operator) CreateEnvironment(ctx context.Context, e protocol.Environment) error {
	if err := e.Validate(); err != nil {
		return err
	}
	_, err := o.client.request(ctx, protocol.KindCreateEnvironment, e)
	return err
}

// DeleteEnvironment takes an environment away. The error is [ErrNoEnvironment], or of protocol.CodeInUse while sessions
// live in it. By force they are killed: it returns when that was passed on, and the environment is gone when the last of
// them is.
func (o *Operator) DeleteEnvironment(ctx context.Context, name string, force bool) error {
	_, err := o.client.request(ctx, protocol.KindDeleteEnvironment, protocol.DeleteEnvironment{Name: name, Force: force})
	return err
}

// Events gives what happened to a session of any client: of the last protocol.MaxEvents events those whose number is
// above from. Over says that no further event will come. The error is [ErrNoSession].
func (o *Operator) Events(ctx context.Context, number protocol.SessionNumber, from uint64) (events []protocol.SessionEvent, over bool, err error) {
	list := protocol.ListRequest{Session: number, After: strconv.FormatUint(from, 10)}
	open := func(p *protocol.EventPage) ([]protocol.SessionEvent, string) {
		over = p.Over
		return p.Entries, after(p.Entries, p.More, func(e *protocol.SessionEvent) string { return strconv.FormatUint(e.Number, 10) })
	}
	for e, err := range pages(ctx, o.client, list, protocol.KindListEvents, protocol.KindEventPage, open) {
		if err != nil {
			return nil, false, err
		}
		events = append(events, e)
	}
	return events, over, nil
}

// after is where the next page begins, "" when there is none.
func after[Entry any](entries []Entry, more bool, key func(*Entry) string) string {
	if !more || len(entries) == 0 {
		return ""
	}
	return key(&entries[len(entries)-1])
}

// pages walks a list page by page; open gives the entries of a page and where the next one begins.
func pages[Page, Entry any](
	ctx context.Context, c *Client, list protocol.ListRequest, ask, answer protocol.Kind, open func(*Page) ([]Entry, string),
) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var none Entry
		list := list
		for {
			var page Page
			err := fetch(ctx, c, ask, list, answer, &page)
			if err != nil {
				yield(none, err)
				return
			}
			entries, next := open(&page)
			for i := range entries {
				if !yield(entries[i], nil) {
					return
				}
			}
			if next == "" {
				return
			}
			list.After = next
		}
	}
}

// fetch sends a request and decodes its answer.
func fetch(ctx context.Context, c *Client, ask protocol.Kind, body any, answer protocol.Kind, into any) error {
	a, err := c.request(ctx, ask, body)
	if err != nil {
		return err
	}
	if a.Kind != answer {
		return protocol.Errorf(protocol.CodeMalformed, ask.String(), "answered by %s, not by %s", a.Kind, answer)
	}
	return protocol.Unmarshal(a.Kind, a.Body, into)
}
