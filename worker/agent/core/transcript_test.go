package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// world is a core with brokers around it that are driven by a transcript.
type world struct {
	t       *testing.T
	core    *Core
	start   time.Time
	now     time.Time
	brokers []*fakeBroker
	out     strings.Builder
	batch   Batch
}

// fakeBroker is the other end of one control link.
type fakeBroker struct {
	node      *link.Node
	link      *link.Link
	cut       bool // nothing gets through
	peer      protocol.Peer
	hello     protocol.Hello
	header    protocol.Header // of hello
	swallowed bool            // it drops what it receives, without a word
}

// TestTranscripts runs testdata: each line is something that happens, the answer is all that the core does.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := &world{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.out.Reset()
			w.run(d)
			if w.out.Len() == 0 {
				return "-\n"
			}
			return w.out.String()
		})
	})
}

func number(d *datadriven.TestData, key string, otherwise int) int {
	if d.HasArg(key) {
		d.ScanArgs(w0, key, &otherwise)
	}
	return otherwise
}

// w0 is what ScanArgs reports to: a bad transcript stops the run.
var w0 = &testing.T{}

func text(d *datadriven.TestData, key string) string {
	var s string
	if d.HasArg(key) {
		d.ScanArgs(w0, key, &s)
	}
	return s
}

func length(d *datadriven.TestData, key string) time.Duration {
	if s := text(d, key); s != "" {
		v, err := time.ParseDuration(s)
		if err != nil {
			panic(err)
		}
		return v
	}
	return 0
}

func (w *world) run(d *datadriven.TestData) {
	b := number(d, "broker", 0)
	switch d.Cmd {
	case "new":
		w.create(number(d, "brokers", 1))
	case "wait":
		w.wait(length(d, "for"))
		return
	case "welcome":
		w.welcome(b, protocol.NewEpoch(uint64(number(d, "epoch", 5)), 1), time.Duration(number(d, "timeout", 0))*time.Second)
	case "restart":
		w.brokers[b] = newFakeBroker(uint64(number(d, "incarnation", 77)), w.brokers[b].peer+1)
	case "rehello":
		w.brokers[b].node.Epoch = protocol.NewEpoch(uint64(number(d, "epoch", 5)), 1)
		w.step(Received{Broker: b, Frame: w.brokers[b].node.Rehello(nil)})
	case "bare":
		w.bare(d, b)
	case "epoch":
		w.brokers[b].node.Epoch = protocol.NewEpoch(uint64(number(d, "is", 5)), 1)
	case "cut":
		w.brokers[b].cut = true
	case "reachable":
		w.brokers[b].cut = false
		w.step(Reachable{Broker: b})
	case "swallow":
		w.brokers[b].swallowed = true
	case "raw":
		w.step(Received{Broker: b, Frame: []byte(d.Input)})
	case "start", "stop", "done", "error", "say":
		w.say(d, b)
	default:
		w.event(d)
	}
	w.pump()
}

// event takes the commands that are events of the shell.
func (w *world) event(d *datadriven.TestData) {
	id := text(d, "id")
	switch d.Cmd {
	case "usage":
		w.step(Usage{Load1: 1.5, MemFree: 1 << 30})
	case "started":
		w.step(Started{ID: id, PID: number(d, "pid", 0)})
	case "failed":
		w.step(StartFailed{ID: id, Error: protocol.Errorf(protocol.CodeArtefact, "start container "+id, "/x: no such file")})
	case "exited":
		w.step(Exited{ID: id, Code: number(d, "code", 0), Signal: text(d, "signal"), Reason: "in words", Output: []string{"last line"}})
	case "shutdown":
		w.step(Shutdown{Grace: length(d, "grace")})
	case "containers":
		for _, k := range w.core.Containers() {
			fmt.Fprintf(&w.out, "%s %s %s\n", k.ID, k.Service, k.State)
		}
	default:
		w.t.Fatalf("%s: no command %q", d.Pos, d.Cmd)
	}
}

func (w *world) step(ev Event) { w.core.Step(w.now, ev) }

func (w *world) create(brokers int) {
	w.start = time.Unix(1_700_000_000, 0)
	w.now = w.start
	config := Config{
		Incarnation: 42, Host: "h1", Jitter: func() float64 { return 0.5 },
		Node: protocol.RegisterNode{Name: "n1", Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 2000}},
	}
	w.brokers = nil
	for i := range brokers {
		config.Brokers = append(config.Brokers, fmt.Sprintf("tcp://b%d:7700", i))
		w.brokers = append(w.brokers, newFakeBroker(uint64(100+i), protocol.Peer(10*i+1)))
	}
	w.core = New(w.now, config)
	w.core.Tick(w.now)
}

func newFakeBroker(incarnation uint64, peer protocol.Peer) *fakeBroker {
	node := link.NewNode(protocol.NewEpoch(5, 1), incarnation)
	return &fakeBroker{node: node, link: node.Link(), peer: peer}
}

// wait lets time pass, waking the core when it asks for it.
func (w *world) wait(d time.Duration) {
	until := w.now.Add(d)
	for range 10_000 {
		at, ok := w.core.Deadline()
		if !ok || at.After(until) {
			w.now = until
			return
		}
		w.now = at
		before := w.out.Len()
		w.core.Tick(w.now)
		w.pump()
		if next, _ := w.core.Deadline(); next.Equal(at) && w.out.Len() == before {
			w.t.Fatalf("the core wants to be woken again and again at %v", at.Sub(w.start))
		}
	}
	w.t.Fatal("the core wakes without end")
}

