package client

import (
	"context"
	"fmt"
	"iter"

	"github.com/weft-fabric/weft/protocol"
)

// Filter narrows a list. The zero value lists all that is not over.
type Filter struct {
	Name    string                 // only what has this name
	Service string                 // of sessions: only with this service; of services: words in name, tags or function
	Session protocol.SessionNumber // only this session
	All     bool                   // also what is over
}

// Operator asks a broker for what operators do: the command line uses nothing else. Every [Client] is one.
type Operator struct{ client *Client }

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

// Services lists the catalogue in the order of names, then versions. The list is fetched page by page while the loop runs; after an
// error the loop is over.
func (o *Operator) Services(ctx context.Context, f Filter) iter.Seq2[protocol.ServiceInfo, error] {
	return pages(ctx, o.client, f, protocol.KindListServices, protocol.KindServicePage,
		func(p *protocol.ServicePage) ([]protocol.ServiceInfo, bool) { return p.Entries, p.More },
		func(i *protocol.ServiceInfo) string { return i.Service.Name + "@" + i.Service.Version })
}

// Sessions lists the sessions of all clients in the order of their numbers, as [Operator.Services] does.
func (o *Operator) Sessions(ctx context.Context, f Filter) iter.Seq2[protocol.SessionInfo, error] {
	return pages(ctx, o.client, f, protocol.KindListSessions, protocol.KindSessionPage,
		func(p *protocol.SessionPage) ([]protocol.SessionInfo, bool) { return p.Entries, p.More },
		func(i *protocol.SessionInfo) string { return fmt.Sprint(i.Session) })
}

// Nodes lists the compute nodes in the order of their names, as [Operator.Services] does.
func (o *Operator) Nodes(ctx context.Context, f Filter) iter.Seq2[protocol.NodeInfo, error] {
	return pages(ctx, o.client, f, protocol.KindListNodes, protocol.KindNodePage,
		func(p *protocol.NodePage) ([]protocol.NodeInfo, bool) { return p.Entries, p.More },
		func(i *protocol.NodeInfo) string { return i.Name })
}

// pages walks a list page by page.
func pages[Page, Entry any](
	ctx context.Context, c *Client, f Filter, ask, answer protocol.Kind,
	open func(*Page) ([]Entry, bool), key func(*Entry) string,
) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var none Entry
		list := protocol.ListRequest{Name: f.Name, Service: f.Service, Session: f.Session, All: f.All}
		for {
			a, err := c.request(ctx, ask, list)
			if err == nil && a.Kind != answer {
				err = protocol.Errorf(protocol.CodeMalformed, ask.String(), "answered by %s, not by %s", a.Kind, answer)
			}
			var page Page
			if err == nil {
				err = protocol.Unmarshal(a.Kind, a.Body, &page)
			}
			if err != nil {
				yield(none, err)
				return
			}
			entries, more := open(&page)
			for i := range entries {
				if !yield(entries[i], nil) {
					return
				}
			}
			if !more || len(entries) == 0 {
				return
			}
			list.After = key(&entries[len(entries)-1])
		}
	}
}
