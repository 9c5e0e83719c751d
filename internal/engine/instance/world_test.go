package instance

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// said is one record that the instance said.
type said struct {
	kind    protocol.Kind
	session uint32
	task    uint64
	body    string // payload, when inline
	size    uint32
}

// end is the broker's side of one line.
type end struct {
	node   *link.Node
	link   *link.Link
	dialed string // where the instance has dialled; empty: no socket
	fresh  bool   // the connection is new: there is no conversation over it
	said   []said
	refuse *protocol.Error
}

// world is an engine, its broker, and the wires between.
type world struct {
	t       tester
	e       *Engine
	now     time.Time
	ends    [Lines]*end
	batch   Batch
	handles map[protocol.Handle]int // references that the instance holds
	nextH   protocol.Handle
	jobs    []Job // taken and not done
	cancels []*Session
	all     bool // CancelAll was ordered
	aborts  []Order
	moves   int           // of the manager
	timeout time.Duration // that WELCOME announces; 0: none
}

const refer = "tcp://loop"

func newWorld(t tester, cfg Config) *world {
	cfg.Incarnation = 77
	if cfg.Endpoints == nil {
		cfg.Endpoints = []string{"tcp://control"}
	}
	w := &world{t: t, e: New(cfg), now: time.Unix(1000, 0), handles: map[protocol.Handle]int{}}
	for i := range w.ends {
		w.ends[i] = &end{}
		w.renew(Line(i))
	}
	w.e.Start(w.now)
	return w
}

// renew makes one side of the broker a new process.
func (w *world) renew(line Line) {
	w.nextH += 1000
	node := link.NewNode(protocol.NewEpoch(1, 1), uint64(w.nextH)+1)
	w.ends[line].node, w.ends[line].link, w.ends[line].fresh = node, node.Link(), true
}

// cut breaks the connection of a line: what is on its way is lost, and the next frame comes over a new one.
func (w *world) cut(line Line) {
	w.take()
	for _, f := range w.ends[line].node.Take(nil) {
		f.Leave()
		f.Sent()
	}
	w.ends[line].fresh = true
	w.ends[line].link.Lost()
}

// take carries the engine's batch to the ends.
func (w *world) take() bool {
	w.batch.Reset()
	w.e.Take(&w.batch)
	b := &w.batch
	busy := len(b.Orders) > 0
	for _, o := range b.Orders {
		switch o.Kind {
		case Dial:
			w.ends[o.Line].dialed, w.ends[o.Line].fresh = o.Endpoint, true
		case HangUp:
			w.ends[o.Line].dialed = ""
		case Cancel:
			w.cancels = append(w.cancels, o.Session)
		case Abort:
			w.aborts = append(w.aborts, o)
		case CancelAll:
			w.all = true
		}
	}
	for line := range Lines {
		for _, f := range b.Frames[line] {
			busy = true
			if _, records, payloads, ok := f.Leave(); ok {
				w.arrive(line, records, payloads)
			}
			f.Sent()
		}
	}
	for _, h := range w.e.Released(b.Released) {
		if w.handles[h]--; w.handles[h] == 0 {
			delete(w.handles, h)
		} else if w.handles[h] < 0 {
			w.t.Fatalf("handle %d was released more often than it was held", h)
		}
	}
	return busy
}

// arrive takes a frame at the broker.
func (w *world) arrive(line Line, frame []byte, payloads []protocol.Handle) {
	d := w.ends[line]
	if d.dialed == "" {
		w.t.Fatalf("a frame leaves on line %d, which is not dialled", line)
	}
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	reader := protocol.NewReader(rest)
	var rec protocol.Record
	if len(rest) > 1 && protocol.Kind(rest[1]) == protocol.KindHello {
		if _, err := reader.Next(&rec); err != nil {
			w.t.Fatalf("%v", err)
		}
		var hello protocol.Hello
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
			w.t.Fatalf("%v", err)
		}
		if hello.Endpoint != d.dialed || hello.Role != protocol.RoleInstance {
			w.t.Errorf("HELLO %+v, dialled %q", hello, d.dialed)
		}
		if d.refuse != nil {
			w.bare(line, protocol.KindError, protocol.Marshal(d.refuse))
			return
		}
		d.fresh = false
		resumed := d.link.Accept(1, h, hello, protocol.Welcome{
			Version: 1, MaxPayload: 1000, Timeout: w.timeout, Heartbeat: protocol.HeartbeatWithin(w.timeout),
		})
		d.said = append(d.said, said{kind: rec.Kind})
		if line == Control && !resumed {
			w.refer(refer)
		}
		return
	}
	if d.fresh {
		w.bare(line, protocol.KindRehello, nil)
		return
	}
	switch d.link.Receive(h, len(frame)) {
	case link.Ignore:
		return
	case link.Gap:
		w.bare(line, protocol.KindRehello, nil)
		return
	case link.Fresh:
	}
	for {
		ok, err := reader.Next(&rec)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		if !ok {
			return
		}
		if rec.External {
			if len(payloads) == 0 || w.handles[payloads[0]] == 0 {
				w.t.Fatalf("%v without the payload frame that it names", rec.Kind)
			}
			payloads = payloads[1:]
		}
		d.said = append(d.said, said{rec.Kind, rec.Session, rec.Task, string(rec.Payload), rec.Size})
	}
}

