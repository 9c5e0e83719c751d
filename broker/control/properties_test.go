package control_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// simManager is a session manager as the manager loops would have it, in the simplest form.
type simManager struct {
	id        uint32
	loop      int
	retired   bool
	min       int
	wanted    int
	sessions  map[uint32]bool   // true: running
	instances map[string]uint64 // container to incarnation
	ready     map[string]bool
}

// simContainer is a container as its agent has it.
type simContainer struct {
	start   protocol.StartContainer
	node    *peer
	running bool
	inst    *peer
}

// sim is a world with managers and agents that do as they are told, at the moments that a test chooses.
type sim struct {
	*world
	managers   map[uint32]*simManager
	order      []uint32
	containers []*simContainer
	opened     map[uint32]uint32 // session to manager
	ended      map[uint32]string
	pending    int // orders that were not looked at yet
	apps       []*peer
	agents     []*peer
	sessions   uint32          // opened
	warm       map[string]bool // instances without a manager; true: ready
	seen       map[string]bool
	stopping   map[string]bool
	next       uint64
}

func newSim(t fataler, change func(*Config)) *sim {
	s := &sim{
		world: newWorld(t, change), managers: map[uint32]*simManager{}, opened: map[uint32]uint32{}, ended: map[uint32]string{},
		warm: map[string]bool{}, seen: map[string]bool{}, stopping: map[string]bool{}, next: 1000,
	}
	s.on = s.received
	ops := s.join("ops", protocol.Hello{Role: protocol.RoleClient}, 1)
	for i := range 3 {
		s.send(ops, protocol.KindRegisterService, 1, protocol.Service{
			Name: fmt.Sprint("s", i), Instances: protocol.Instances{Min: 1, Max: 3},
			Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/x"}},
		})
	}
	for i := range 2 {
		s.agents = append(s.agents, s.joinAgent(i))
		s.apps = append(s.apps, s.join(fmt.Sprint("app", i), protocol.Hello{Role: protocol.RoleClient}, uint64(10+i)))
	}
	return s
}

func (s *sim) joinAgent(i int) *peer {
	s.next++
	name := fmt.Sprint("n", i)
	delete(s.peers, name)
	p := s.join(name, protocol.Hello{Role: protocol.RoleAgent, Name: name}, s.next)
	s.register(p, nil)
	return p
}

func (s *sim) register(p *peer, has []protocol.Container) {
	s.send(p, protocol.KindRegisterNode, 1, protocol.RegisterNode{
		Name: p.name, Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30}, Containers: has,
	})
}

// live counts the containers of a manager that were started and were neither told to end nor are gone.
func (s *sim) live(service string) (n int) {
	for _, c := range s.containers {
		if c.start.Service == service && !s.stopping[c.start.ID] {
			n++
		}
	}
	return n
}

// wants is how many instances the managers of a service want together, and how many of them for sessions.
func (s *sim) wants(service string) (n, needed int) {
	for _, id := range s.order {
		if m := s.managers[id]; !m.retired && s.names(id) == service {
			n += m.wanted
			if len(m.sessions) > 0 {
				needed += m.wanted
			}
		}
	}
	return n, needed
}

func (s *sim) names(manager uint32) string {
	for _, o := range s.orders {
		if o.Order.Serve != nil && o.Order.Serve.Manager == manager {
			return o.Order.Serve.Service.Name
		}
	}
	return ""
}

// received does what agents do when they are told something, and looks at what all get.
func (s *sim) received(p *peer, r protocol.Record) {
	switch r.Kind { //nolint:exhaustive // the others are of no interest here
	case protocol.KindStartContainer:
		start := decode[protocol.StartContainer](s.t, r)
		if s.seen[start.ID] {
			s.t.Fatalf("container %s is started twice", start.ID)
		}
		s.seen[start.ID] = true
		s.containers = append(s.containers, &simContainer{start: start, node: p})
	case protocol.KindStopContainer:
		s.stopping[decode[protocol.StopContainer](s.t, r).ID] = true
	case protocol.KindSessionOpened:
		s.sessions = max(s.sessions, decode[protocol.SessionOpened](s.t, r).Session)
	case protocol.KindSessionState:
		st := decode[protocol.SessionState](s.t, r)
		if st.State == protocol.SessionQueued {
			if st.Reason == "" || s.opened[st.Session] != 0 {
				s.t.Fatalf("session %d waits for %q at manager %d", st.Session, st.Reason, s.opened[st.Session])
			}
			return
		}
		if before := s.ended[st.Session]; before != "" {
			s.t.Fatalf("session %d is %s after it was %s", st.Session, st.State, before)
		}
		if st.State != protocol.SessionRunning {
			s.ended[st.Session] = st.State
		}
	case protocol.KindNodePage:
		for _, n := range decode[protocol.NodePage](s.t, r).Entries {
			if f := n.Free; f.CPU < 0 || f.Memory < 0 {
				s.t.Fatalf("node %s has %+v free", n.Name, f)
			}
		}
	}
}

