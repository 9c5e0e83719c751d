package control

import (
	"crypto/subtle"
	"fmt"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
)

// crew has containers started and stopped, and knows the instances in them.
type crew struct {
	c       *Core
	fleet   fleet.Fleet
	watched ordered.Map[string, *fleet.Container] // those with a time limit: not serving yet, or to be gone soon
	leaving ordered.Map[string, *fleet.Container] // on nodes, which will have their room again
	started uint64
	byHand  uint64
	wrecks  wrecks
}

func newCrew(c *Core) *crew { return &crew{c: c} }

// manager gives the manager that a container works for.
func (w *crew) manager(c *fleet.Container) *manager {
	m, _ := w.c.managers.byID.Get(c.Manager) // it stays until its last container is gone
	return m
}

// add takes a new container in.
func (w *crew) add(m *manager, c *fleet.Container) {
	w.fleet.Add(w.c.now, c)
	w.c.managers.counted(m, c, c.State, true)
	w.watched.Set(c.ID, c)
}

// move takes an event of a container and says whether it was of effect.
func (w *crew) move(c *fleet.Container, e fleet.Event) bool {
	from := c.State
	if !w.fleet.Move(w.c.now, c, e) {
		return false
	}
	if c.State == from {
		return true
	}
	switch c.State {
	case fleet.Serving, fleet.Exited:
		w.watched.Delete(c.ID)
	case fleet.Asked, fleet.Starting, fleet.Running, fleet.Leaving:
		w.watched.Set(c.ID, c)
	}
	if c.State == fleet.Leaving && c.Node != nil {
		w.leaving.Set(c.ID, c)
	} else {
		w.leaving.Delete(c.ID)
	}
	w.c.managers.counted(w.manager(c), c, from, false)
	return true
}

// start has the container of a placement started.
func (w *crew) start(p sched.Placement) {
	id, _ := strconv.ParseUint(p.Request, 10, 32) // the request was named so
	m, _ := w.c.managers.byID.Get(uint32(id))
	n, _ := w.fleet.Node(p.Node)
	key, _ := platform.Match(m.service.Artefacts, n.Platform)
	a := m.service.Artefacts[key]
	w.started++
	// The epoch makes the name unique among all that agents may still have.
	c := &fleet.Container{
		ID:      fmt.Sprintf("c%x-%d", uint64(w.c.cfg.Epoch), w.started),
		Manager: m.id, Allocation: uint64(p.Container), Node: n, Capacity: m.service.Requests[0].Capacity, Token: w.c.cfg.Token(),
	}
	w.add(m, c)
	if agent, ok := w.c.lobby.parties.Get(n.Agent); ok {
		agent.push(w.c.out, 0, protocol.KindStartContainer, protocol.StartContainer{
			ID: c.ID, Service: m.service.Name, Version: m.service.Version,
			Command: a.Command, Args: a.Args, Dir: a.Dir, Env: m.service.Env,
			Token: c.Token, Slots: m.service.Slots, Sessions: m.service.Sessions, Capacity: c.Capacity,
		})
	}
}

// stop has a container ended: its manager is to let its instance go, its agent is to end its process.
func (w *crew) stop(c *fleet.Container) {
	m := w.manager(c)
	w.letGo(c)
	if c.Node == nil || c.Stopped {
		return
	}
	c.Stopped = true
	w.stopAt(c.Node.Agent, c.ID, time.Duration(m.service.Limits.Grace))
}

// kill has a container ended at once: a hook in it does not end that was told to.
func (w *crew) kill(id, reason string) {
	c, ok := w.fleet.Container(id)
	if !ok || c.Node == nil { // nobody can end what was started by hand; its manager has told it to leave
		return
	}
	c.Killed = cut(reason)
	c.Stopped, c.Released = true, true
	w.move(c, fleet.Leave)
	w.stopAt(c.Node.Agent, c.ID, 0)
}

// letGo has the instance in a container let go by its manager loop; beat ends what does not go by itself.
func (w *crew) letGo(c *fleet.Container) {
	if c.Hosting != 0 && !c.Released {
		w.order(c, session.Order{Dismiss: &session.Dismiss{Container: c.ID}})
	}
	w.move(c, fleet.Leave)
}

func (w *crew) stopAt(agent uint64, id string, grace time.Duration) {
	if p, ok := w.c.lobby.parties.Get(agent); ok {
		p.push(w.c.out, 0, protocol.KindStopContainer, protocol.StopContainer{ID: id, Grace: grace})
	}
}

