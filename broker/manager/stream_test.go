package manager

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// word is something that a party was told of the stream of a task, or of the data of a session.
type word struct {
	kind    protocol.Kind
	session uint32
	task    uint64
	body    string
	attempt uint8
	number  uint32
}

// hears notes what a party was told.
func (p *party) hears(rec *protocol.Record, payload []byte) {
	attempt, number, _ := rec.Numbered()
	p.words = append(p.words, word{rec.Kind, rec.Session, rec.Task, string(payload), attempt, number})
	if (rec.Kind == protocol.KindPartial || rec.Kind == protocol.KindProgress) && !p.keeps {
		p.consumed += int(protocol.PartialWeight(len(payload)))
		p.link.Append(protocol.KindCredit, 0, uint64(p.consumed), nil)
	}
}

// emit has an instance send a part of the task that it was given at place i.
func (p *party) emit(i int, number uint32, part string) {
	g := p.tasks[i]
	link.AppendNumbered(p.link, protocol.KindPartial, g.session, g.id, []byte(part), g.attempt, number)
	p.w.settle()
}

func (p *party) progress(i int, percent float64) {
	g := p.tasks[i]
	p.link.Append(protocol.KindProgress, g.session, g.id, protocol.Marshal(protocol.Progress{Percent: percent, Attempt: int(g.attempt)}))
	p.w.settle()
}

// heard gives what a party was told since the last call, without grants.
func (p *party) heard() (words []word) {
	for _, v := range p.words {
		if v.kind != protocol.KindPartialGrant {
			words = append(words, v)
		}
	}
	p.words = nil
	return words
}

// granted gives how many bytes of parts an instance was granted so far.
func (p *party) granted(t *testing.T) (n int64) {
	t.Helper()
	for _, v := range p.words {
		var g protocol.PartialGrant
		if v.kind == protocol.KindPartialGrant {
			if err := protocol.Unmarshal(v.kind, []byte(v.body), &g); err != nil {
				t.Fatal(err)
			}
			n += g.Bytes
		}
	}
	return n
}

// speaking is a world with one client, which has session 1, and one instance with n tasks.
func speaking(t *testing.T, n int, change func(*protocol.Service)) (w *world, c, i *party) {
	t.Helper()
	w = newWorld(t)
	w.serve(change)
	c = w.client(1, 1)
	i = w.instance("i", 2, func(a *session.Admit) { a.Slots = n })
	for k := range n {
		c.submit(1, uint64(k+1), "t")
	}
	w.settle()
	if len(i.tasks) != n {
		t.Fatalf("%d of %d tasks are at the instance", len(i.tasks), n)
	}
	return w, c, i
}

// refuse has a client take no more, with all of its credit spent.
func (p *party) refuse() {
	p.keeps = true
	cl := p.w.core.sessions[1].client
	cl.allowed, cl.sent = 1, cl.consumed+1
}

// take has a client take everything that it was sent.
func (p *party) take() {
	p.keeps = false
	cl := p.w.core.sessions[1].client
	p.consumed = int(cl.sent)
	p.link.Append(protocol.KindCredit, 0, uint64(p.consumed), nil)
	p.w.settle()
	cl.allowed = 1 << 20
}

func TestPartsArePassedOn(t *testing.T) {
	w, c, i := speaking(t, 1, nil)
	id := uint64(protocol.NewTaskID(1, 1))
	i.emit(0, 0, "a")
	i.progress(0, 40)
	i.emit(0, 1, "")
	got := c.heard()
	if len(got) != 3 || got[0] != (word{protocol.KindPartial, 1, id, "a", 1, 0}) || got[2] != (word{protocol.KindPartial, 1, id, "", 1, 1}) ||
		got[1].kind != protocol.KindProgress || got[1].task != id {
		t.Fatalf("the client heard %+v", got)
	}
	info := w.core.sessions[1].info(w.core.sessions[1].flight.head)
	if info.Progress == nil || info.Progress.Percent != 40 {
		t.Errorf("the task is said to be at %+v", info.Progress)
	}
	i.run(1)
	w.settle()
	c.want(t, 1, "r:t")
	w.drained()
}

func TestGrantsFollowWhatWasPassedOn(t *testing.T) {
	_, c, i := speaking(t, 1, nil)
	part := strings.Repeat("p", protocol.PartialWindow/16)
	for n := range uint32(64) {
		i.emit(0, n, part)
		sent := int64(n+1) * protocol.PartialWeight(len(part))
		if open := sent - i.granted(t); open < 0 || open >= protocol.PartialWindow/4+protocol.PartialWeight(len(part)) {
			t.Fatalf("after %d bytes %d are granted", sent, sent-open)
		}
	}
	if n := len(c.heard()); n != 64 {
		t.Errorf("the client heard %d parts, want 64", n)
	}
}