func (w *world) bare(line Line, kind protocol.Kind, body []byte) {
	n := w.ends[line].node
	b := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: n.Epoch, Incarnation: n.Incarnation})
	w.e.Receive(w.now, line, protocol.AppendRecord(b, kind, 0, 0, body), nil)
}

func (w *world) refer(endpoint string) {
	w.ends[Control].link.Append(protocol.KindRefer, 0, 0, protocol.Marshal(protocol.Refer{
		Service: "s", Endpoint: endpoint, Epoch: w.ends[Control].node.Epoch,
	}))
}

// pump carries frames both ways until there are none.
func (w *world) pump() {
	for range 1000 {
		busy := w.take()
		for line := range Lines {
			d := w.ends[line]
			for _, f := range d.node.Take(nil) {
				busy = true
				if _, records, payloads, ok := f.Leave(); ok && !d.fresh {
					for _, h := range payloads {
						w.handles[h]++
					}
					w.e.Receive(w.now, line, records, payloads)
				}
				f.Sent()
			}
			d.node.Released(nil)
		}
		if !busy {
			return
		}
	}
	w.t.Fatalf("the two do not come to rest")
}

// pass lets time go by, with every timer and heartbeat of both sides.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		next := w.now.Add(protocol.Heartbeat / 2)
		if at, ok := w.e.Deadline(); ok && at.Before(next) {
			next = at
		}
		if next.After(end) {
			next = end
		}
		w.now = next
		w.e.Tick(w.now)
		for _, d := range w.ends {
			d.link.Beat(false)
		}
		w.pump()
	}
}

// run runs hooks until there are none; exec says how a task ends, nil: its payload is its result.
func (w *world) run(exec func(*Job, *Outcome)) {
	for w.begin() {
		for len(w.jobs) > 0 {
			w.finish(0, exec)
		}
		w.pump()
	}
}

// begin takes as many jobs as there are.
func (w *world) begin() bool {
	w.pump()
	n := len(w.jobs)
	var job Job
	for w.e.Next(&job) {
		w.jobs = append(w.jobs, job)
	}
	return len(w.jobs) > n
}

// finish ends job i.
func (w *world) finish(i int, exec func(*Job, *Outcome)) {
	job := w.jobs[i]
	w.jobs = append(w.jobs[:i:i], w.jobs[i+1:]...)
	var out Outcome
	if job.Kind == Exec {
		if job.Handle != 0 {
			if w.handles[job.Handle]--; w.handles[job.Handle] == 0 {
				delete(w.handles, job.Handle)
			}
		}
		out.Result = job.Payload
	}
	if exec != nil {
		exec(&job, &out)
	}
	w.e.Done(w.now, &job, &out)
	if job.Kind == Exec {
		w.e.Account(1, time.Millisecond)
	}
}

// external makes the result of an outcome a payload frame.
func (w *world) external(out *Outcome, size uint32) {
	w.nextH++
	w.handles[w.nextH]++
	out.Handle, out.Size = w.nextH, size
}

// tell appends a record on the data line.
func (w *world) tell(kind protocol.Kind, session uint32, task uint64, body any) {
	var payload []byte
	if body != nil {
		payload = protocol.Marshal(body)
	}
	w.ends[Data].link.Append(kind, session, task, payload)
}

func (w *world) dispatch(session uint32, task uint64, payload string) {
	w.ends[Data].link.AppendDispatch(session, task, []byte(payload), &protocol.Execution{ID: protocol.NewTaskID(task, 0), Attempt: 1})
}

// serving brings the world to an instance that serves and has sessions bound.
func serving(t tester, cfg Config, sessions ...uint32) *world {
	w := newWorld(t, cfg)
	w.run(nil)
	if w.e.State() != Serving {
		t.Fatalf("state %v, want serving", w.e.State())
	}
	for _, n := range sessions {
		w.tell(protocol.KindBind, n, 0, protocol.Bind{Session: n})
	}
	w.run(nil)
	w.heard()
	return w
}

// heard gives what was said on the data line since the last call, without Executed.
func (w *world) heard() []said {
	w.pump()
	var out []said
	for _, s := range w.ends[Data].said {
		if s.kind != protocol.KindExecuted {
			out = append(out, s)
		}
	}
	w.ends[Data].said = nil
	return out
}

func (w *world) want(what string, want ...said) {
	w.t.Helper()
	got := w.heard()
	if len(got) != len(want) {
		w.t.Errorf("%s: said %+v, want %+v", what, got, want)
		return
	}
	for i, g := range got {
		if want[i].body == "*" {
			g.body, g.size, want[i].body = "", 0, ""
		} else {
			want[i].size = uint32(len(want[i].body))
		}
		if g != want[i] {
			w.t.Errorf("%s: said %+v, want %+v", what, got, want)
			return
		}
	}
}

var _ tester = (*testing.T)(nil)