// stopNewest ends n of a manager's containers that do not serve yet, those first that were asked for last.
func (w *crew) stopNewest(m *manager, n int) {
	for ; n > 0; n-- {
		var newest *fleet.Container
		for _, c := range m.containers.All() {
			if c.Node != nil && c.State < fleet.Serving && (newest == nil || c.Allocation > newest.Allocation) {
				newest = c
			}
		}
		if newest == nil {
			return
		}
		w.stop(newest)
	}
}

// end takes a container out because it is gone. s is what its agent said, if that knows.
func (w *crew) end(c *fleet.Container, why string, s *protocol.ContainerState) {
	m := w.manager(c)
	from := c.State
	if s != nil && s.Error != nil {
		c.Failure = cutError(s.Error)
	}
	if c.Failure != nil && (s == nil || s.Error == nil) {
		why += "; " + c.Failure.Error()
	}
	if c.Killed != "" {
		why = "was killed: " + c.Killed
	}
	if !w.move(c, fleet.Exit) {
		return
	}
	if c.Allocation != 0 {
		w.c.managers.sched.Release(sched.Container(c.Allocation))
	}
	if p, ok := w.c.lobby.parties.Get(c.Instance); ok {
		w.c.lobby.drop(p)
	}
	if c.Hosting != 0 { // also of one that was let go, by a manager that may be retired: its loop remembers it until now
		w.order(c, session.Order{Lost: &session.Lost{Container: c.ID, Reason: why}})
	}
	// A node that is lost is not its containers' fault. Who was told to end, or said that it would, did so in order,
	// unless it was of no use.
	inOrder := from == fleet.Leaving && (c.Stopped || c.Served)
	outOfTurn := c.Failure != nil || s != nil && !inOrder
	if outOfTurn {
		w.c.managers.lose(m, c, why)
	}
	if outOfTurn || s != nil && s.Code != 0 && !c.Stopped { // after a panic it lets its sessions go before it ends
		w.mourn(m, w.wreck(c, why, s), outOfTurn)
	}
}

// ready takes a manager's word that an instance serves.
func (w *crew) ready(id string) {
	if c, ok := w.fleet.Container(id); ok && w.move(c, fleet.Ready) {
		c.Served = true
		w.manager(c).recovered()
	}
}

// delivered takes a manager's word that an instance has answered a task: what died before is forgiven.
func (w *crew) delivered(id string) {
	if c, ok := w.fleet.Container(id); ok {
		c.Delivered = true
		m := w.manager(c)
		m.backoff.Delivered()
		w.c.managers.touch(m) // what it held back may start
	}
}

// released takes a manager's word that it has let an instance go.
func (w *crew) released(id, _ string) {
	if c, ok := w.fleet.Container(id); ok {
		c.Released = true
		w.move(c, fleet.Leave)
	}
}

// silent takes a manager's word that it has given an instance up.
func (w *crew) silent(id, reason string) {
	c, ok := w.fleet.Container(id)
	if !ok {
		return
	}
	c.Released = true
	if c.Node == nil {
		w.end(c, reason, nil)
		return
	}
	c.Failure = protocol.Errorf(protocol.CodeInstanceRejected, "container "+c.ID, "%s", reason)
	w.stop(c)
}

// admit judges the HELLO of an instance, and announces it to its manager the first time.
func (w *crew) admit(p *party, h *protocol.Hello) error {
	reject := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeInstanceRejected, "hello", format, args...)
	}
	if c := p.container; c != nil { // it comes again
		if c.State == fleet.Exited {
			return reject("container %s is gone", c.ID)
		}
		return nil
	}
	if h.Slots < 0 || h.Sessions < 0 {
		return protocol.Errorf(protocol.CodeInvalid, "hello", "slots: %d, sessions: %d; neither may be negative", h.Slots, h.Sessions)
	}
	c, m, err := w.byHello(h, reject)
	if err != nil {
		return err
	}
	p.container, c.Instance = c, p.incarnation
	w.move(c, fleet.Run)
	if m.hosting != 0 {
		w.announce(m, c, h)
	}
	return nil
}

// announce announces an instance to its manager, which has a share of the management node.
func (w *crew) announce(m *manager, c *fleet.Container, h *protocol.Hello) {
	if c.Hosting != 0 && c.Loop != m.loop {
		w.c.out.order(c.Loop, session.Order{Lost: &session.Lost{Container: c.ID, Reason: "its service is served by another loop now"}})
	}
	c.Hosting, c.Loop = m.hosting, m.loop
	admit := &session.Admit{
		Manager: m.hosting, Container: c.ID, Incarnation: c.Instance, Node: c.NodeName(),
		Slots: h.Slots, Sessions: h.Sessions, ByHand: c.Node == nil,
	}
	if admit.Slots == 0 {
		admit.Slots = m.service.Slots
	}
	if admit.Sessions == 0 {
		admit.Sessions = m.service.Sessions
	}
	w.order(c, session.Order{Admit: admit})
}

