package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/protocol"
)

// body decodes the body of a record.
func body[T any](t *testing.T, rec protocol.Record) T {
	t.Helper()
	var v T
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// rawClient opens a session as a client that is written by hand, and connects to where it is served.
func rawClient(t *testing.T, endpoint, service string, incarnation uint64) (data *rawPeer, session uint32) {
	t.Helper()
	control := newRawPeer(t, endpoint, incarnation)
	control.send(control.hello(nil))
	control.answer(protocol.KindWelcome)
	control.send(control.frame(protocol.AppendBody(nil, protocol.KindOpenSession, 0, 1, protocol.OpenSession{Key: 1, Service: service})))
	_, rec := control.answer(protocol.KindSessionOpened)
	session = body[protocol.SessionOpened](t, rec).Session
	_, rec = control.answer(protocol.KindRefer)
	data = newRawPeer(t, body[protocol.Refer](t, rec).Endpoint, incarnation)
	data.epoch = control.epoch
	data.send(data.hello(func(h *protocol.Hello) { h.ResultCredit = 1 << 20 }))
	data.answer(protocol.KindWelcome)
	return data, session
}

// task is a record with a task of a session.
func task(session uint32, sequence uint64, payload string) []byte {
	return protocol.AppendRecord(nil, protocol.KindTask, session, uint64(protocol.NewTaskID(sequence, uint32(sequence))), []byte(payload))
}

// runs gives what was executed of the tasks with the verb count, sorted.
func (f *fabric) runs(j journal) []string {
	f.t.Helper()
	var all []string
	for _, life := range f.lives(j) {
		for _, what := range life {
			if fields := strings.Fields(what); fields[0] == "exec" {
				all = append(all, fields[2])
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestDataFramesOutOfTurn(t *testing.T) {
	f := newFabric(t)
	f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0"}, Loops: loops(t, 1)})
	f.agent("node", f.tcp)
	c := f.dial("")
	svc, written := f.journaled("verbs", 2)
	f.register(c, svc)
	victim := f.open(c, "verbs")
	p, session := rawClient(t, f.tcp, "verbs", 4711)

	first := p.frame(task(session, 1, "count once"))
	p.send(first)
	if _, rec := p.answer(protocol.KindResult, protocol.KindFailure); string(rec.Payload) != "once" {
		t.Fatalf("the first task is answered by %v %q", rec.Kind, rec.Payload)
	}
	p.send(first)                                              // the same frame
	p.send(p.frame(task(session, 1, "count once")))            // the same task
	p.send(p.frame(task(session, 0, "count zero")))            // no task begins with 0
	p.send(p.frame(task(victim.Number(), 1, "count another"))) // another client's session

	// An old epoch.
	epoch := p.epoch
	p.epoch -= 1 << 8
	p.sent--
	p.send(p.frame(task(session, 2, "count old")))
	if h, rec := p.answer(protocol.KindRehello, protocol.KindError); rec.Kind != protocol.KindRehello || h.Epoch != epoch {
		t.Errorf("a frame of an old epoch is answered by %v of epoch %v", rec.Kind, h.Epoch)
	}
	p.epoch = epoch

	// A process that has not said HELLO, over a connection of its own and over this one.
	stranger := newRawPeer(t, p.endpoint, 12)
	stranger.epoch = epoch
	stranger.send(stranger.frame(task(session, 3, "count stranger")))
	if _, rec := stranger.answer(protocol.KindRehello, protocol.KindError); rec.Kind != protocol.KindRehello {
		t.Errorf("a frame of a stranger is answered by %v", rec.Kind)
	}
	sent := p.sent
	p.incarnation = 13
	p.send(p.frame(task(session, 4, "count changed")))
	if _, rec := p.answer(protocol.KindRehello, protocol.KindError); rec.Kind != protocol.KindRehello {
		t.Errorf("a frame of another incarnation is answered by %v", rec.Kind)
	}
	p.incarnation, p.sent = 4711, sent

	// A gap in the frames.
	p.sent += 5
	p.send(p.frame(task(session, 5, "count gap")))
	if _, rec := p.answer(protocol.KindRehello, protocol.KindError); rec.Kind != protocol.KindRehello {
		t.Errorf("a frame after missing ones is answered by %v", rec.Kind)
	}
	p.sent = sent

	// The conversation goes on where it was, and so do the others.
	p.send(p.frame(task(session, 2, "count last")))
	if _, rec := p.answer(protocol.KindResult, protocol.KindFailure); string(rec.Payload) != "last" {
		t.Errorf("the last task is answered by %v %q", rec.Kind, rec.Payload)
	}
	f.call(victim, "count mine", "mine")
	if got := f.runs(written); !slices.Equal(got, []string{"last", "mine", "once"}) {
		t.Errorf("executed: %q", got)
	}
}

func TestInstanceThatLies(t *testing.T) {
	f := newFabric(t)
	f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0"}, Loops: loops(t, 1)})
	c := f.dial("")
	svc := protocol.Service{Name: "hand", Limits: protocol.Limits{Payload: 1000}}
	f.register(c, svc)

	control := newRawPeer(t, f.tcp, 4712)
	instance := func(h *protocol.Hello) { h.Role, h.Service = protocol.RoleInstance, "hand" }
	control.send(control.hello(instance))
	control.answer(protocol.KindWelcome)
	_, rec := control.answer(protocol.KindRefer)
	p := newRawPeer(t, body[protocol.Refer](t, rec).Endpoint, 4712)
	p.epoch = control.epoch
	p.send(p.hello(instance))
	p.answer(protocol.KindWelcome)

	s := f.open(c, "hand")
	_, bind := p.answer(protocol.KindBind)
	result := func(id uint64, payload string) []byte {
		return protocol.AppendRecord(nil, protocol.KindResult, bind.Session, id, []byte(payload))
	}
	p.send(p.frame(protocol.AppendRecord(nil, protocol.KindBound, bind.Session, 0, nil)))
	honest, err := s.Submit(f.ctx, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	_, one := p.answer(protocol.KindDispatch)
	p.send(p.frame(
		result(one.Task+1, "of a slot that is free"),
		result(one.Task+1<<32, "of another generation"),
		result(1<<63|99, "invented"),
		protocol.AppendRecord(nil, protocol.KindRecalled, bind.Session, one.Task+7, nil),
		protocol.AppendRecord(nil, protocol.KindUnbound, bind.Session+99, 0, nil),
		protocol.AppendRecord(nil, protocol.KindExecuted, 1<<31, 1<<63, nil),
		result(one.Task, "right"),
		result(one.Task, "twice"),
	))
	if out, err := honest.Wait(f.ctx); err != nil || string(out) != "right" {
		t.Errorf("a task whose instance answers too much: %q, %v", out, err)
	}
	large, err := s.Submit(f.ctx, []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	_, two := p.answer(protocol.KindDispatch)
	p.send(p.frame(result(two.Task, strings.Repeat("x", 1001))))
	_, err = large.Wait(f.ctx)
	if protocol.CodeOf(err) != protocol.CodePayloadTooLarge {
		t.Errorf("a task whose instance answers by too many bytes: %v", err)
	}
	last, err := s.Submit(f.ctx, []byte("c"))
	if err != nil {
		t.Fatal(err)
	}
	_, three := p.answer(protocol.KindDispatch)
	p.send(p.frame(result(one.Task, "late"), result(three.Task, "still")))
	if out, err := last.Wait(f.ctx); err != nil || string(out) != "still" {
		t.Errorf("a task after all that: %q, %v", out, err)
	}
	// One that comes with a container's name that nobody started.
	liar := newRawPeer(t, f.tcp, 4713)
	liar.send(liar.hello(func(h *protocol.Hello) { instance(h); h.Container, h.Token = "c1-1", "guessed" }))
	if e := liar.refusal(); e.Code != protocol.CodeInstanceRejected || !strings.Contains(fmt.Sprint(e), "c1-1") {
		t.Errorf("an instance in a container of its own invention: %v", e)
	}
	if err := s.Kill(f.ctx); err != nil {
		t.Error(err)
	}
}
