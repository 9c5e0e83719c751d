package manager_test

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// utterance is what a client has heard of one task, and a worker has said.
type utterance struct {
	attempt, parts int
	percent        float64
}

// heard takes what a task has said: parts in order, without gap or duplicate in each attempt, and with their own bytes;
// attempts that grow; progress that grows within an attempt.
func (p *program) heard(f *fabric, s client.Said) {
	key := name(s.Session.Number(), s.Task)
	if len(p.answers[key]) > 0 {
		f.t.Fatalf("%s: task %s says %+v after its answer", p.name, key, s)
	}
	u := p.said[key]
	if s.Attempt < u.attempt {
		f.t.Fatalf("%s: task %s says something by attempt %d after %d", p.name, key, s.Attempt, u.attempt)
	}
	if s.Attempt > u.attempt {
		u = utterance{attempt: s.Attempt}
	}
	if s.Progress != nil {
		if s.Progress.Percent < u.percent {
			f.t.Fatalf("%s: task %s was at %v and is at %v", p.name, key, u.percent, s.Progress.Percent)
		}
		u.percent = s.Progress.Percent
		p.said[key] = u
		return
	}
	if want := partOf(key, s.Attempt, s.Number); s.Number != u.parts || !strings.HasPrefix(string(s.Payload), want) {
		f.t.Fatalf("%s: task %s: part %d by attempt %d is %.40q, want part %d", p.name, key, s.Number, s.Attempt, s.Payload, u.parts)
	}
	u.parts++
	p.said[key] = u
	p.parts = append(p.parts, s)
	if p.greedy {
		p.consumeParts()
	}
}

func (p *program) consumeParts() {
	for _, s := range p.parts {
		p.engine.Consumed(s.Source, s.Weight)
	}
	p.parts = nil
}

func partOf(key string, attempt, number int) string {
	return fmt.Sprintf("%s by %d, %d:", key, attempt, number)
}

// say has a task that runs at a worker say something, unless its window is spent.
func (w *worker) say(f *fabric, t *rapid.T) {
	if w.dead || len(w.jobs) == 0 {
		return
	}
	job := &w.jobs[rapid.IntRange(0, len(w.jobs)-1).Draw(t, "job")]
	key := name(job.Session.Bind.Session, job.ID)
	u := w.said[key]
	if u.attempt != int(job.Attempt) {
		u = utterance{attempt: int(job.Attempt)}
	}
	size := rapid.SampledFrom([]int{0, 0, 900, protocol.PartialWindow / 3}).Draw(t, "part")
	for range rapid.SampledFrom([]int{1, 3, 20}).Draw(t, "parts") {
		part := partOf(key, int(job.Attempt), u.parts) + strings.Repeat("p", size)
		if wait, err := instance.Emit(w.engine, job, []byte(part)); wait != nil || err != nil {
			break
		}
		u.parts++
	}
	u.percent++
	instance.Progress(w.engine, f.now, job, u.percent, "")
	w.said[key] = u
}

// whole says whether a client has heard all that a task has said by the attempt that succeeded.
func (f *fabric) whole(p *program, key string, w *worker) bool {
	said, heard := w.said[key], p.said[key]
	return said.parts == 0 || said == heard
}

// heardAll looks whether clients that take what they are sent have heard what tasks that run have said.
func (f *fabric) heardAll(t tester) {
	t.Helper()
	for range 20 {
		for _, p := range f.clients {
			p.greedy = true
			p.consume(f, len(p.taken))
		}
		f.pass(200 * time.Millisecond)
	}
	for _, w := range f.instances {
		for i := range w.jobs {
			for _, p := range f.clients {
				key := name(w.jobs[i].Session.Bind.Session, w.jobs[i].ID)
				if _, ours := p.want[key]; ours && !f.whole(p, key, w) {
					t.Fatalf("%s: task %s runs and has said %+v, heard was %+v", p.name, key, w.said[key], p.said[key])
				}
			}
		}
	}
}

// note is a request about the data of a session: who puts writes a number that nobody else writes.
type note struct {
	session       uint32
	value         string // that was put, or found
	asked, answer int    // when, by the count of events
	put           bool
}

// memo is all that was asked about the data of sessions.
type memo struct {
	clock int
	notes []*note
	open  map[string]*note // by worker and request
}

// keep has the hook of a task put something into its session, or look what is there.
func (m *memo) keep(w *worker, t *rapid.T) {
	if w.dead || len(w.jobs) == 0 {
		return
	}
	s := w.jobs[0].Session
	m.clock++
	n := &note{session: s.Bind.Session, asked: m.clock, put: rapid.Bool().Draw(t, "put")}
	var id uint64
	if n.put {
		n.value = fmt.Sprint(m.clock)
		id = instance.Put(w.engine, s, protocol.PutData{Key: "k", Value: []byte(n.value)})
	} else {
		id = instance.Get(w.engine, s, "k")
	}
	m.notes = append(m.notes, n)
	m.open[fmt.Sprint(w.name, id)] = n
}

// answered takes the answer to a request: what is found must have been put, and not been replaced before it was asked for.
func (m *memo) answered(f *fabric, w *worker, a instance.Answer) {
	at := fmt.Sprint(w.name, a.Request)
	n := m.open[at]
	if n == nil {
		f.t.Fatalf("%s: request %d was answered twice, or not made", w.name, a.Request)
	}
	delete(m.open, at)
	if a.Err != nil {
		f.t.Fatalf("%s: a request about session %d: %v", w.name, n.session, a.Err)
	}
	m.clock++
	n.answer = m.clock
	if n.put {
		return
	}
	n.value = string(a.Value)
	for _, p := range m.notes {
		if !p.put || p.session != n.session || p.answer == 0 || p.answer > n.asked {
			continue
		}
		// p was there before it was asked for: what was found is no older.
		if !a.Found {
			f.t.Fatalf("session %d: nothing was found after %q was put", n.session, p.value)
		}
		for _, q := range m.notes {
			if q.put && q.session == n.session && q.value == n.value && q.answer > 0 && q.answer < p.asked {
				f.t.Fatalf("session %d: %q was found, which %q had replaced", n.session, n.value, p.value)
			}
		}
	}
}