// A client that takes nothing: what its tasks say is kept within their windows, and comes by turns when it goes on.
func TestPartsWaitForTheClient(t *testing.T) {
	w, c, i := speaking(t, 2, nil)
	c.refuse()
	part := strings.Repeat("p", 1000)
	n := [2]uint32{}
	for k := range 2 {
		for w.core.sessions[1].held() < int64(k+1)*protocol.PartialWindow {
			i.emit(k, n[k], fmt.Sprint(k, part))
			n[k]++
		}
		i.progress(k, 1)
		i.progress(k, 2)
	}
	if got := c.heard(); len(got) != 0 || i.granted(t) != 0 {
		t.Fatalf("a blocked client heard %d words, %d bytes were granted", len(got), i.granted(t))
	}
	c.take()
	next, turns := map[uint64]uint32{}, 0
	var last uint64
	for _, v := range c.heard() {
		switch {
		case v.kind == protocol.KindProgress && next[v.task] != n[0] && next[v.task] != n[1]:
			t.Errorf("progress of %d came after %d parts", v.task, next[v.task])
		case v.kind == protocol.KindPartial && v.number != next[v.task]:
			t.Fatalf("task %d: part %d, want %d", v.task, v.number, next[v.task])
		case v.kind == protocol.KindPartial:
			next[v.task]++
		}
		if v.task != last {
			turns++
		}
		last = v.task
	}
	if len(next) != 2 || turns < 100 {
		t.Errorf("heard of %d tasks, in %d turns", len(next), turns)
	}
	if held := w.core.sessions[1].held(); held != 0 {
		t.Errorf("%d bytes are kept for a client that takes everything", held)
	}
	i.run(2)
	w.settle()
	w.drained()
}

// held is what the session's tasks have said and the client was not sent.
func (s *hosted) held() (n int64) {
	for k := range s.manager.slab.slots {
		if t := s.manager.slab.streamOf(uint32(k)); t != nil {
			n += t.held
		}
	}
	return n
}

func TestTheResultComesAfterWhatWasKept(t *testing.T) {
	w, c, i := speaking(t, 1, nil)
	c.refuse()
	i.emit(0, 0, "a")
	i.emit(0, 1, "b")
	i.progress(0, 7)
	i.run(1)
	w.settle()
	got := c.heard()
	if len(got) != 3 || got[0].body != "a" || got[1].body != "b" || got[2].kind != protocol.KindProgress {
		t.Errorf("heard %+v", got)
	}
	c.want(t, 1, "r:t")
	c.take()
	w.drained()
}

// Parts of an attempt that was given up are dropped, those of the next begin anew under a higher number, even where the
// loss was not counted.
func TestPartsOfTheNextAttempt(t *testing.T) {
	w, c, i := speaking(t, 1, nil)
	i.emit(0, 0, "a")
	c.refuse()
	i.emit(0, 1, "kept and dropped")
	late := i.tasks[0]
	i.die()
	c.take()
	j := w.instance("j", 3, nil)
	w.settle()
	if len(j.tasks) != 1 || j.tasks[0].attempt != 2 {
		t.Fatalf("tasks %+v, want the second attempt", j.tasks)
	}
	link.AppendNumbered(j.link, protocol.KindPartial, 1, late.id, []byte("of another attempt"), 1, 2)
	j.emit(0, 0, "b")
	got := c.heard()
	if len(got) != 2 || got[0].body != "a" || got[1].body != "b" || got[1].attempt != 2 || got[1].number != 0 {
		t.Errorf("heard %+v", got)
	}
	m := w.core.managers[0]
	k := m.sessions[0].flight.head
	m.slab.slots[k].losses = 0 // as when its instance was ended for another task's sake
	m.land(k)
	m.putBack(k)
	w.settle()
	if len(j.tasks) != 2 || j.tasks[1].attempt != 3 {
		t.Errorf("tasks %+v, want the third attempt", j.tasks)
	}
}

