package control_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	brokerIncarnation = 0xb0
	epoch             = protocol.Epoch(7<<8 | 1)
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a broker's control core among simulated peers. It does what the shell does, at once.
type world struct {
	t       fataler
	core    *Core
	now     time.Time
	peers   map[string]*peer
	byPeer  map[protocol.Peer]*peer
	nextID  protocol.Peer
	hold    bool // nothing is committed until hold ends
	records uint64
	durable uint64
	gated   []*link.Frame
	log     strings.Builder
	quiet   bool
	// What tests look into.
	orders   []LoopOrder
	history  []*Record
	released []protocol.Handle
	answers  []Answer
	on       func(p *peer, r protocol.Record) // called for each record that a peer gets
}

// peer is one simulated process with one connection.
type peer struct {
	name  string
	id    protocol.Peer
	node  *link.Node
	link  *link.Link
	hello protocol.Hello
	muted bool // it sends nothing
	cut   bool // its connection is gone
}

func config() Config {
	tokens := 0
	return Config{
		Epoch: epoch, Incarnation: brokerIncarnation, Broker: "b1", Loops: 2,
		Places: Places{Ports: []int{7710, 7711}, Dir: "/run/weft", HostID: "host-b"},
		Token:  func() string { tokens++; return fmt.Sprint("secret-", tokens) },
	}
}

