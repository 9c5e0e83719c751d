package sim

import (
	"encoding/binary"
	"testing"

	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// notebook is an instance that keeps data with session 3 under one key.
type notebook struct {
	i  *instance
	of *hosted
	n  uint64 // requests
}

func (w *World) notebook() *notebook {
	i := &instance{w: w, service: w.services[0]}
	i.process = w.newProcess(instanceParty, "i", 1, i)
	i.data.open = map[uint64]*asking{}
	return &notebook{i: i, of: &hosted{}}
}

// asks has it ask for something; put nil: to look up.
func (b *notebook) asks(p *put) uint64 {
	b.n++
	q := &asking{of: b.of, asked: b.of.data.tick(), put: p}
	if p != nil {
		p.asked = q.asked
		b.of.data.cells[0] = append(b.of.data.cells[0], p)
	}
	b.i.data.open[b.n] = q
	return b.n
}

func (b *notebook) done(id uint64) { b.i.data.answered(b.i, &engine.Answer{Request: id}) }

func (b *notebook) error(id uint64, code protocol.Code) {
	b.i.data.answered(b.i, &engine.Answer{Request: id, Err: protocol.Errorf(code, "x", "y")})
}

// keeps puts something that is acknowledged.
func (b *notebook) keeps(value uint64) { b.done(b.asks(value16(value))) }

// finds answers a look-up: 0 is nothing.
func (b *notebook) finds(id, value uint64) {
	a := &engine.Answer{Request: id}
	if value != 0 {
		a.Found, a.Value = true, append(binary.BigEndian.AppendUint64(nil, value), make([]byte, 8)...)
	}
	b.i.data.answered(b.i, a)
}

func value16(v uint64) *put { return &put{value: v, size: 16} }

var dataRules = map[string]rule{
	"nothing":                  {"", func(w *World, _ *task) { b := w.notebook(); b.finds(b.asks(nil), 0) }},
	"what was put":             {"", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.finds(b.asks(nil), 77) }},
	"what was put last":        {"", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.keeps(78); b.finds(b.asks(nil), 78) }},
	"what was put and is lost": {"data", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.finds(b.asks(nil), 0) }},
	"what was overwritten":     {"data", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.keeps(78); b.finds(b.asks(nil), 77) }},
	"what nobody has put":      {"data", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.finds(b.asks(nil), 78) }},
	"what was taken away": {"data", func(w *World, _ *task) {
		b := w.notebook()
		b.keeps(77)
		b.done(b.asks(&put{}))
		b.finds(b.asks(nil), 77)
	}},
	"nothing, as it was": {"", func(w *World, _ *task) {
		b := w.notebook()
		b.keeps(77)
		b.done(b.asks(&put{}))
		b.finds(b.asks(nil), 0)
	}},
	"the old one meanwhile": {"", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.asks(value16(78)); b.finds(b.asks(nil), 77) }},
	"the new one meanwhile": {"", func(w *World, _ *task) { b := w.notebook(); b.keeps(77); b.asks(value16(78)); b.finds(b.asks(nil), 78) }},
	"the old one, asked before": {"", func(w *World, _ *task) {
		b := w.notebook()
		b.keeps(77)
		id := b.asks(nil)
		b.keeps(78)
		b.finds(id, 77)
	}},
	"either of two at once": {"", func(w *World, _ *task) {
		b := w.notebook()
		one, two := b.asks(value16(77)), b.asks(value16(78))
		b.done(two)
		b.done(one)
		b.finds(b.asks(nil), 77)
	}},
	"the old one after the new one was seen": {"data", func(w *World, _ *task) {
		b := w.notebook()
		b.keeps(77)
		b.asks(value16(78))
		b.finds(b.asks(nil), 78)
		b.finds(b.asks(nil), 77)
	}},
	"the old one, asked before the new one was seen": {"", func(w *World, _ *task) {
		b := w.notebook()
		b.keeps(77)
		b.asks(value16(78))
		id := b.asks(nil)
		b.finds(b.asks(nil), 78)
		b.finds(id, 77)
	}},
	"what was put and seen, and another one was put": {"data", func(w *World, _ *task) {
		b := w.notebook()
		b.asks(value16(77))
		b.finds(b.asks(nil), 77)
		b.keeps(78)
		b.finds(b.asks(nil), 77)
	}},
	"what was put and is cut": {"data", func(w *World, _ *task) {
		b := w.notebook()
		b.keeps(77)
		b.i.data.answered(b.i, &engine.Answer{Request: b.asks(nil), Found: true, Value: binary.BigEndian.AppendUint64(nil, 77)})
	}},
	"nothing, which is there": {"data", func(w *World, _ *task) {
		b := w.notebook()
		b.i.data.answered(b.i, &engine.Answer{Request: b.asks(nil), Found: true})
	}},
	"what a put said whose fate is not known": {"", func(w *World, _ *task) {
		b := w.notebook()
		b.of.over = true
		b.error(b.asks(value16(77)), protocol.CodeUnavailable)
		b.finds(b.asks(nil), 77)
	}},
	"an answer to nothing": {"data", func(w *World, _ *task) { w.notebook().done(1) }},
	"an answer twice": {"data", func(w *World, _ *task) {
		b := w.notebook()
		id := b.asks(nil)
		b.finds(id, 0)
		b.finds(id, 0)
	}},
	"an error of no session": {"data", func(w *World, _ *task) {
		b := w.notebook()
		b.of.over = true
		b.error(b.asks(nil), protocol.CodeInvalid)
	}},
	"over": {"", func(w *World, _ *task) {
		b := w.notebook()
		b.of.over = true
		b.error(b.asks(nil), protocol.CodeSessionClosed)
	}},
	"over, and it is not": {"data", func(w *World, _ *task) { b := w.notebook(); b.error(b.asks(nil), protocol.CodeSessionClosed) }},
	"its manager is gone": {"", func(w *World, _ *task) {
		b := w.notebook()
		w.plan.calm = false
		b.error(b.asks(nil), protocol.CodeUnavailable)
	}},
	"its manager is gone by no deed": {"data", func(w *World, _ *task) { b := w.notebook(); b.error(b.asks(nil), protocol.CodeUnavailable) }},
}

// A look-up finds what was put last, whole, or what is put at the same time.
func TestSessionData(t *testing.T) { judge(t, dataRules) }

// While a question about data has no answer nothing is settled.
func TestQuestionsAreAnswered(t *testing.T) {
	w := calmWorld(t)
	w.until(t, "all is settled", func() bool { return w.goals.unsettled() == "" })
	b := w.notebook()
	w.instances = append(w.instances, b.i)
	id := b.asks(nil)
	if w.goals.unsettled() == "" {
		t.Error("it is settled, and a question has no answer")
	}
	b.finds(id, 0)
	if why := w.goals.unsettled(); why != "" {
		t.Errorf("all questions are answered, and yet: %s", why)
	}
}