// loops has the manager loops look at n of the orders that they have not seen.
func (s *sim) work(n int) {
	for ; n > 0 && s.pending < len(s.orders); n-- {
		o := s.orders[s.pending]
		s.pending++
		s.obey(o.Loop, o.Order)
	}
}

func (s *sim) manager(loop int, id uint32) *simManager {
	m := s.managers[id]
	if m == nil || m.retired || m.loop != loop {
		s.t.Fatalf("loop %d is told of manager %d: %+v", loop, id, m)
	}
	return m
}

func (s *sim) obey(loop int, o session.Order) {
	switch {
	case o.Serve != nil:
		if s.managers[o.Serve.Manager] != nil {
			s.t.Fatalf("manager %d is made twice", o.Serve.Manager)
		}
		s.managers[o.Serve.Manager] = &simManager{
			id: o.Serve.Manager, loop: loop, min: o.Serve.Service.Instances.Min,
			sessions: map[uint32]bool{}, instances: map[string]uint64{}, ready: map[string]bool{},
		}
		s.order = append(s.order, o.Serve.Manager)
	case o.Retire != nil:
		m := s.manager(loop, o.Retire.Manager)
		if len(m.sessions) > 0 {
			s.t.Fatalf("manager %d is retired with sessions", m.id)
		}
		m.retired, m.wanted = true, 0
		for container := range m.instances { // order does not matter: fills a map
			s.warm[container] = m.ready[container]
		}
		m.instances, m.ready = nil, nil
	case o.Open != nil:
		m := s.manager(loop, o.Open.Manager)
		if _, twice := s.opened[o.Open.Session]; twice {
			s.t.Fatalf("session %d is opened twice", o.Open.Session)
		}
		s.opened[o.Open.Session] = m.id
		m.sessions[o.Open.Session] = false
		s.want(m, max(m.wanted, m.min))
		s.bind(m)
	case o.Close != nil:
		m := s.manager(loop, s.opened[o.Close.Session])
		if _, ok := m.sessions[o.Close.Session]; ok {
			delete(m.sessions, o.Close.Session)
			s.note(loop, session.Note{Changed: &session.Changed{Session: o.Close.Session, State: protocol.SessionClosed}})
		}
	case o.Admit != nil:
		m := s.manager(loop, o.Admit.Manager)
		if m.instances[o.Admit.Container] != 0 {
			s.t.Fatalf("container %s is announced twice", o.Admit.Container)
		}
		m.instances[o.Admit.Container] = o.Admit.Incarnation
		if s.warm[o.Admit.Container] {
			m.ready[o.Admit.Container] = true
			s.note(loop, session.Note{Ready: &session.Ready{Container: o.Admit.Container}})
			s.bind(m)
		}
		delete(s.warm, o.Admit.Container)
	case o.Dismiss != nil:
		s.stopping[o.Dismiss.Container] = true
	case o.Lost != nil:
		delete(s.warm, o.Lost.Container)
		for _, m := range s.managers {
			delete(m.instances, o.Lost.Container)
			delete(m.ready, o.Lost.Container)
		}
	}
}

func (s *sim) want(m *simManager, n int) {
	if m.wanted != n {
		m.wanted = n
		s.note(m.loop, session.Note{Wanted: &session.Wanted{Manager: m.id, Instances: n}})
	}
}

// bind runs the sessions of a manager that has a ready instance.
func (s *sim) bind(m *simManager) {
	if len(m.ready) == 0 {
		return
	}
	for _, number := range sortedKeys(m.sessions) {
		if !m.sessions[number] {
			m.sessions[number] = true
			s.note(m.loop, session.Note{Changed: &session.Changed{Session: number, State: protocol.SessionRunning}})
		}
	}
}

