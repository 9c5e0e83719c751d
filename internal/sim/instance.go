package sim

import (
	"fmt"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// instance is one process that serves a service, with the shell of package worker around its engine, and simulated
// hooks.
type instance struct {
	w         *World
	process   *process
	actor     *actor
	engine    *engine.Engine
	batch     engine.Batch
	dealers   [engine.Lines]*dealer
	container *container // nil: started by hand
	hand      *hand
	service   *service
	slots     int
	hooks     []*hookRun // under way
	ended     []*hookRun // whose end the engine is to be told
	stopping  bool       // it got SIGTERM
	handles   []protocol.Handle
	life      instanceLife // for the checker
	spares    bool         // it is killed because of one hook, for which the other tasks there are not to suffer
	stopped   int64        // when a hook ended last whose context had ended
	data      askers
}

// hand is somebody who runs an instance by hand, and starts another one when it has ended.
type hand struct {
	w        *World
	service  *service
	host     int
	instance *instance
	lives    int
	leave    bool
}

// hookRun is one hook under way.
type hookRun struct {
	instance *instance
	job      engine.Job
	out      engine.Outcome
	begun    int64
	version  uint32
	session  *boundSession
	task     *task
	act      act
	kills    bool  // its end is the end of the process
	told     int64 // when its context ended; 0: it has not
	limited  bool  // it will end when its time is over
	speech
}

// startInstance starts the process of a container.
func (w *World) startInstance(k *container, host int) *instance {
	hello := protocol.Hello{
		Name: k.order.Service, Service: k.order.Service, Version: k.order.Version, Container: k.order.ID, Token: k.order.Token,
		Sessions: k.order.Sessions,
	}
	i := w.newInstance("instance-"+k.order.ID, host, hello, k.order.Slots)
	i.container = k
	i.service = w.serviceNamed(k.order.Service)
	return i
}

// start has somebody start an instance by hand.
func (h *hand) start() {
	if h.leave {
		return
	}
	h.lives++
	slots := h.w.drawParty.between(1, 2)
	h.instance = h.w.newInstance(fmt.Sprintf("hand-%s.%d", h.service.name, h.lives), h.host, protocol.Hello{
		Name: h.service.name, Service: h.service.name, Sessions: h.w.drawParty.between(1, 3),
	}, slots)
	h.instance.hand = h
	h.instance.service = h.service
}

func (w *World) newInstance(name string, host int, hello protocol.Hello, slots int) *instance {
	i := &instance{w: w, slots: slots}
	i.process = w.newProcess(instanceParty, name, host, i)
	i.actor = i.process.newActor(name, i.turn)
	i.engine = engine.New(engine.Config{
		Incarnation: w.incarnation(), Endpoints: []string{controlEndpoint}, Hello: hello, Slots: slots,
		Grace: w.plan.grace, Patience: engine.DefaultPatience,
		Jitter: func(d time.Duration) time.Duration { return d*3/4 + w.drawParty.span(0, d/2+1) },
	})
	i.engine.Start(i.process.now())
	w.instances = append(w.instances, i)
	w.tally.add(Instances)
	i.actor.ring()
	return i
}

// died closes the sockets and tells who started the process.
func (i *instance) died() { i.gone(-1, "SIGKILL") }

func (i *instance) gone(code int, signal string) {
	w := i.w
	for _, d := range i.dealers {
		if d != nil {
			w.net.close(d, w.drawNet.chance(500))
		}
	}
	for _, h := range i.hooks {
		h.version++
		switch {
		case h.task == nil:
		case i.spares:
			h.task.spared = true
		default:
			w.checker.died(h.task)
		}
	}
	for _, h := range i.ended { // nobody has heard of that
		if h.task != nil {
			h.task.spared = true
		}
	}
	for k := range w.instances {
		if w.instances[k] == i {
			w.instances = append(w.instances[:k], w.instances[k+1:]...)
			break
		}
	}
	switch {
	case i.container != nil:
		i.container.exited(code, signal)
	case !i.hand.leave:
		w.after(w.drawFault.span(time.Millisecond, 5*time.Second), i.hand.start)
	}
}

// terminate is SIGTERM.
func (i *instance) terminate() {
	if i.process.alive && !i.stopping {
		i.stopping = true
		i.actor.ring()
	}
}

// turn is one turn of the driver.
func (i *instance) turn() {
	w, now := i.w, i.process.now()
	for line := range engine.Lines {
		i.receive(line)
	}
	for _, h := range i.ended {
		i.hookDone(h)
	}
	clear(i.ended)
	i.ended = i.ended[:0]
	if i.stopping && !i.life.stopped {
		i.life.stopped = true
		w.step(atInstance)
		i.engine.Stop(now)
	}
	if at, ok := i.engine.Deadline(); ok && !now.Before(at) {
		w.step(atInstance)
		i.engine.Tick(now)
	}
	i.runHooks()
	if !i.process.alive || !i.flush() {
		return
	}
	if i.engine.State() == engine.Ended {
		i.end()
		return
	}
	i.actor.until(i.engine.Deadline())
}

// end is the end of the process in order.
func (i *instance) end() {
	w := i.w
	if i.engine.Abandons() {
		w.tally.add(HooksAbandoned)
		i.spares = true
	} else {
		w.checker.instanceEnds(i)
	}
	code := 0
	if err := i.engine.Err(); err != nil {
		code = 1
		if protocol.CodeOf(err) == protocol.CodeTaskPanicked {
			code = 2
		}
	}
	if w.tracing {
		w.trace("%s has ended, code %d", i.process.name, code)
	}
	w.tally.add(InstancesEnded)
	i.process.alive = false
	i.gone(code, "")
}

func (i *instance) receive(line engine.Line) {
	d := i.dealers[line]
	if d == nil {
		return
	}
	if d.ready {
		d.ready = false
		if d.blocked {
			d.blocked = false
			i.w.step(atInstance)
			i.engine.Writable(i.process.now(), line)
		}
	}
	for _, m := range d.in {
		i.w.checker.reaches(i, line, m)
		i.handles = i.process.table.take(m, i.handles[:0])
		i.w.step(atInstance)
		i.engine.Receive(i.process.now(), line, m.bytes, i.handles)
		i.w.net.done(m)
	}
	d.in = d.in[:0]
}

// flush carries out what the engine wants done, and says whether the process lives.
func (i *instance) flush() bool {
	p, b := i.process, &i.batch
	b.Reset()
	i.engine.Take(b)
	for _, o := range b.Orders {
		if !p.effect() {
			return false
		}
		i.obey(o)
	}
	for line := range engine.Lines {
		for _, f := range b.Frames[line] {
			if !p.effect() {
				return false
			}
			if _, records, handles, ok := f.Leave(); ok && i.dealers[line] != nil {
				if !i.dealers[line].send(records, handles) {
					i.engine.Blocked(line)
				}
			}
			f.Sent()
		}
	}
	for _, s := range b.Granted {
		if h, waits := s.Shell.(*hookRun); waits {
			h.saysOn()
		}
	}
	for n := range b.Answers {
		i.data.answered(i, &b.Answers[n])
	}
	p.table.releaseAll(i.engine.Released(b.Released))
	b.Released = b.Released[:0]
	return p.effect()
}

func (i *instance) obey(o engine.Order) {
	switch o.Kind {
	case engine.Dial:
		i.hangUp(o.Line)
		target := routerOf(o.Endpoint)
		if target < 0 {
			i.w.fail("endpoint", "%s is to dial %q", i.process.name, o.Endpoint)
			return
		}
		i.dealers[o.Line] = i.w.net.dial(i.process, i.actor, target, uint32(o.Line))
	case engine.HangUp:
		i.hangUp(o.Line)
	case engine.Cancel:
		for _, h := range i.hooks {
			if h.job.Session == o.Session {
				h.cancel(contextEnded)
			}
		}
	case engine.Abort:
		for _, h := range i.hooks {
			if o.For(&h.job) {
				i.w.tally.add(Aborted)
				h.cancel(o.Err)
			}
		}
	case engine.CancelAll:
		for _, h := range i.hooks {
			h.cancel(contextEnded)
		}
	}
}

func (i *instance) hangUp(line engine.Line) {
	if d := i.dealers[line]; d != nil {
		i.dealers[line] = nil
		i.w.net.close(d, false)
	}
}

// runHooks begins every hook that the engine has for the free slots.
func (i *instance) runHooks() {
	w := i.w
	for n := 0; ; n++ {
		if n > 100_000 {
			w.fail("busy", "%s has hooks to run without end", i.process.name)
			return
		}
		h := w.newHook(i)
		if !i.engine.Next(&h.job) {
			w.freeHooks = append(w.freeHooks, h)
			return
		}
		w.checker.begins(h)
		takes := h.plan()
		if w.failure != nil {
			return
		}
		if h.task != nil {
			h.begins()
		}
		if takes == 0 && !h.kills {
			i.hookDone(h)
			continue
		}
		i.hooks = append(i.hooks, h)
		w.queue.push(w.at+int64(h.withinLimits(takes)), evHook, h, h.version)
	}
}

// newHook gives an empty hookRun.
func (w *World) newHook(i *instance) *hookRun {
	n := len(w.freeHooks)
	if n == 0 {
		return &hookRun{instance: i, begun: w.at}
	}
	h := w.freeHooks[n-1]
	w.freeHooks = w.freeHooks[:n-1]
	*h = hookRun{instance: i, begun: w.at, version: h.version + 1}
	return h
}

// contextEnded is what a hook returns whose context has ended, when the context does not say why.
var contextEnded = protocol.Errorf(protocol.CodeTaskFailed, "OnTaskExec", "its context ended")

// cancel ends the context of a hook; most take note of it.
func (h *hookRun) cancel(why *protocol.Error) {
	w := h.instance.w
	if h.told == 0 {
		h.told = w.at
	}
	if h.kills || !w.drawParty.chance(w.plan.heeds) {
		return
	}
	h.version++
	h.heed(why)
	w.queue.push(w.at+int64(w.drawParty.span(0, 10*time.Millisecond)), evHook, h, h.version)
}

// heed has the hook of a task return why its context has ended.
func (h *hookRun) heed(why *protocol.Error) {
	if h.job.Kind == engine.Exec && (h.out.Err == nil || h.limited) {
		h.limited = false
		h.instance.w.payloadOf(h.instance, &h.out)
		h.out = engine.Outcome{Err: why}
		h.act = actCancelled
	}
}

// withinLimits gives how long the hook of a task takes that would take so long, but may know when its time is over.
func (h *hookRun) withinLimits(takes time.Duration) time.Duration {
	w, p := h.instance.w, h.instance.process
	due := h.job.Limits.DueFrom(p.now())
	if due.IsZero() || h.kills || !w.drawParty.chance(w.plan.heeds) {
		return takes
	}
	left := max(0, time.Duration(p.clock.when(int64(due.Sub(epochOfTime)))-w.at))
	if left < takes {
		h.heed(protocol.Errorf(protocol.CodeDeadline, "OnTaskExec", "its time is over"))
		h.limited = true
	}
	return min(takes, left)
}

// payloadOf gives back the result that a hook had made ready.
func (w *World) payloadOf(i *instance, out *engine.Outcome) {
	if out.Handle != 0 {
		i.process.table.release(out.Handle)
	}
}

// hookEnds is the event of a hook's end.
func (h *hookRun) hookEnds() {
	i := h.instance
	if !i.process.alive {
		return
	}
	if i.process.paused > i.w.at { // the hook stands still with the process
		i.w.queue.push(i.process.paused, evHook, h, h.version)
		return
	}
	if h.kills {
		i.w.tally.add(Poisoned)
		i.process.die("is ended by a hook")
		return
	}
	for k := range i.hooks {
		if i.hooks[k] == h {
			i.hooks = append(i.hooks[:k], i.hooks[k+1:]...)
			break
		}
	}
	i.ended = append(i.ended, h)
	i.actor.ring()
}

// hookDone tells the engine how a hook ended.
func (i *instance) hookDone(h *hookRun) {
	w := i.w
	w.step(atInstance)
	if h.told > 0 {
		i.stopped = w.at
	}
	if h.task != nil {
		h.concludes()
	}
	w.checker.ends(h)
	i.engine.Done(i.process.now(), &h.job, &h.out)
	if h.job.Kind == engine.Exec {
		i.engine.Account(1, time.Duration(w.at-h.begun))
	}
	h.version++
	w.freeHooks = append(w.freeHooks, h)
}
