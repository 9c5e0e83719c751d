package control

import (
	"time"

	"github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Core is the control loop's state machine. Make it with [New]. It is put together from parts that each own their
// state: who is there (lobby), sessions, session managers, where they run (hosts), containers (crew).
type Core struct {
	cfg      Config
	beat     time.Duration // between ticks: heartbeats, time-outs and restarts that were held back
	now      time.Time
	nextBeat time.Time

	out       *outbox
	lobby     *lobby
	sessions  *sessions
	managers  *managers
	hosts     *hosts
	crew      *crew
	pass      *pass
	catalogue catalogue.Catalogue

	queues       *queueing
	began        time.Time // at the first tick
	environments *environments
	queries      *queries
	dead         *deadLetters
	statistics   *statistics
}

// New makes the core of a broker that knows nothing yet. An error names the field of the configuration.
func New(cfg Config) (*Core, error) {
	bad := func(format string, args ...any) (*Core, error) {
		return nil, protocol.Errorf(protocol.CodeInvalid, "control", format, args...)
	}
	switch {
	case cfg.Incarnation == 0:
		return bad("Incarnation: is 0; it is a number drawn once by the process")
	case cfg.Loops < 1:
		return bad("Loops: %d is not at least 1", cfg.Loops)
	case cfg.Token == nil:
		return bad("Token: is nil; it draws the secrets of containers")
	case cfg.ClientGrace < 0:
		return bad("ClientGrace: %v is negative", cfg.ClientGrace)
	case cfg.PeerTimeout < 0:
		return bad("PeerTimeout: %v is negative", cfg.PeerTimeout)
	case cfg.ManagerCPU < 0:
		return bad("ManagerCPU: %d millicores are negative", cfg.ManagerCPU)
	case cfg.ManagerMemory < 0:
		return bad("ManagerMemory: %d bytes are negative", cfg.ManagerMemory)
	}
	if cfg.ClientGrace == 0 {
		cfg.ClientGrace = 30 * time.Second
	}
	if cfg.PeerTimeout == 0 {
		cfg.PeerTimeout = protocol.PeerTimeout
	}
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = protocol.DefaultMaxPayload
	}
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = 100_000
	}
	if cfg.ManagerCPU == 0 {
		cfg.ManagerCPU = 1000
	}
	if cfg.ManagerMemory == 0 {
		cfg.ManagerMemory = max(1<<30, cfg.MaxPayload)
	}
	if err := cfg.withDeadLetters(); err != nil {
		return nil, err
	}
	c := &Core{cfg: cfg, beat: protocol.HeartbeatWithin(cfg.PeerTimeout) / 2, out: newOutbox(link.NewNode(cfg.Epoch, cfg.Incarnation))}
	c.lobby = newLobby(c)
	c.sessions = newSessions(c)
	c.managers = newManagers(c)
	c.hosts = newHosts(c)
	c.crew = newCrew(c)
	c.pass = newPass(c)
	c.environments = newEnvironments(c)
	var err error
	if c.queues, err = newQueueing(c); err != nil {
		return nil, err
	}
	c.queries = &queries{c: c}
	c.dead = &deadLetters{c: c}
	c.statistics = &statistics{c: c}
	return c, nil
}

// Step takes one event. Whatever it led to at once is in the next Take; what containers it leads to is the matter of a
// pass, which is due when all that came has been stepped: [Core.Deadline] asks for [Core.Tick] then.
func (c *Core) Step(now time.Time, ev Event) {
	c.now = now
	switch ev := ev.(type) {
	case Frame:
		c.lobby.frame(ev)
	case PeerGone:
		c.lobby.peerGone(ev.Peer)
	case Note:
		c.note(ev)
	case Pressure:
		c.hosts.pressure = ev
	case Command:
		c.command(ev)
	case Survey:
		c.survey(ev)
	case Committed:
		c.out.durable = max(c.out.durable, ev.Position)
		return
	}
	c.pass.due = true
}

// Deadline says when [Core.Tick] is to be called next: at once when a pass is due, or is not finished.
func (c *Core) Deadline() (time.Time, bool) {
	if c.pass.due {
		return c.now, true
	}
	return c.nextBeat, true
}

// Tick does what is due: heartbeats, time-outs, restarts, and a slice of a pass, which is short enough for others to be
// served before the next. Called too early it does nothing.
func (c *Core) Tick(now time.Time) {
	c.now = now
	if c.began.IsZero() {
		c.began = now
	}
	if !now.Before(c.nextBeat) {
		c.nextBeat = now.Add(c.beat)
		c.queries.beat()
		c.managers.balance.look(c.managers)
		c.pass.beat()
	}
	if c.pass.due {
		c.pass.slice()
	}
}

// Take appends what is to be done to out and says whether there was anything.
func (c *Core) Take(out *Batch) bool { return c.out.take(out) }

// note takes what a manager loop tells.
func (c *Core) note(ev Note) {
	switch n := ev.Note; {
	case n.Wanted != nil:
		c.managers.wanted(n.Wanted.Manager, n.Wanted.Instances)
	case n.Changed != nil:
		c.sessions.changed(n.Changed)
	case n.Seat != nil:
		c.sessions.seated(n.Seat)
	case n.Ready != nil:
		c.crew.ready(n.Ready.Container)
	case n.Delivered != nil:
		c.crew.delivered(n.Delivered.Container)
	case n.Released != nil:
		c.crew.released(n.Released.Container, n.Released.Reason)
	case n.Silent != nil:
		c.crew.silent(n.Silent.Container, n.Silent.Reason)
	case n.Misdirected != nil:
		c.sessions.misdirected(n.Misdirected.Client, n.Misdirected.Session)
	case n.Figures != nil:
		c.sessions.figures(n.Figures)
	case n.Usage != nil:
		c.hosts.used(n.Usage)
	case n.Moved != nil:
		c.managers.moved(n.Moved)
	case n.Dead != nil:
		c.dead.add(n.Dead)
	case n.Attached != nil:
		tenancies{c.sessions}.attached(n.Attached)
	case n.Leave != nil:
		tenancies{c.sessions}.leave(n.Leave)
	case n.Left != nil:
		tenancies{c.sessions}.left(ev.Loop, n.Left)
	case n.Taken != nil:
		tenancies{c.sessions}.taken(n.Taken)
	case n.Answer != nil:
		c.queries.answered(n.Answer)
	case n.Counted != nil:
		c.statistics.over(n.Counted)
	case n.Mishap != nil:
		c.sessions.mishap(n.Mishap)
	case n.Kill != nil:
		c.crew.kill(n.Kill.Container, n.Kill.Reason)
	case n.Event != nil:
		c.sessions.tells(n.Event)
	}
}
