package control

import (
	"cmp"
	"fmt"
	"time"

	"github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// patientStarts is how many containers in a row may end before they were ready until sessions that wait fail.
	patientStarts = 3
	// stuckLimit is how long sessions wait for a node that could hold their containers, while others are there.
	stuckLimit = protocol.PeerTimeout
	// exceptFor is how long a node is ruled out on which the artefact could not be started.
	exceptFor = time.Minute
)

// manager is the session manager of a service, as the control loop sees it: what it wants, and what it has.
type manager struct {
	id      uint32
	key     string
	entry   *catalogue.Entry // nil: the service was deregistered
	service protocol.Service // with the demand of its sessions
	hosted
	transit   *transit // while no loop has it
	want      int      // instances that agents are to start for it in all
	sessions  ordered.Map[uint32, *sess]
	idleSince time.Time // when it was made, or its last session ended

	containers ordered.Map[string, *fleet.Container]
	count      tally // of the containers of agents
	byHand     tally
	placed     bool // it has a container that is to serve
	dirty      bool // in line for a review

	charged account   // who is charged for its containers
	account *account  // it, as the scheduler knows it; nil: it has and wants none
	altered bool      // its request, since the scheduler was told last
	judged  uint64    // the state of nodes and queues for which the verdict is
	verdict error     // whether they could ever hold its containers
	noted   time.Time // when it was said last for what its sessions wait
	hungry  bool      // in line for room

	backoff fleet.Backoff
	unready int                            // ended before they were ready, in a row
	failure *protocol.Error                // why the last one did
	last    string                         // why the last container died
	except  ordered.Map[string, time.Time] // nodes that are ruled out, until when
	stuck   time.Time                      // since when no node could hold its containers

	renewal renewal

	arrived  time.Time // where it is, when it was moved
	finished uint64    // tasks, ever
	counted  uint64    // of them at the last look of balance
	rate     float64   // of them a second, at the last look
}

// tally counts containers by their state.
type tally [fleet.Exited]int

// live is how many serve or are going to.
func (t *tally) live() int {
	return t[fleet.Asked] + t[fleet.Starting] + t[fleet.Running] + t[fleet.Serving]
}

// serving says whether the manager has an instance that can be given tasks.
func (m *manager) serving() bool { return m.count[fleet.Serving]+m.byHand[fleet.Serving] > 0 }

// managers makes and retires session managers, and sees to it that they have the containers they want.
type managers struct {
	c     *Core
	byID  ordered.Map[uint32, *manager]
	byKey map[string]*manager
	next  uint32

	placing
	warm  ordered.Map[uint32, *manager] // those with containers and without sessions that could use them
	picky ordered.Map[uint32, *manager] // those that rule nodes out

	balance balance
}

func newManagers(c *Core) *managers {
	return &managers{c: c, byKey: make(map[string]*manager), placing: newPlacing(c.cfg.Scores)}
}

// prepare finds the manager of a service and demand; one without an id is not there yet.
func (t *managers) prepare(e *catalogue.Entry, d demand) *manager {
	svc := e.Service
	if len(svc.Artefacts) == 0 {
		d = demand{} // nothing is placed for it
	}
	r := d.of(svc.Requests[0])
	charged := t.account(e, d)
	key := fmt.Sprintf("%s: %d %q %q %v %s %d", charged.name, r.Priority, r.Node, r.Rack, r.Relax, r.NodeType, r.Nodes)
	if m := t.byKey[key]; m != nil {
		return m
	}
	svc.Requests = []protocol.ContainerRequest{r}
	svc.Instances.Min = max(svc.Instances.Min, r.Nodes)
	svc.Instances.Max = max(svc.Instances.Max, svc.Instances.Min)
	return &manager{key: key, entry: e, service: svc, charged: charged, hosted: hosted{share: t.c.hosts.shareOf(svc)}}
}

// obtain gives the manager for a session, making one when there is none.
func (t *managers) obtain(e *catalogue.Entry, d demand) (*manager, error) {
	const op = "open session"
	if why := d.contradicts(&e.Service); why != "" {
		return nil, protocol.Errorf(protocol.CodeInvalid, op, "%s", why)
	}
	queue := cmp.Or(d.queue, e.Service.Queue)
	if err := t.checkQueue(op, queue); err != nil {
		return nil, err
	}
	if err := t.c.queues.admits(op, queue); err != nil {
		return nil, err
	}
	m := t.prepare(e, d)
	if !m.placed { // where it could not be started, it may have been put right
		for node := range m.except.All() {
			t.admitAgain(m, node)
		}
	}
	if err := t.c.hosts.satisfiable(e.Service); err != nil {
		return nil, err
	}
	if err := t.satisfiable(m); err != nil {
		return nil, err
	}
	t.add(m)
	if err := t.charge(m); err != nil {
		return nil, err
	}
	t.c.hosts.ask(m)
	return m, nil
}

