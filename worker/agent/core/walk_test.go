package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// walker drives a core at random: orders, starts that succeed or fail, exits, lost connections, brokers that are born
// again; and holds it to what it promises.
type walker struct {
	t     *testing.T
	core  *Core
	rng   *rand.Rand
	now   time.Time
	batch Batch

	node    *link.Node
	link    *link.Link
	cut     bool
	awaits  bool // a HELLO waits for its welcome
	header  protocol.Header
	hello   protocol.Hello
	answers []uint64 // to be answered by Done

	starting, running map[string]bool
	told              map[string]string // last state that this broker heard of
	births            uint64
}

const walkIDs = 6

func (w *walker) birth() {
	w.births++
	w.node = link.NewNode(protocol.NewEpoch(w.births, 1), w.births)
	w.link, w.awaits, w.answers, w.told = w.node.Link(), false, nil, map[string]string{}
}

// TestWalk is the property: a container is started once, stopped only while it runs, and the broker that stays in the
// end knows the truth about all.
func TestWalk(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &walker{
				t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0),
				starting: map[string]bool{}, running: map[string]bool{},
			}
			w.birth()
			w.core = New(w.now, Config{Brokers: []string{"tcp://b:1"}, Incarnation: 9, Jitter: w.rng.Float64})
			for range 400 {
				w.step()
				w.pump()
			}
			w.settle()
		})
	}
}

func (w *walker) step() {
	id := fmt.Sprintf("c%d", w.rng.IntN(walkIDs))
	switch n := w.rng.IntN(100); {
	case n < 25:
		w.now = w.now.Add(time.Duration(w.rng.IntN(700)) * time.Millisecond)
		w.core.Tick(w.now)
	case n < 35:
		w.link.Append(protocol.KindStartContainer, 0, 0, protocol.Marshal(protocol.StartContainer{ID: id, Service: "s"}))
	case n < 45:
		w.link.Append(protocol.KindStopContainer, 0, 0, protocol.Marshal(protocol.StopContainer{ID: id, Grace: time.Second}))
	case n < 60 && w.starting[id]:
		delete(w.starting, id)
		if n < 55 {
			w.running[id] = true
			w.core.Step(w.now, Started{ID: id, PID: 1})
		} else {
			w.core.Step(w.now, StartFailed{ID: id, Error: protocol.Errorf(protocol.CodeArtefact, "x", "y")})
		}
	case n < 70 && w.running[id]:
		delete(w.running, id)
		w.core.Step(w.now, Exited{ID: id, Code: 1})
	case n < 80:
		w.answer()
	case n < 84:
		w.cut = !w.cut
	case n < 86:
		w.birth()
	case n < 92:
		w.core.Step(w.now, Reachable{})
	}
}

// answer does what a broker owes.
func (w *walker) answer() {
	if w.awaits && !w.cut {
		w.awaits = false
		if !w.link.Accept(1, w.header, w.hello, protocol.Welcome{Version: 1}) {
			w.answers, w.told = nil, map[string]string{}
		}
	}
	for _, id := range w.answers {
		w.link.Append(protocol.KindDone, 0, id, nil)
	}
	w.answers = nil
}

func (w *walker) pump() {
	for moved := true; moved; {
		moved = w.core.Take(&w.batch)
		for _, s := range w.batch.Sends {
			if _, frame, _, ok := s.Frame.Leave(); ok && w.cut {
				w.core.Step(w.now, Gone{})
			} else if ok {
				w.arrive(frame)
			}
			s.Frame.Sent()
		}
		for _, s := range w.batch.Starts {
			if w.starting[s.ID] || w.running[s.ID] {
				w.t.Fatalf("%s is started while it is there", s.ID)
			}
			w.starting[s.ID] = true
		}
		for _, s := range w.batch.Stops {
			if !w.running[s.ID] {
				w.t.Fatalf("%s is stopped while it does not run", s.ID)
			}
		}
		for _, n := range w.batch.Notes {
			if n.Kind == NoteIgnored && n.Container != "" {
				w.t.Fatalf("the table refuses: %+v", n)
			}
		}
		for _, f := range w.node.Take(nil) {
			moved = true
			if _, frame, _, ok := f.Leave(); ok && !w.cut {
				w.core.Step(w.now, Received{Frame: frame})
			}
			f.Sent()
		}
	}
}

func (w *walker) arrive(frame []byte) {
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		w.t.Fatal(err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	found, _ := r.Next(&rec)
	if found && rec.Kind == protocol.KindHello {
		w.header, w.hello, w.awaits = h, protocol.Hello{}, true
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &w.hello); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	if w.link.Receive(h, len(frame)) != link.Fresh {
		w.core.Step(w.now, Received{Frame: w.node.Rehello(nil)})
		return
	}
	for ; found; found, _ = r.Next(&rec) {
		switch rec.Kind { //nolint:exhaustive // the others are of no interest here
		case protocol.KindRegisterNode:
			var body protocol.RegisterNode
			if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
				w.t.Fatal(err)
			}
			for _, k := range body.Containers {
				w.told[k.ID] = k.State
			}
			w.answers = append(w.answers, rec.Task)
		case protocol.KindContainerState:
			var body protocol.ContainerState
			if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
				w.t.Fatal(err)
			}
			w.told[body.ID] = body.State
			w.answers = append(w.answers, rec.Task)
		}
	}
}