func sortedKeys[V any](m map[uint32]V) []uint32 {
	var keys []uint32
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// progress takes a container one step on its way: its process runs, its instance says HELLO, it is ready.
func (s *sim) progress(c *simContainer) {
	switch {
	case s.stopping[c.start.ID]:
		s.exit(c, protocol.ContainerState{Signal: "SIGTERM"})
	case !c.running:
		c.running = true
		s.send(c.node, protocol.KindContainerState, 1, protocol.ContainerState{ID: c.start.ID, State: protocol.ContainerRunning})
	case c.inst == nil:
		s.next++
		c.inst = s.join("i-"+c.start.ID, protocol.Hello{
			Role: protocol.RoleInstance, Service: c.start.Service, Container: c.start.ID, Token: c.start.Token,
		}, s.next)
	default:
		for _, id := range s.order {
			if m := s.managers[id]; m.instances[c.start.ID] != 0 && !m.ready[c.start.ID] {
				m.ready[c.start.ID] = true
				s.note(m.loop, session.Note{Ready: &session.Ready{Container: c.start.ID}})
				s.bind(m)
			}
		}
	}
}

func (s *sim) exit(c *simContainer, state protocol.ContainerState) {
	state.ID, state.State = c.start.ID, protocol.ContainerExited
	s.gone(c)
	s.send(c.node, protocol.KindContainerState, 1, state)
}

func (s *sim) gone(c *simContainer) {
	s.containers = slices.DeleteFunc(s.containers, func(o *simContainer) bool { return o == c })
	if c.inst != nil {
		delete(s.byPeer, c.inst.id)
		delete(s.peers, c.inst.name)
	}
}

// act does one thing of those that can happen.
func (s *sim) act(what, a, b int) {
	app := s.apps[a%len(s.apps)]
	switch what {
	case 0:
		s.next++
		s.send(app, protocol.KindOpenSession, 1, protocol.OpenSession{Key: s.next, Service: fmt.Sprint("s", b%3)})
	case 1:
		if s.sessions > 0 {
			mode := []string{protocol.CloseFinish, protocol.CloseKill}[b%2]
			s.send(app, protocol.KindCloseSession, 1, protocol.CloseSession{Session: 1 + uint32(a)%s.sessions, Mode: mode})
		}
	case 2:
		s.work(1 + b%4)
	case 3:
		if len(s.containers) > 0 {
			s.progress(s.containers[a%len(s.containers)])
		}
	case 4:
		if len(s.containers) > 0 {
			state := protocol.ContainerState{Code: b % 3}
			if b == 7 {
				state.Error = protocol.Errorf(protocol.CodeArtefact, "start", "no such file")
			}
			s.exit(s.containers[a%len(s.containers)], state)
		}
	case 5:
		s.advance(time.Duration(b) * 400 * time.Millisecond)
	case 6: // a node dies, and another agent comes in its place
		i := a % len(s.agents)
		s.agents[i].cut = true
		for _, c := range slices.Clone(s.containers) {
			if c.node == s.agents[i] {
				s.gone(c)
			}
		}
		s.advance(time.Second)
		s.agents[i] = s.joinAgent(i)
	case 7:
		s.agents[a%len(s.agents)].cut = true
		s.advance(time.Duration(b) * 200 * time.Millisecond)
		s.connect(s.agents[a%len(s.agents)])
	case 8:
		if len(s.order) > 0 {
			if m := s.managers[s.order[a%len(s.order)]]; len(m.sessions) > 0 {
				s.want(m, 1+b%3)
			}
		}
	case 9:
		s.send(s.peers["ops"], protocol.KindListNodes, 1, protocol.ListRequest{})
	case 10: // a client leaves, and another one comes in its place
		i := a % len(s.apps)
		s.send(s.apps[i], protocol.KindBye, 0, nil)
		delete(s.peers, s.apps[i].name)
		s.next++
		s.apps[i] = s.join(fmt.Sprint("app", i), protocol.Hello{Role: protocol.RoleClient}, s.next)
	}
}

// checkShares holds the managers that run against what the loops have for them.
func (s *sim) checkShares(each int) {
	on := map[int]int{}
	for _, o := range s.orders {
		switch {
		case o.Order.Serve != nil:
			on[o.Loop]++
		case o.Order.Retire != nil:
			on[o.Loop]--
		}
		if on[o.Loop] > each || on[o.Loop] < 0 {
			s.t.Fatalf("loop %d has %d managers, it has room for %d", o.Loop, on[o.Loop], each)
		}
	}
}

// waiting gives the sessions that no loop was told of and that are not over.
func (s *sim) waiting() (numbers []uint32) {
	over := map[uint32]bool{}
	for _, r := range s.history {
		if r.End != nil {
			over[r.End.Session] = true
		}
	}
	for n := uint32(1); n <= s.sessions; n++ {
		if s.opened[n] == 0 && !over[n] {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// idle gives the managers that have a share and no session.
func (s *sim) idle() (ids []uint32) {
	for _, id := range s.order {
		if m := s.managers[id]; !m.retired && len(m.sessions) == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// settle lets everything go well for as long as it takes.
func (s *sim) settle() {
	for range 60 {
		for range 10 {
			s.work(100)
			for _, c := range slices.Clone(s.containers) {
				s.progress(c)
			}
		}
		s.advance(2 * time.Second)
		for _, p := range s.agents {
			if p.cut {
				s.connect(p)
			}
		}
	}
}

// TestTheFabricComesToRest plays random events against two equal cores.
func TestTheFabricComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		each := rapid.SampledFrom([]int{1, 20}).Draw(t, "managers on a loop")
		small := func(c *Config) { c.ManagerCPU = int64(each) * protocol.DefaultManagerCPU }
		one, other := newSim(t, small), newSim(t, small)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			what, a, b := rapid.IntRange(0, 10).Draw(t, "what"), rapid.IntRange(0, 7).Draw(t, "a"), rapid.IntRange(0, 7).Draw(t, "b")
			one.act(what, a, b)
			other.act(what, a, b)
			if one.log.String() != other.log.String() {
				t.Fatalf("equal events, unequal answers:\n%s\n---\n%s", one.log.String(), other.log.String())
			}
			one.checkShares(each)
			if one.pending == len(one.orders) {
				for i := range 3 {
					name := fmt.Sprint("s", i)
					wants, _ := one.wants(name)
					if live := one.live(name); live > max(wants, countServing(one, name)) {
						t.Fatalf("%d containers of %s live, and %d are wanted", live, name, wants)
					}
				}
			}
		}
		one.settle()
		if waits, idle := one.waiting(), one.idle(); len(waits) > 0 && len(idle) > 0 {
			t.Fatalf("sessions %v wait, and managers %v have none\n%s", waits, idle, one.log.String())
		}
		for number, manager := range one.opened {
			m := one.managers[manager]
			running, open := m.sessions[number]
			if open && !running && one.ended[number] == "" {
				t.Fatalf("session %d neither runs nor is over; its manager wants %d, has %v\n%s", number, m.wanted, m.instances, one.log.String())
			}
		}
		for i := range 3 {
			name := fmt.Sprint("s", i)
			serving := countServing(one, name)
			if _, needed := one.wants(name); needed > serving {
				t.Fatalf("%d instances of %s serve, and %d are wanted\n%s", serving, name, needed, one.log.String())
			}
			if live := one.live(name); live != serving {
				t.Fatalf("%d containers of %s live, and %d serve\n%s", live, name, serving, one.log.String())
			}
		}
		one.serveAll()
		one.checkShares(each)
	})
}

// serveAll closes sessions until all that waited have been served, and then all; nothing stays in the end.
func (s *sim) serveAll() {
	for waits := s.waiting(); len(waits) > 0; waits = s.waiting() {
		for number := range s.opened { // order does not matter: all of them
			s.send(s.apps[0], protocol.KindCloseSession, 1, protocol.CloseSession{Session: number, Mode: protocol.CloseKill})
		}
		s.settle()
		if left := s.waiting(); len(left) == len(waits) {
			s.t.Fatalf("sessions %v wait although all others were closed\n%s", left, s.log.String())
		}
	}
	for number := uint32(1); number <= s.sessions; number++ {
		s.send(s.apps[0], protocol.KindCloseSession, 1, protocol.CloseSession{Session: number, Mode: protocol.CloseKill})
	}
	s.settle()
	if len(s.containers) > 0 || len(s.idle()) > 0 || len(s.waiting()) > 0 {
		s.t.Fatalf("%d containers, managers %v and sessions %v are left\n%s", len(s.containers), s.idle(), s.waiting(), s.log.String())
	}
}

// countServing counts the instances of a service that are known to be ready, those without a manager as well.
func countServing(s *sim, service string) (n int) {
	for _, c := range s.containers {
		if c.start.Service == service && s.warm[c.start.ID] {
			n++
		}
	}
	for _, m := range s.managers {
		if s.names(m.id) == service {
			n += len(m.ready)
		}
	}
	return n
}

// TestGarbageHarmsNobody sends frames with wrong bytes in them, from peers of all roles.
func TestGarbageHarmsNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, nil)
		given(w, 1, 1)
		var frame []byte
		p := w.peers[rapid.SampledFrom([]string{"ops", "app", "n1"}).Draw(t, "peer")]
		for k := protocol.Kind(0); k < 128; k++ {
			if v := protocol.NewBody(k); v != nil && k != protocol.KindError {
				p.link.Append(k, 1, 1, protocol.Marshal(v))
			}
		}
		for _, f := range p.node.Take(nil) {
			if _, b, _, ok := f.Leave(); ok {
				frame = slices.Clone(b)
			}
		}
		for range rapid.IntRange(0, 8).Draw(t, "faults") {
			frame[rapid.IntRange(0, len(frame)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		w.quiet = true
		w.step(Frame{Peer: p.id, Bytes: frame[:rapid.IntRange(0, len(frame)).Draw(t, "length")]})
		w.advance(time.Second)
		other := w.join("witness", protocol.Hello{Role: protocol.RoleClient}, 99)
		answered := false
		w.on = func(p *peer, r protocol.Record) {
			answered = answered || p == other && r.Kind == protocol.KindServicePage
		}
		w.send(other, protocol.KindListServices, 1, protocol.ListRequest{})
		if !answered {
			t.Fatalf("nobody is served any more")
		}
	})
}