// ofHand gives the manager for instances that are started by hand: that of the service without further demands. It runs
// where there is room, and otherwise when there are sessions.
func (t *managers) ofHand(e *catalogue.Entry) *manager {
	m := t.prepare(e, demand{})
	t.add(m)
	if t.c.hosts.room(m) {
		t.c.hosts.ask(m)
	}
	return m
}

// add keeps a manager that is new.
func (t *managers) add(m *manager) {
	if m.id != 0 {
		return
	}
	t.next++
	m.id, m.idleSince = t.next, t.c.now
	t.byID.Set(m.id, m)
	t.byKey[m.key] = m
}

// of iterates over the managers of a version of a service.
func (t *managers) of(e *catalogue.Entry) func(yield func(*manager) bool) {
	return func(yield func(*manager) bool) {
		for _, m := range t.byID.All() {
			if m.entry == e && !yield(m) {
				return
			}
		}
	}
}

// wanted takes a manager's word of how many instances it would have.
func (t *managers) wanted(hosting uint32, n int) {
	if m, ok := t.c.hosts.running[hosting]; ok {
		m.want = max(n, 0)
		t.touch(m)
	}
}

// review settles one manager.
func (t *managers) review(m *manager) {
	t.judge(m)
	t.renewNext(m)
	live := m.count.live()
	target := m.want // without those by hand that serve
	if !m.startable() {
		target = 0
	}
	if surplus := min(live-target, live-m.count[fleet.Serving]); surplus > 0 {
		t.c.crew.stopNewest(m, surplus)
		live = m.count.live()
	}
	if _, waits := m.backoff.Holds(t.c.now); waits || m.sessions.Len() == 0 {
		target = min(target, live) // nothing is started for nobody
	}
	if target > live {
		t.c.pass.starves(m)
	}
	t.want(m, target+m.count[fleet.Leaving])
	if m.sessions.Len() == 0 && m.count == (tally{}) {
		t.discharge(m)
	}
	if m.spare() && live > 0 {
		t.warm.Set(m.id, m)
	} else {
		t.warm.Delete(m.id)
	}
	if m.hosting == 0 && !m.waits && m.containers.Len() == 0 && m.sessions.Len() == 0 {
		t.byID.Delete(m.id)
		t.warm.Delete(m.id)
		t.picky.Delete(m.id)
		if t.byKey[m.key] == m {
			delete(t.byKey, m.key)
		}
	}
}

// judge gives up the sessions that wait for an instance that will not come.
func (t *managers) judge(m *manager) {
	if m.serving() || m.failure == nil {
		return
	}
	if m.unready < patientStarts && m.failure.Code != protocol.CodeInterface {
		if m.failure.Code != protocol.CodeArtefact || m.placed || t.satisfiable(m) == nil {
			return
		}
	}
	t.giveUp(m, m.failure)
}

// giveUp fails the sessions that no instance has held yet. A later session has a try of its own, which the backoff may
// delay; when that fails as well, so does the session.
func (t *managers) giveUp(m *manager, err *protocol.Error) {
	m.unready, m.failure = min(m.unready, patientStarts-1), nil
	for _, s := range m.sessions.All() {
		if s.state != session.Running {
			t.c.sessions.fail(s, err)
		}
	}
}

// joined gives a node that has registered another try.
func (t *managers) joined(node string) {
	for _, m := range t.picky.All() {
		t.admitAgain(m, node)
	}
}

// lookAfter looks after a manager for what only time changes.
func (t *managers) lookAfter(m *manager) {
	now := t.c.now
	for name, until := range m.except.All() {
		if !now.Before(until) {
			t.admitAgain(m, name)
		}
	}
	if m.backoff.Deaths() >= fleet.PatientDeaths || m.want > m.count.live() {
		t.touch(m)
	}
	t.noteWaits(m)
	var err error
	if m.sessions.Len() > 0 && !m.placed {
		err = t.satisfiable(m)
	}
	switch {
	case err == nil:
		m.stuck = time.Time{}
	case m.stuck.IsZero():
		m.stuck = now
	case now.Sub(m.stuck) >= stuckLimit:
		m.stuck = time.Time{}
		t.giveUp(m, protocol.AsError(err, "control"))
	}
	t.cool(m)
}

