package sim

import (
	"encoding/binary"
	"fmt"

	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// registers is what can be known of the data of a session: what was put under each key, and what can still be there.
type registers struct {
	clock int64 // of asking and answering
	cells [3][]*put
}

// put is one value that was put under a key, or 0 where it was taken away. No two sessions have a value in common.
type put struct {
	value  uint64
	size   int
	asked  int64
	done   int64 // when it was acknowledged, or was seen; 0: it was not
	behind int64 // when another one was so that was asked for after that; 0: none was
}

// askers is what an instance has asked for of the data of its sessions.
type askers struct{ open map[uint64]*asking }

// asking is one question about the data of a session.
type asking struct {
	of    *hosted
	cell  int
	put   *put // nil: a look-up
	asked int64
}

// tick tells the time of a session's data.
func (r *registers) tick() int64 {
	if r.clock++; r.clock == 1 {
		for i := range r.cells {
			r.cells[i] = []*put{{asked: 1, done: 1}}
		}
		r.clock++
	}
	return r.clock
}

// ask has a hook put something under a key, take it away or look it up.
func (a *askers) ask(h *hookRun) {
	i, w := h.instance, h.instance.w
	draw := &w.drawParty
	number := h.job.Session.Bind.Session
	of := w.broker.shares.sessions[number]
	if of == nil || i.life.epoch != w.broker.epoch {
		return // it is of a reign that is over
	}
	q := &asking{of: of, cell: draw.n(len(of.data.cells)), asked: of.data.tick()}
	key := fmt.Sprint("key-", q.cell)
	var id uint64
	switch n := draw.n(8); {
	case n < 3:
		w.tally.add(DataPut)
		value := append(binary.BigEndian.AppendUint64(nil, uint64(number)<<32|uint64(q.asked)), w.zeros[:draw.n(100)]...)
		q.put = &put{value: binary.BigEndian.Uint64(value), size: len(value), asked: q.asked}
		id = engine.Put(i.engine, h.job.Session, protocol.PutData{Key: key, Value: value})
	case n < 4:
		q.put = &put{asked: q.asked}
		id = engine.Put(i.engine, h.job.Session, protocol.PutData{Key: key, Delete: true})
	default:
		w.tally.add(DataGot)
		id = engine.Get(i.engine, h.job.Session, key)
	}
	if q.put != nil {
		of.data.cells[q.cell] = append(of.data.cells[q.cell], q.put)
	}
	if a.open == nil {
		a.open = make(map[uint64]*asking)
	}
	a.open[id] = q
}

// answered judges an answer: what was put and acknowledged is what is looked up afterwards, unless another one was put later.
func (a *askers) answered(i *instance, answer *engine.Answer) {
	w := i.w
	q := a.open[answer.Request]
	if q == nil {
		w.fail("data", "%s gets an answer to request %d, which it has not asked, or which was answered", i.process.name, answer.Request)
		return
	}
	delete(a.open, answer.Request)
	if err := answer.Err; err != nil {
		full := err.Code == protocol.CodeOverloaded && w.plan.on.Has(Scarce)
		if err.Code != protocol.CodeUnavailable && err.Code != protocol.CodeSessionClosed && !full || w.plan.calm && !q.of.over {
			w.fail("data", "%s: data of a session: %v", i.process.name, err)
		}
		return
	}
	r := &q.of.data
	if q.put != nil {
		r.happened(q.cell, q.put, r.tick())
		return
	}
	value := uint64(0)
	if answer.Found && len(answer.Value) >= 8 {
		value = binary.BigEndian.Uint64(answer.Value)
	}
	for _, p := range r.cells[q.cell] {
		if p.value == value && p.size == len(answer.Value) && answer.Found == (p.size > 0) && (p.behind == 0 || p.behind > q.asked) {
			if value != 0 { // otherwise there may be several that it is
				r.happened(q.cell, p, r.tick())
			}
			return
		}
	}
	w.fail("data", "%s looks up key-%d of session data and finds %d with %d bytes (%v), which nobody has put, or over which another one was put before that was asked for",
		i.process.name, q.cell, value, len(answer.Value), answer.Found)
}

// happened notes that something was put by now: what was there before it was asked for is there no more.
func (r *registers) happened(cell int, by *put, now int64) {
	if by.done == 0 {
		by.done = now
	}
	for _, p := range r.cells[cell] {
		if p.done > 0 && p.done < by.asked && p.behind == 0 {
			p.behind = now
		}
	}
}