func TestAnInstanceThatKeepsNoWindow(t *testing.T) {
	for name, parts := range map[string][]string{
		"too large":    {strings.Repeat("p", protocol.MaxPartial+1)},
		"beyond":       {strings.Repeat("p", protocol.MaxPartial), "b"},
		"beyond limit": {strings.Repeat("p", 70_000)},
	} {
		w, c, i := speaking(t, 1, func(s *protocol.Service) {
			if name == "beyond limit" {
				s.Limits.Payload = 64 << 10
			}
		})
		c.refuse()
		for n, part := range parts {
			i.emit(0, uint32(n), part)
		}
		c.want(t, 1, "!TaskFailed")
		if len(c.heard()) != 0 {
			t.Errorf("%s: parts of a task that was given up were passed on", name)
		}
		i.run(1)
		c.take()
		w.drained()
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	w, c, i := speaking(t, 1, nil)
	g := i.tasks[0]
	i.link.Append(protocol.KindPartial, 1, g.id, []byte("without a number"))
	i.link.Append(protocol.KindProgress, 1, g.id, []byte("no progress"))
	i.link.Append(protocol.KindProgress, 1, g.id, protocol.Marshal(protocol.Progress{Percent: 1}))
	i.link.AppendExternal(protocol.KindPartial, 1, g.id, 9000, w.payload(make([]byte, 9000)))
	w.settle()
	if got := c.heard(); len(got) != 0 {
		t.Errorf("heard %+v", got)
	}
	i.run(1)
	w.settle()
	c.want(t, 1, "r:t")
	w.drained()
}

// ask has an instance ask something about the data of session 1, and gives the answer.
func (p *party) ask(t *testing.T, kind protocol.Kind, body any) word {
	t.Helper()
	p.words = nil
	p.link.Append(kind, 1, 9, protocol.Marshal(body))
	p.w.settle()
	if len(p.words) != 1 || p.words[0].task != 9 || p.words[0].session != 1 {
		t.Fatalf("%+v was answered %+v", body, p.words)
	}
	return p.words[0]
}

// look gives what an instance finds under a key of session 1, or the code of the error.
func (p *party) look(t *testing.T, key string) string {
	t.Helper()
	a := p.ask(t, protocol.KindGetData, protocol.GetData{Key: key})
	if a.kind == protocol.KindError {
		return codeIn(t, a)
	}
	var d protocol.SessionData
	if err := protocol.Unmarshal(a.kind, []byte(a.body), &d); err != nil || d.Key != key {
		t.Fatalf("%+v, %v", d, err)
	}
	if !d.Found {
		return "nothing"
	}
	return "=" + string(d.Value)
}

func codeIn(t *testing.T, a word) string {
	t.Helper()
	var e protocol.Error
	if err := protocol.Unmarshal(protocol.KindError, []byte(a.body), &e); err != nil {
		t.Fatal(err)
	}
	return e.Code.String()
}

func (p *party) put(t *testing.T, body protocol.PutData) string {
	t.Helper()
	if a := p.ask(t, protocol.KindPutData, body); a.kind == protocol.KindError {
		return codeIn(t, a)
	}
	return "done"
}

func TestDataOfASessionOutlivesItsInstances(t *testing.T) {
	w, c, i := speaking(t, 1, nil)
	for _, step := range []struct{ got, want string }{
		{i.look(t, "k"), "nothing"},
		{i.put(t, protocol.PutData{Key: "k", Value: []byte("v")}), "done"},
		{i.put(t, protocol.PutData{Key: "empty"}), "done"},
		{i.look(t, "k"), "=v"},
		{i.look(t, "empty"), "="},
		{i.put(t, protocol.PutData{Key: "gone", Value: []byte("v")}), "done"},
		{i.put(t, protocol.PutData{Key: "gone", Delete: true}), "done"},
		{i.put(t, protocol.PutData{Key: "gone", Delete: true}), "done"},
		{i.look(t, "gone"), "nothing"},
		{i.look(t, ""), "Invalid"},
		{i.put(t, protocol.PutData{}), "Invalid"},
		{i.put(t, protocol.PutData{Delete: true}), "Invalid"},
	} {
		if step.got != step.want {
			t.Errorf("answered %s, want %s", step.got, step.want)
		}
	}
	i.die()
	j := w.instance("j", 3, nil)
	if got := j.look(t, "k"); got != "=v" {
		t.Errorf("after the instance died: %s", got)
	}
	w.order(session.Order{Move: &session.Move{Manager: 1}})
	for _, n := range w.notes {
		if n.Moved != nil {
			w.order(session.Order{Adopt: &session.Adopt{State: n.Moved.State}})
		}
	}
	if got := w.core.sessions[1].data.values["k"]; string(got) != "v" {
		t.Errorf("after a move there is %q", got)
	}
	j.link.Greet(j.hello)
	c.link.Greet(c.hello)
	w.settle()
	if got := j.look(t, "k"); got != "=v" {
		t.Errorf("after a move: %s", got)
	}
	w.runAll()
	w.order(session.Order{Close: &session.Close{Session: 1}})
	if got := j.look(t, "k"); got != "SessionClosed" {
		t.Errorf("after the end of the session: %s", got)
	}
}

func TestDataOfASessionIsBounded(t *testing.T) {
	w, _, i := speaking(t, 1, func(s *protocol.Service) { s.Limits.Data = 100 })
	w.open(1, 2) // not bound yet where it asks
	big := strings.Repeat("v", 59)
	for _, step := range []struct{ got, want string }{
		{i.put(t, protocol.PutData{Key: "a", Value: []byte(big)}), "done"},
		{i.put(t, protocol.PutData{Key: "b", Value: []byte(big)}), "Overloaded"},
		{i.put(t, protocol.PutData{Key: "a", Value: []byte(big + big[:40])}), "done"},
		{i.put(t, protocol.PutData{Key: "a", Value: []byte(big + big[:41])}), "Overloaded"},
		{i.put(t, protocol.PutData{Key: "a", Delete: true}), "done"},
		{i.put(t, protocol.PutData{Key: "b", Value: []byte(big)}), "done"},
		{i.put(t, protocol.PutData{Key: "b", Value: make([]byte, protocol.MaxDataValue+1)}), "PayloadTooLarge"},
		{i.put(t, protocol.PutData{Key: strings.Repeat("k", protocol.MaxDataKey+1)}), "Invalid"},
	} {
		if step.got != step.want {
			t.Errorf("answered %s, want %s", step.got, step.want)
		}
	}
	if d := &w.core.sessions[1].data; d.bytes != 60 || len(d.values) != 1 {
		t.Errorf("%d bytes under %d keys", d.bytes, len(d.values))
	}
}

// TestDataOfSessionsCountsAsMemory: it is as much as there is, also after a move, and no more is taken while that is full.
func TestDataOfSessionsCountsAsMemory(t *testing.T) {
	w, _, i := speaking(t, 1, nil)
	value := []byte(strings.Repeat("v", 99))
	i.put(t, protocol.PutData{Key: "a", Value: value})
	i.put(t, protocol.PutData{Key: "b", Value: value})
	i.put(t, protocol.PutData{Key: "b", Value: value[:49]})
	w.memory(950, 0, 1000)
	for _, step := range []struct{ got, want string }{ // in this order
		{i.put(t, protocol.PutData{Key: "b", Value: value}), "Overloaded"},
		{i.put(t, protocol.PutData{Key: "a", Value: value[1:]}), "done"},
		{i.put(t, protocol.PutData{Key: "b", Delete: true}), "done"},
	} {
		if step.got != step.want {
			t.Errorf("answered %s, want %s", step.got, step.want)
		}
	}
	if w.core.data != 99 {
		t.Fatalf("%d bytes are counted, want 99", w.core.data)
	}
	w.memory(0, 0, 1000)
	w.relocate()
	if got := i.put(t, protocol.PutData{Key: "b", Value: value[:9]}); got != "done" || w.core.data != 109 {
		t.Fatalf("after a move: %s, %d bytes are counted, want 109", got, w.core.data)
	}
	before, _ := Holds(w.core)
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true}})
	if after, _ := Holds(w.core); w.core.data != 0 || after >= before {
		t.Fatalf("at the end %d bytes are counted", w.core.data)
	}
}