// counted keeps the tallies and what follows from them: whether the sessions that wait have a container.
func (t *managers) counted(m *manager, c *fleet.Container, from fleet.State, isNew bool) {
	tally := &m.count
	if c.Node == nil {
		tally = &m.byHand
	}
	if !isNew {
		tally[from]--
	}
	if c.State == fleet.Exited {
		m.containers.Delete(c.ID)
	} else {
		tally[c.State]++
		if isNew && planted.Is(planted.StartCountedTwice) {
			tally[c.State]++
		}
		m.containers.Set(c.ID, c)
	}
	t.touch(m)
	placed := m.count.live()+m.byHand.live() > 0
	if placed == m.placed {
		return
	}
	m.placed = placed
	if m.hosting == 0 {
		return
	}
	for _, s := range m.sessions.All() {
		switch {
		case !placed:
			s.move(t.c.now, session.Unplaced)
		case s.move(t.c.now, session.Placed):
			t.c.sessions.happened(s, protocol.EventScheduled, "container "+onNode(c.ID, c.NodeName()))
		}
	}
}

// explain says what stands in the way of a manager, "" when nothing does; exact: with what changes from moment to moment.
func (m *manager) explain(t *managers, exact bool) string {
	now := t.c.now
	if why := t.c.hosts.shares.Explain(m.id); why != "" {
		return why
	}
	if !m.startable() {
		if m.want > m.byHand.live()-m.byHand[fleet.Serving] {
			return "it has no artefacts: an instance has to be started by hand"
		}
		return ""
	}
	if until, waits := m.backoff.Holds(now); waits && m.want > m.count.live() {
		next := ""
		if exact {
			next = fmt.Sprintf(" the next one starts in %v;", until.Sub(now).Round(time.Millisecond))
		}
		return fmt.Sprintf("%d containers died without a result in between;%s the last one: %s", m.backoff.Deaths(), next, m.last)
	}
	told, _ := t.sched.Explain(m.rid())
	why := told.String()
	t.c.pass.spend(t.lookup.Nodes())
	switch {
	case why != "" && m.last != "":
		return why + "; the last container: " + m.last
	case why != "":
		return why
	case !m.serving() && exact && m.count.live() > 0:
		return m.starting()
	case !m.serving() && m.last != "":
		return "the last container: " + m.last
	default:
		return ""
	}
}

// lacks says whether one of its sessions could do with an instance; without sessions it does, for the next one.
func (m *manager) lacks() bool {
	for _, s := range m.sessions.All() {
		if s.lacks() {
			return true
		}
	}
	return m.sessions.Len() == 0
}

// starting says how far the containers are that are being started, of a manager that has none which serves.
func (m *manager) starting() string {
	for _, c := range m.containers.All() {
		if c.Node == nil || c.State == fleet.Leaving {
			continue
		}
		step := "its agent is about to start it"
		switch {
		case c.Instance != 0:
			step = "its program has called worker.Serve, and is not ready for tasks yet"
		case c.State == fleet.Running:
			step = "its program runs, and has not called worker.Serve yet"
		}
		why := fmt.Sprintf("instance %s is starting: %s (given up %v after its start, limits.start)",
			onNode(c.ID, c.NodeName()), step, time.Duration(m.service.Limits.Start))
		if m.last != "" {
			why += "; the one before: " + m.last
		}
		return why
	}
	return ""
}

// lose notes that a container of the manager died out of turn.
func (t *managers) lose(m *manager, c *fleet.Container, why string) {
	m.last = cut(why)
	if c.Node == nil {
		return
	}
	if f := c.Failure; f != nil && (f.Code == protocol.CodeArtefact || f.Code == protocol.CodeUnavailable) {
		t.ruleOut(m, c.Node.Name, t.c.now.Add(exceptFor))
		if f.Code == protocol.CodeArtefact { // otherwise the agent is ending, which says nothing of the service
			m.failure = f
		}
		return
	}
	if c.Delivered {
		m.backoff.Delivered()
	}
	m.backoff.Died(t.c.now)
	if c.Served {
		return
	}
	m.unready++
	m.failure = c.Failure
	if m.failure == nil {
		m.failure = protocol.Errorf(protocol.CodeCreateFailed, "service "+m.service.Name, "its container was not ready before it %s", why)
	}
}

// recovered notes that an instance of the manager is ready.
func (m *manager) recovered() { m.unready, m.failure = 0, nil }