// settle heals everything, lets every start succeed, and compares what the broker knows with what there is.
func (w *walker) settle() {
	w.cut = false
	for range 100 {
		w.now = w.now.Add(250 * time.Millisecond)
		w.core.Tick(w.now)
		w.pump()
		w.answer()
		w.pump()
		for i := range walkIDs {
			if id := fmt.Sprintf("c%d", i); w.starting[id] {
				delete(w.starting, id)
				w.running[id] = true
				w.core.Step(w.now, Started{ID: id, PID: 1})
			}
		}
	}
	for i := range walkIDs {
		id := fmt.Sprintf("c%d", i)
		state, known := w.told[id]
		alive := known && state != protocol.ContainerExited
		if there := w.running[id]; alive != there {
			w.t.Errorf("the broker believes that %s is %q; it is there: %v", id, state, there)
		}
		k, kept := w.core.roster.containers.Get(id)
		if kept && k.state == Ended {
			w.t.Errorf("%s ended, the broker knows, and it is kept: %+v", id, k)
		}
	}
	if len(w.core.leader.reports) != 0 {
		w.t.Errorf("reports were answered and are kept: %v", w.core.leader.reports)
	}
}

// FuzzReceived holds the core to live through whatever a broker sends.
func FuzzReceived(f *testing.F) {
	hello := protocol.Welcome{Version: 1, Broker: "b"}
	f.Add(protocol.AppendBody(nil, protocol.KindWelcome, 0, 0, hello), uint64(1)<<48|1)
	f.Add(protocol.AppendBody(nil, protocol.KindStartContainer, 0, 3, protocol.StartContainer{ID: "c"}), uint64(1)<<48|2)
	f.Add(protocol.AppendBody(nil, protocol.KindError, 0, 1, protocol.Errorf(protocol.CodeInternal, "a", "b")), uint64(0))
	f.Add(protocol.AppendExternal(nil, protocol.KindStopContainer, 0, 3, 9999), uint64(1)<<48|2)
	f.Add([]byte("junk"), uint64(1)<<48|2)
	f.Fuzz(func(t *testing.T, records []byte, sequence uint64) {
		now := time.Unix(1e9, 0)
		c := New(now, Config{Brokers: []string{"tcp://b:1"}, Incarnation: 9, Jitter: func() float64 { return 0 }})
		c.Tick(now)
		h := protocol.Header{Version: 1, Epoch: 5, Incarnation: 7, Sequence: protocol.NewStamp(1, 1)}
		take := func() {
			var b Batch
			for n := 0; c.Take(&b); n++ {
				if n > 10 {
					t.Fatalf("there is more to do without end: %+v", b)
				}
				for _, s := range b.Sends {
					s.Frame.Leave()
					s.Frame.Sent()
				}
			}
		}
		take()
		send := func(h protocol.Header, records []byte) {
			c.Step(now, Received{Frame: append(protocol.AppendHeader(nil, h), records...)})
			take()
		}
		send(h, protocol.AppendBody(nil, protocol.KindWelcome, 0, 0, hello))
		if c.leader.at != 0 {
			t.Fatal("the welcome was not taken")
		}
		h.Sequence = protocol.Stamp(sequence)
		send(h, records)
		c.Tick(now.Add(time.Hour))
		if _, ok := c.Deadline(); !ok {
			t.Error("there is nothing to wait for any more")
		}
	})
}

// TestBeatsAsTheBrokerSays: a broker with a short time-out is shown more often that the agent lives.
func TestBeatsAsTheBrokerSays(t *testing.T) {
	l := newLines(time.Unix(0, 0), Config{}, nil)
	now := time.Unix(10, 0)
	l.nextBeat = now.Add(l.beatEvery)
	for _, c := range []struct{ says, want time.Duration }{
		{0, protocol.Heartbeat / 2},
		{time.Minute, protocol.Heartbeat / 2},
		{protocol.HeartbeatWithin(2 * time.Second), 250 * time.Millisecond},
		{protocol.HeartbeatWithin(time.Minute), 250 * time.Millisecond},
	} {
		l.hurry(now, c.says)
		if l.beatEvery != c.want || l.nextBeat != now.Add(c.want) {
			t.Errorf("heartbeat %v: the next is in %v, and then every %v, want %v", c.says, l.nextBeat.Sub(now), l.beatEvery, c.want)
		}
	}
}