// TestKeptPartsCountAsMemory: those that a client that takes nothing was not sent, until it was, or until nobody waits for
// them: after the next attempt, a move of the manager, and the end of the session.
func TestKeptPartsCountAsMemory(t *testing.T) {
	part := strings.Repeat("p", 10_000)
	weight := protocol.PartialWeight(len(part))
	for name, end := range map[string]func(w *world, c, i *party){
		"taken":    func(_ *world, c, _ *party) { c.take() },
		"answered": func(_ *world, _, i *party) { i.run(2) },
		"begun anew": func(w *world, _, i *party) {
			i.die()
			j := w.instance("j", 3, nil)
			w.settle()
			j.run(1) // tasks under which an instance died run one at a time
		},
		"moved and taken": func(w *world, c, _ *party) {
			w.relocate()
			c.refuse() // its next conversation knows nothing of that
			if said := w.core.managers[0].slab.said; said != 3*weight {
				t.Errorf("%d bytes are counted after a move, want %d", said, 3*weight)
			}
			c.take()
		},
		"killed": func(w *world, _, _ *party) {
			w.order(session.Order{Close: &session.Close{Session: 1, Kill: true}})
		},
	} {
		w, c, i := speaking(t, 2, nil)
		c.refuse()
		before, _ := Holds(w.core)
		i.emit(0, 0, part)
		i.emit(0, 1, part)
		i.emit(1, 0, part)
		if after, _ := Holds(w.core); after < before+3*weight {
			t.Errorf("%s: memory in use grew by %d bytes, the parts have %d", name, after-before, 3*weight)
		}
		end(w, c, i)
		w.settle()
		m := w.core.managers[0]
		if err := w.core.Verify(); err != nil || m.slab.said != 0 {
			t.Errorf("%s: %d bytes of parts are counted at the end: %v", name, m.slab.said, err)
		}
	}
}