func newWorld(t fataler, change func(*Config)) *world {
	cfg := config()
	if change != nil {
		change(&cfg)
	}
	core, err := New(cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	w := &world{t: t, core: core, now: start, peers: map[string]*peer{}, byPeer: map[protocol.Peer]*peer{}}
	w.core.Tick(w.now)
	return w
}

// printf notes what happened for the transcript.
func (w *world) printf(format string, args ...any) {
	if !w.quiet {
		fmt.Fprintf(&w.log, format+"\n", args...)
	}
}

// join makes a peer and has it say HELLO.
func (w *world) join(name string, hello protocol.Hello, incarnation uint64) *peer {
	p := w.peers[name]
	if p == nil {
		p = &peer{name: name, node: link.NewNode(0, incarnation)}
		p.link = p.node.Link()
		w.peers[name] = p
	}
	if hello.MaxVersion == 0 {
		hello.MinVersion, hello.MaxVersion = protocol.MinVersion, protocol.MaxVersion
	}
	if hello.Endpoint == "" {
		hello.Endpoint = "tcp://broker:7700"
	}
	p.hello = hello
	w.connect(p)
	return p
}

// connect gives a peer a new connection, on which it says HELLO.
func (w *world) connect(p *peer) {
	delete(w.byPeer, p.id)
	w.nextID++
	p.id, p.cut, p.muted = w.nextID, false, false
	w.byPeer[p.id] = p
	p.link.Greet(p.hello)
	w.flush(p)
}

// send has a peer send a record.
func (w *world) send(p *peer, kind protocol.Kind, id uint64, body any) {
	var payload []byte
	if body != nil {
		payload = protocol.Marshal(body)
	}
	p.link.Append(kind, 0, id, payload)
	w.flush(p)
}

// flush carries what a peer has to send to the broker.
func (w *world) flush(p *peer) {
	for _, f := range p.node.Take(nil) {
		if _, b, _, ok := f.Leave(); ok && !p.cut && !p.muted {
			w.step(Frame{Peer: p.id, Bytes: slices.Clone(b)})
		}
		f.Sent()
	}
}

func (w *world) step(ev Event) {
	w.core.Step(w.now, ev)
	w.settle()
}

// settle lets the passes that are due go by.
func (w *world) settle() {
	for {
		at, _ := w.core.Deadline()
		if due := !at.After(w.now); due {
			w.core.Tick(w.now)
			continue
		}
		if !w.pump() {
			return
		}
	}
}

// pump takes what the core wants done and does it until there is nothing more; some says whether there was anything.
func (w *world) pump() (some bool) {
	var b Batch
	for w.core.Take(&b) {
		some = true
		for _, r := range b.Records {
			rec, err := DecodeRecord(r)
			if err != nil {
				w.t.Fatalf("record: %v", err)
			}
			w.records++
			w.history = append(w.history, rec)
			w.printf("record %d %s", w.records, text(rec))
		}
		for _, o := range b.Orders {
			w.orders = append(w.orders, o)
			w.printf("loop %d %s", o.Loop, text(o.Order))
		}
		w.released = append(w.released, b.Released...)
		w.answers = append(w.answers, b.Answers...)
		w.gated = append(w.gated, b.Frames...)
		for _, r := range b.Raw {
			w.bare(r)
		}
		b.Reset()
		w.release()
	}
	return some
}

// release commits what may be committed, and sends the frames that nothing holds back.
func (w *world) release() {
	if !w.hold && w.durable < w.records {
		w.durable = w.records
		w.core.Step(w.now, Committed{Position: w.durable})
	}
	frames := w.gated
	w.gated = nil
	for _, f := range frames {
		if f.After > w.durable {
			w.gated = append(w.gated, f)
			continue
		}
		id, bytes, _, ok := f.Leave()
		if ok {
			if p := w.byPeer[id]; p == nil || p.cut {
				w.core.Step(w.now, PeerGone{Peer: id})
			} else {
				w.deliver(p, slices.Clone(bytes))
			}
		}
		f.Sent()
	}
}

// deliver hands a frame to a peer.
func (w *world) deliver(p *peer, b []byte) {
	h, rest, err := protocol.ParseHeader(b)
	if err != nil || h.Epoch != epoch || h.Incarnation != brokerIncarnation {
		w.t.Fatalf("frame to %s: %+v, %v", p.name, h, err)
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for n := 0; ; n++ {
		ok, err := r.Next(&rec)
		if err != nil {
			w.t.Fatalf("frame to %s: %v", p.name, err)
		}
		if n == 0 {
			if rec.Kind == protocol.KindWelcome && ok {
				welcome := decode[protocol.Welcome](w.t, rec)
				if !p.link.Opened(h, welcome) {
					w.t.Fatalf("%s got a WELCOME that it did not ask for", p.name)
				}
				p.node.Epoch = h.Epoch
				w.printf("%s <- Welcome resumed=%v", p.name, welcome.Resumed)
				continue
			}
			if v := p.link.Receive(h, len(b)); v != link.Fresh {
				w.t.Fatalf("%s: verdict %v", p.name, v)
			}
		}
		if !ok {
			break
		}
		w.printf("%s <- %v id=%d %s", p.name, rec.Kind, rec.Task, bodyText(w.t, rec))
		if w.on != nil {
			w.on(p, rec)
		}
	}
	w.flush(p)
}

// bare takes a frame of no conversation, or the last of one.
func (w *world) bare(raw Raw) {
	h, rest, err := protocol.ParseHeader(raw.Bytes)
	if p := w.byPeer[raw.Peer]; p != nil && h.Sequence != 0 {
		if v := p.link.Receive(h, len(raw.Bytes)); v != link.Fresh || len(rest) > 0 || p.link.Unacked() > 0 {
			w.t.Fatalf("the last frame for %s: %+v, verdict %v, %d not acknowledged", p.name, h, v, p.link.Unacked())
		}
		w.printf("%s <- farewell", p.name)
		return
	}
	if err != nil || h.Sequence != 0 {
		w.t.Fatalf("bare frame: %+v, %v", h, err)
	}
	name := fmt.Sprint("peer ", raw.Peer)
	if p := w.byPeer[raw.Peer]; p != nil {
		name = p.name
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for {
		if ok, err := r.Next(&rec); err != nil || !ok {
			return
		}
		w.printf("%s <- bare %v %s", name, rec.Kind, bodyText(w.t, rec))
		if p := w.byPeer[raw.Peer]; p != nil && rec.Kind == protocol.KindRehello {
			p.muted = true // until the transcript has it come again
		}
	}
}

// advance lets time pass, heartbeat by heartbeat.
func (w *world) advance(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		next, _ := w.core.Deadline()
		if next.After(end) {
			w.now = end
			return
		}
		w.now = next
		names := make([]string, 0, len(w.peers))
		for name := range w.peers {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			if p := w.peers[name]; !p.muted && !p.cut {
				p.link.Beat(true)
				w.flush(p)
			}
		}
		w.core.Tick(w.now)
		w.settle()
	}
}

func decode[T any](t fataler, r protocol.Record) (v T) {
	if err := protocol.Unmarshal(r.Kind, r.Payload, &v); err != nil {
		t.Fatalf("%v: %v", r.Kind, err)
	}
	return v
}

func bodyText(t fataler, r protocol.Record) string {
	v := protocol.NewBody(r.Kind)
	if v == nil {
		return ""
	}
	if err := protocol.Unmarshal(r.Kind, r.Payload, v); err != nil {
		t.Fatalf("%v: %v", r.Kind, err)
	}
	return text(v)
}

// text gives a value as JSON without what is empty, keys in order.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		return err.Error()
	}
	b, _ = json.Marshal(trim(plain))
	return string(b)
}

func trim(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		if list, ok := v.([]any); ok {
			for i := range list {
				list[i] = trim(list[i])
			}
		}
		return v
	}
	for k, e := range m {
		e = trim(e)
		m[k] = e
		sub, isMap := e.(map[string]any)
		if e == nil || e == "" || e == 0.0 || e == false || isMap && len(sub) == 0 && k != "Retire" {
			delete(m, k)
		}
	}
	delete(m, "at")
	return m
}

// note has a manager loop tell something.
func (w *world) note(loop int, n session.Note) { w.step(Note{Loop: loop, Note: n}) }

func mustJSON(t *testing.T, s string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
}