// order gives an order that concerns an instance to the loop that was told of it, which it may have left with its manager.
func (w *crew) order(c *fleet.Container, o session.Order) {
	if m := w.manager(c); c.Hosting == m.hosting {
		w.c.managers.order(m, o)
		return
	}
	w.c.out.order(c.Loop, o)
}

// refer tells an instance which loop was told of it.
func (w *crew) refer(p *party, c *fleet.Container) {
	m := w.manager(c)
	if c.Hosting == m.hosting {
		w.c.managers.refer(p, 0, m, 0)
		return
	}
	w.c.lobby.refer(p, 0, m.service.Name, 0, c.Loop)
}

// byHello finds the container that an instance is in, or takes in one that was started by hand.
func (w *crew) byHello(h *protocol.Hello, reject func(string, ...any) error) (*fleet.Container, *manager, error) {
	if h.Container == "" {
		e, err := w.c.catalogue.Get(h.Service, h.Version)
		if err != nil {
			return nil, nil, err
		}
		if err := fits(&e.Service, h); err != nil {
			return nil, nil, err
		}
		m := w.c.managers.ofHand(e)
		w.byHand++
		c := &fleet.Container{ID: "hand-" + strconv.FormatUint(w.byHand, 10), Manager: m.id}
		w.add(m, c)
		return c, m, nil
	}
	c, ok := w.fleet.Container(h.Container)
	if !ok || c.Node == nil {
		return nil, nil, reject("container: this broker has not started %q", h.Container)
	}
	m := w.manager(c)
	switch {
	case subtle.ConstantTimeCompare([]byte(c.Token), []byte(h.Token)) != 1:
		return nil, nil, reject("token: it is not the one that container %s was started with", c.ID)
	case c.Instance != 0:
		return nil, nil, reject("container: another process has said HELLO for %s", c.ID)
	case c.State == fleet.Leaving:
		return nil, nil, reject("container: %s was told to end", c.ID)
	case h.Service != m.service.Name:
		return nil, nil, reject("service: container %s was started for %s, not for %q", c.ID, m.service.Name, h.Service)
	}
	if err := fits(&m.service, h); err != nil {
		c.Failure = err
		return nil, nil, err
	}
	return c, m, nil
}

// fits says in what the types of an instance are not those of its service; nil when they are.
func fits(s *protocol.Service, h *protocol.Hello) *protocol.Error {
	if err := s.Interface.Fits(h.Interface); err != nil {
		return protocol.Errorf(protocol.CodeInterface, "service "+s.Name+" "+s.Version, "%s; one of the two has to be changed, and the service registered so (see: weft service register --interface)", cut(err.Error()))
	}
	return nil
}

// rebuilt tells a party that knows nothing of what was said before what it has to know again.
func (w *crew) rebuilt(p *party) {
	if c := p.container; c != nil && c.Hosting != 0 {
		w.refer(p, c)
	}
	if p.node != nil {
		// Orders on their way to the agent are lost. What it does not have when it registers is not there.
		p.doubtful = nil
		for _, c := range w.fleet.On(p.node) {
			p.doubtful = append(p.doubtful, c)
		}
	}
}

// instanceLeft is what becomes of an instance that leaves in order.
func (w *crew) instanceLeft(p *party) {
	c := p.container
	if c.Node == nil {
		w.end(c, "ended in order", nil)
		return
	}
	w.move(c, fleet.Leave) // its agent tells when its process is gone
}

func instanceFailed(c *Core, p *party, r *protocol.Record) error {
	e, err := body[protocol.Error](r)
	if err != nil {
		return err
	}
	e = cutError(e)
	e.Code = protocol.CodeCreateFailed
	if p.container.Node == nil {
		c.crew.manager(p.container).last = e.Error()
	}
	p.container.Failure = e
	return nil
}

// lookAfter ends a container that is overdue: it is not ready in time, or does not go by itself.
func (w *crew) lookAfter(c *fleet.Container) {
	m := w.manager(c)
	limits := m.service.Limits
	switch {
	case c.Node == nil:
	case c.State != fleet.Leaving && w.c.now.Sub(c.Asked) > time.Duration(limits.Start):
		c.Failure = protocol.Errorf(protocol.CodeCreateFailed, "container "+c.ID, "it was not ready within %v of its start (limits.start)", time.Duration(limits.Start))
		w.stop(c)
	case c.Outdated && c.State == fleet.Leaving && !c.Released && m.sessions.Len() > 0: // it finishes what it runs, however long that takes
	case c.State == fleet.Leaving && !c.Stopped && w.c.now.Sub(c.Since) > time.Duration(limits.Grace):
		w.stop(c)
	}
}
