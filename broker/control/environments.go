package control

import (
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// maxEnvironments is how many environments there may be at once.
const maxEnvironments = 10_000

// environment is a named root under which sessions live.
type environment struct {
	name     string
	labels   map[string]string
	owner    string
	created  time.Time // zero: it always was
	deleting bool      // it takes no sessions, and is gone when the last is
	sessions ordered.Map[uint32, *sess]
	position uint64 // of the last record that tells of it
}

// environments keeps the environments; the default one is always there.
type environments struct {
	c      *Core
	byName ordered.Map[string, *environment]
}

func newEnvironments(c *Core) *environments {
	t := &environments{c: c}
	t.byName.Set(protocol.DefaultEnvironment, &environment{name: protocol.DefaultEnvironment})
	return t
}

// get finds an environment. The error has CodeNoEnvironment and names those that look most alike.
func (t *environments) get(op, name string) (*environment, error) {
	if e, ok := t.byName.Get(name); ok {
		return e, nil
	}
	near := nearest.Few(name, keys(&t.byName))
	list := near[0]
	for _, n := range near[1:] {
		list += ", " + n
	}
	return nil, protocol.Errorf(protocol.CodeNoEnvironment, op, "there is no environment %q; the nearest that are: %s", name, list)
}

func keys[V any](m *ordered.Map[string, V]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range m.All() {
			if !yield(k) {
				return
			}
		}
	}
}

// forSession gives the environment that a session is to live in, the default one for an empty name.
func (t *environments) forSession(name string) (*environment, error) {
	if name == "" {
		name = protocol.DefaultEnvironment
	}
	e, err := t.get("open session", name)
	if err == nil && e.deleting {
		err = protocol.Errorf(protocol.CodeNoEnvironment, "open session", "environment %s is being deleted", name)
	}
	return e, err
}

func createEnvironment(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.Environment](r)
	if err != nil {
		return err
	}
	if err := req.Validate(); err != nil {
		return err
	}
	t := c.environments
	op := "create environment"
	e, known := t.byName.Get(req.Name)
	switch {
	case known && e.deleting:
		return protocol.Errorf(protocol.CodeInUse, op, "environment %s is being deleted, %d sessions are left in it", e.name, e.sessions.Len())
	case known && (e.owner != p.hello.Principal || !maps.Equal(e.labels, req.Labels)):
		return protocol.Errorf(protocol.CodeAlreadyExists, op, "there is an environment %s with another owner or other labels", e.name)
	case !known && t.byName.Len() >= maxEnvironments:
		return protocol.Errorf(protocol.CodeOverloaded, op, "there are %d environments, and at most %d may be", t.byName.Len(), maxEnvironments)
	case !known:
		e = &environment{name: req.Name, labels: req.Labels, owner: p.hello.Principal, created: c.now}
		e.position = c.out.record(&Record{At: c.now, Environment: &EnvironmentRecord{Environment: *req, Owner: e.owner}})
		t.byName.Set(e.name, e)
	}
	p.answer(c.out, e.position, protocol.KindDone, r.Task, nil)
	return nil
}

func deleteEnvironment(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.DeleteEnvironment](r)
	if err != nil {
		return err
	}
	op := "delete environment"
	e, err := c.environments.get(op, req.Name)
	switch {
	case err != nil:
		return err
	case e.name == protocol.DefaultEnvironment:
		return protocol.Errorf(protocol.CodeInvalid, op, "environment %s is always there", e.name)
	case e.sessions.Len() > 0 && !req.Force && !e.deleting:
		return protocol.Errorf(protocol.CodeInUse, op, "%d sessions live in environment %s; close them first, or have them killed (force)", e.sessions.Len(), e.name)
	case !e.deleting:
		e.deleting = true
		e.position = c.out.record(&Record{At: c.now, Delete: req})
		for _, s := range e.sessions.All() {
			c.sessions.close(s, p.name(), &protocol.CloseSession{
				Session: s.number, Mode: protocol.CloseKill, Reason: fmt.Sprintf("environment %s is deleted", e.name),
			})
		}
		c.environments.settle(e)
	}
	p.answer(c.out, e.position, protocol.KindDone, r.Task, nil)
	return nil
}

// leave takes a session that is over out of its environment.
func (t *environments) leave(s *sess) {
	s.environment.sessions.Delete(s.number)
	t.settle(s.environment)
}

// settle takes an environment out that is being deleted, when its last session is gone, which may have been here already.
func (t *environments) settle(e *environment) {
	if e.deleting && e.sessions.Len() == 0 && t.byName.Delete(e.name) {
		e.position = t.c.out.record(&Record{At: t.c.now, Gone: &e.name})
	}
}

// listEnvironments answers with the environments whose name is above After; Name is an exact name.
func listEnvironments(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.EnvironmentInfo](req.Limit)
	if err != nil {
		return err
	}
	for name, e := range c.environments.byName.All() {
		if name <= req.After || req.Name != "" && name != req.Name {
			continue
		}
		if !page.add(e.info()) {
			break
		}
	}
	p.answer(c.out, 0, protocol.KindEnvironmentPage, r.Task, protocol.EnvironmentPage{Entries: page.entries, More: page.more})
	return nil
}

// info is what can be seen of an environment.
func (e *environment) info() protocol.EnvironmentInfo {
	i := protocol.EnvironmentInfo{
		Name: e.name, Labels: e.labels, Owner: cut(e.owner), Created: e.created, State: protocol.EnvironmentActive, Sessions: e.sessions.Len(),
	}
	if e.deleting {
		i.State = protocol.EnvironmentDeleting
	}
	return i
}
