package control

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// pageBytes is how much of a page's entries is put into one answer, below protocol.MaxBody with room for one that goes
// beyond it, and for the rest.
const pageBytes = protocol.MaxBody / 2

// pager fills a page until it is full by number or by size.
type pager[T any] struct {
	limit   int
	size    int
	entries []T
	more    bool
}

func newPager[T any](limit int) (*pager[T], error) {
	if limit < 0 {
		return nil, protocol.Errorf(protocol.CodeInvalid, "list", "limit: %d is negative", limit)
	}
	if limit == 0 || limit > protocol.MaxPage {
		limit = protocol.MaxPage
	}
	return &pager[T]{limit: limit}, nil
}

// add appends an entry and says whether there may be room for another one.
func (p *pager[T]) add(v T) bool {
	p.size += len(protocol.Marshal(v))
	if len(p.entries) == p.limit || p.size > pageBytes && len(p.entries) > 0 {
		p.more = true
		return false
	}
	p.entries = append(p.entries, v)
	return true
}

// listServices answers with the services that are looked for; Next is the catalogue's cursor.
func listServices(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.ServiceInfo](req.Limit)
	if err != nil {
		return err
	}
	next := ""
	q := catalogue.Query{Name: req.Name, Version: req.Version, Tag: req.Tag, Words: req.Words, After: req.After}
	err = c.catalogue.Search(q, func(e *catalogue.Entry, cursor string) bool {
		ok := page.add(c.serviceInfo(e))
		if ok {
			next = cursor
		}
		return ok
	})
	if err != nil {
		return err
	}
	answer := protocol.ServicePage{Entries: page.entries, More: page.more}
	if page.more {
		answer.Next = next
	}
	p.answer(c.out, 0, protocol.KindServicePage, r.Task, answer)
	return nil
}

// serviceInfo is what can be seen of a service.
func (c *Core) serviceInfo(e *catalogue.Entry) protocol.ServiceInfo {
	i := protocol.ServiceInfo{Service: e.Service, Registered: e.Registered, Default: c.catalogue.Default(e.Service.Name) == e}
	for m := range c.managers.of(e) {
		i.Sessions += m.sessions.Len()
		serving := m.count[fleet.Serving] + m.byHand[fleet.Serving]
		i.Instances += serving
		i.Starting += m.count.live() + m.byHand.live() - serving
		if m.hosting != 0 {
			i.Managers = append(i.Managers, m.info())
			if at, found := slices.BinarySearch(i.Loops, m.loop); !found {
				i.Loops = slices.Insert(i.Loops, at, m.loop)
			}
		}
		if len(i.Reason) > protocol.MaxText {
			continue
		}
		if why := m.explain(c.managers, true); why != "" && m.lacks() && !strings.Contains(i.Reason, why) {
			if i.Reason != "" {
				i.Reason += "; "
			}
			i.Reason += why
		}
	}
	if why := c.hosts.explainPressure(); why != "" && len(i.Managers) > 0 {
		i.Reason = strings.TrimPrefix(i.Reason+"; "+why, "; ")
	}
	i.Reason = cut(i.Reason)
	return i
}

// listSessions answers with the sessions whose number is above After, a decimal number.
func listSessions(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.SessionInfo](req.Limit)
	if err != nil {
		return err
	}
	after := uint64(0)
	if req.After != "" {
		if after, err = strconv.ParseUint(req.After, 10, 32); err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "list sessions", "after: %q is not the number of a session", req.After)
		}
	}
	for s := range c.sessions.inOrder(req.All) {
		if uint64(s.number) <= after || req.Session != 0 && s.number != req.Session ||
			req.Name != "" && s.request.Name != req.Name || req.Service != "" && s.manager.service.Name != req.Service ||
			req.Version != "" && s.manager.service.Version != req.Version ||
			req.Environment != "" && s.environment.name != req.Environment {
			continue
		}
		info := c.sessions.info(s)
		if info.Failure != nil && req.Session == 0 { // in a list of many, the error will do
			short := *info.Failure
			short.Stack, short.Output = "", nil
			info.Failure = &short
		}
		if !page.add(info) {
			break
		}
	}
	p.answer(c.out, 0, protocol.KindSessionPage, r.Task, protocol.SessionPage{Entries: page.entries, More: page.more})
	return nil
}

// inOrder iterates over the open sessions by number; with all, those that are over and still known as well.
func (t *sessions) inOrder(all bool) iter.Seq[*sess] {
	list := slices.Collect(values(&t.open))
	if all {
		list = slices.AppendSeq(list, values(&t.over))
		slices.SortFunc(list, func(a, b *sess) int { return cmp.Compare(a.number, b.number) })
	}
	return slices.Values(list)
}

func values[K cmp.Ordered, V any](m *ordered.Map[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range m.All() {
			if !yield(v) {
				return
			}
		}
	}
}

// listNodes answers with the nodes whose name is above After; with All, those that are lost or left as well.
func listNodes(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.NodeInfo](req.Limit)
	if err != nil {
		return err
	}
	for name, n := range c.crew.fleet.Nodes() {
		if name <= req.After || req.Name != "" && name != req.Name || n.State != fleet.Up && !req.All {
			continue
		}
		if !page.add(c.nodeInfo(n)) {
			break
		}
	}
	p.answer(c.out, 0, protocol.KindNodePage, r.Task, protocol.NodePage{Entries: page.entries, More: page.more})
	return nil
}
