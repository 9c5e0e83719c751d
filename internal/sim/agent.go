package sim

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
)

// agent is one process of a node's agent, with the shell of package worker/agent around its core, and a simulated
// launcher.
type agent struct {
	w       *World
	node    *node
	process *process
	actor   *actor
	core    *core.Core
	batch   core.Batch
	dealer  *dealer
	inbox   []core.Event
	running map[string]*container // that have started and not ended
	all     []*container          // that are being started or run
	over    bool
}

// node is a compute node: it has one agent after another.
type node struct {
	name  string
	host  int
	agent *agent
	lives int
	kind  string // its node type
	leave bool   // its next agent does not come
}

// container is what an agent has started.
type container struct {
	agent    *agent
	order    protocol.StartContainer
	instance *instance
}

// startAgent begins a process of the agent of a node.
func (w *World) startAgent(n *node) {
	n.lives++
	a := &agent{w: w, node: n, running: make(map[string]*container)}
	a.process = w.newProcess(agentParty, fmt.Sprintf("agent-%s.%d", n.name, n.lives), n.host, a)
	a.actor = a.process.newActor(a.process.name, a.turn)
	a.dealer = w.net.dial(a.process, a.actor, 0, 0)
	a.core = core.New(a.process.now(), core.Config{
		Brokers: []string{controlEndpoint}, Incarnation: w.incarnation(), Host: n.name, Jitter: w.drawParty.unit,
		Node: protocol.RegisterNode{
			Name: n.name, Platform: "linux/amd64", NodeType: n.kind,
			Capacity: protocol.Capacity{CPU: int64(w.plan.places) * 1000, Memory: 64 << 30},
		},
	})
	n.agent = a
	a.actor.ring()
}

// died ends the containers with their agent, and has another agent started after a while.
func (a *agent) died() {
	w := a.w
	w.net.close(a.dealer, w.drawNet.chance(500))
	for _, k := range a.all {
		if k.instance != nil {
			k.instance.process.die("dies with its agent")
		}
	}
	if !a.node.leave {
		w.after(w.drawFault.span(time.Millisecond, w.plan.agentDown), func() { w.startAgent(a.node) })
	}
}

// turn is one turn of the agent's loop.
func (a *agent) turn() {
	w, now := a.w, a.process.now()
	if d := a.dealer; d.ready {
		d.ready = false
		if d.blocked {
			d.blocked = false
			a.step(core.Reachable{})
		}
	}
	for _, m := range a.dealer.in {
		a.step(core.Received{Frame: m.bytes})
		w.net.done(m)
	}
	a.dealer.in = a.dealer.in[:0]
	events := a.inbox
	a.inbox = nil
	for _, ev := range events {
		a.step(ev)
	}
	w.step(atAgent)
	a.core.Tick(now)
	if !a.perform() {
		return
	}
	a.actor.until(a.core.Deadline())
}

func (a *agent) step(ev core.Event) {
	a.w.step(atAgent)
	a.core.Step(a.process.now(), ev)
}

// perform does all that the core wants, and says whether the process lives.
func (a *agent) perform() bool {
	p := a.process
	for rounds := 0; a.core.Take(&a.batch); rounds++ {
		if rounds > 1000 {
			a.w.fail("busy", "%s has more to do without end", p.name)
			return false
		}
		for _, n := range a.batch.Notes {
			if a.w.tracing {
				a.w.trace("%s notes: %v %s %s", p.name, n.Kind, n.Container, n.Text)
			}
		}
		for _, order := range a.batch.Starts {
			if !p.effect() {
				return false
			}
			a.start(order)
		}
		for _, stop := range a.batch.Stops {
			if !p.effect() {
				return false
			}
			if k := a.running[stop.ID]; k != nil {
				k.stop(stop.Grace)
			}
		}
		for _, send := range a.batch.Sends {
			if !p.effect() {
				return false
			}
			if _, records, _, ok := send.Frame.Leave(); ok && !a.dealer.send(records, nil) {
				a.step(core.Gone{Broker: send.Broker})
			}
			send.Frame.Sent()
		}
		if a.batch.Over {
			a.over = true
			a.node.leave = a.w.phase >= leavingPhase
			p.die("has ended")
			return false
		}
	}
	return p.effect()
}

func (a *agent) put(ev core.Event) {
	if a.process.alive {
		a.inbox = append(a.inbox, ev)
		a.actor.ring()
	}
}

// start starts a container, which takes a while and may fail.
func (a *agent) start(order protocol.StartContainer) {
	w := a.w
	k := &container{agent: a, order: order}
	a.all = append(a.all, k)
	w.tally.add(Starts)
	w.checker.started(a, order.ID)
	draw := &w.drawParty
	failed, takes := !w.healing && draw.chance(w.plan.startFails), draw.span(0, w.plan.startTakes)
	code := protocol.CodeOverloaded
	if draw.chance(300) {
		code = protocol.CodeArtefact
	}
	w.after(takes, func() {
		if !a.process.alive {
			return
		}
		if failed {
			w.tally.add(StartsFailed)
			a.forget(k)
			a.put(core.StartFailed{ID: order.ID, Error: protocol.Errorf(code, "start container "+order.ID, "as the seed will have it")})
			return
		}
		a.running[order.ID] = k
		k.instance = w.startInstance(k, a.node.host)
		a.put(core.Started{ID: order.ID, PID: 1})
	})
}

// forget drops a container that is over.
func (a *agent) forget(k *container) {
	for i := range a.all {
		if a.all[i] == k {
			a.all = append(a.all[:i], a.all[i+1:]...)
			return
		}
	}
}

// exited tells the agent that the instance's process is gone.
func (k *container) exited(code int, signal string) {
	a := k.agent
	if !a.process.alive {
		return
	}
	a.w.after(a.w.drawParty.span(0, 20*time.Millisecond), func() {
		delete(a.running, k.order.ID)
		a.forget(k)
		a.put(core.Exited{ID: k.order.ID, Code: code, Signal: signal})
	})
}

// stop asks the container's process to end, and kills it when the grace is over.
func (k *container) stop(grace time.Duration) {
	i := k.instance
	i.terminate()
	k.agent.w.after(grace, func() {
		if i.process.alive {
			k.agent.w.tally.add(Killed)
			i.process.die("is killed after its grace")
		}
	})
}