func (w *world) welcome(i int, e protocol.Epoch, timeout time.Duration) {
	b := w.brokers[i]
	b.node.Epoch = e
	b.swallowed = false
	if b.header.Sequence == 0 {
		w.t.Fatal("there was no HELLO to welcome")
	}
	b.link.Accept(b.peer, b.header, b.hello, protocol.Welcome{Version: 1, Broker: fmt.Sprintf("b%d", i), Timeout: timeout, Heartbeat: protocol.HeartbeatWithin(timeout)})
}

// bare sends an error outside of any conversation.
func (w *world) bare(d *datadriven.TestData, i int) {
	b := w.brokers[i]
	frame := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: b.node.Epoch, Incarnation: b.node.Incarnation})
	frame = protocol.AppendBody(frame, protocol.KindError, 0, 0, protocol.Errorf(protocol.CodeVersion, "hello", "%s", text(d, "msg")))
	w.step(Received{Broker: i, Frame: frame})
}

// say appends a record to a broker's link.
func (w *world) say(d *datadriven.TestData, i int) {
	l, id := w.brokers[i].link, text(d, "id")
	switch d.Cmd {
	case "start":
		l.Append(protocol.KindStartContainer, 0, uint64(number(d, "request", 0)), protocol.Marshal(protocol.StartContainer{
			ID: id, Service: "price", Version: "1", Command: "/x", Token: "secret", Slots: 1, Sessions: 10,
		}))
	case "stop":
		l.Append(protocol.KindStopContainer, 0, 0, protocol.Marshal(protocol.StopContainer{ID: id, Grace: length(d, "grace")}))
	case "done":
		l.Append(protocol.KindDone, 0, uint64(number(d, "request", 0)), nil)
	case "error":
		l.Append(protocol.KindError, 0, uint64(number(d, "request", 0)),
			protocol.Marshal(protocol.Errorf(protocol.CodeAlreadyExists, "register node", "%s", text(d, "msg"))))
	case "say":
		l.Append(protocol.Kind(number(d, "kind", 0)), 0, uint64(number(d, "request", 0)), []byte(d.Input))
	}
}

// pump carries frames both ways until nothing moves, and writes down what the core does.
func (w *world) pump() {
	for moved := true; moved; {
		moved = w.core.Take(&w.batch)
		w.write()
		for i, b := range w.brokers {
			for _, f := range b.node.Take(nil) {
				moved = true
				_, bytes, _, ok := f.Leave()
				if ok && !b.cut {
					w.step(Received{Broker: i, Frame: bytes})
				}
				f.Sent()
			}
		}
	}
}

func (w *world) write() {
	for _, s := range w.batch.Sends {
		_, bytes, _, ok := s.Frame.Leave()
		switch b := w.brokers[s.Broker]; {
		case !ok:
			w.line("kept for broker %d", s.Broker)
		case b.cut:
			w.step(Gone{Broker: s.Broker})
		default:
			w.arrive(s.Broker, bytes)
		}
		s.Frame.Sent()
	}
	for _, s := range w.batch.Starts {
		w.line("START %s", toJSON(s))
	}
	for _, s := range w.batch.Stops {
		w.line("STOP %s grace %v", s.ID, s.Grace)
	}
	for _, n := range w.batch.Notes {
		w.line("note %v: %s", n.Kind, strings.Join(strings.Fields(n.Broker+" "+n.Container+" "+n.Text), " "))
	}
	if w.batch.Over {
		w.line("OVER")
	}
}

func (w *world) line(format string, args ...any) {
	fmt.Fprintf(&w.out, "%v  ", w.now.Sub(w.start))
	fmt.Fprintf(&w.out, format+"\n", args...)
}

// arrive takes a frame of the core at a broker.
func (w *world) arrive(i int, frame []byte) {
	b := w.brokers[i]
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		w.t.Fatal(err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	verdict := link.Ignore
	first := true
	for {
		found, err := r.Next(&rec)
		if err != nil {
			w.t.Fatal(err)
		}
		if first && (!found || rec.Kind != protocol.KindHello) {
			if b.swallowed {
				return
			}
			if verdict = b.link.Receive(h, len(frame)); verdict != link.Fresh {
				w.line("broker %d judges a frame: %d", i, verdict)
			}
		}
		if !found {
			if first {
				w.line("-> %d  header", i)
			}
			return
		}
		first = false
		if rec.Kind == protocol.KindHello {
			b.header = h
			b.hello = protocol.Hello{}
		}
		w.line("-> %d  %v %d %s", i, rec.Kind, rec.Task, w.body(&rec, b))
	}
}

// body writes the body of a record down.
func (w *world) body(rec *protocol.Record, b *fakeBroker) string {
	var v any
	switch rec.Kind {
	case protocol.KindHello:
		v = &b.hello
	case protocol.KindRegisterNode:
		v = &protocol.RegisterNode{}
	case protocol.KindNodeStatus:
		v = &protocol.NodeStatus{}
	case protocol.KindContainerState:
		v = &protocol.ContainerState{}
	case protocol.KindError:
		v = &protocol.Error{}
	default:
		return ""
	}
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, v); err != nil {
		w.t.Fatal(err)
	}
	return toJSON(v)
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
