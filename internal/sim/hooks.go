package sim

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// act is what the hook of a task does.
type act uint8

const (
	actEcho       act = iota // returns a result that is made of the payload
	actSlow                  // the same, after a long while
	actFail                  // fails
	actPermanent             // fails, never to be run again
	actRetryOnce             // asks to be run again the first time, then echoes
	actRetry                 // asks to be run again each time
	actPanic                 // panics
	actPoison                // ends its process
	actPoisonOnce            // ends its process the first time, then echoes
	actCancelled             // was to echo, and its context ended
	acts
)

// resultOf is what the hook of an echo returns.
func resultOf(c content) content { return content(bits.RotateLeft64(^uint64(c), 17)) }

// plan decides how the hook ends, and how long it takes.
func (h *hookRun) plan() time.Duration {
	w := h.instance.w
	draw := &w.drawParty
	switch h.job.Kind {
	case engine.Exec:
		return h.planTask()
	case engine.Create:
		if !w.healing && draw.chance(w.plan.createFails) {
			w.tally.add(CreateFails)
			h.out.Err = protocol.Errorf(protocol.CodeCreateFailed, "OnCreateService", "as the seed will have it")
		}
		return draw.span(0, min(w.plan.hooks*4, 1500*time.Millisecond)+1) // with its start less than limits.start
	case engine.Bind:
		if bytes.Equal(h.job.Session.Bind.Parameters, []byte("refuse")) {
			w.tally.add(BindFails)
			h.out.Err = protocol.Errorf(protocol.CodeBindFailed, "OnSessionBind", "as the session asks for")
		}
	case engine.Unbind:
		if !w.healing && w.plan.on.Has(HookTrouble) && draw.chance(50) {
			return draw.span(0, min(w.plan.slow, 15*time.Second))
		}
	case engine.Destroy:
	}
	if draw.chance(500) {
		return 0
	}
	return draw.span(0, w.plan.hooks+1)
}

// read gives what the payload of a task says, and gives its frame back.
func (h *hookRun) read() content {
	p := &h.instance.process.table
	if h.job.Handle != 0 {
		var c content
		if s := p.held(h.job.Handle, "read"); s != nil {
			c = s.content
		}
		p.release(h.job.Handle)
		return c
	}
	if len(h.job.Payload) < 8 {
		return 0
	}
	return content(binary.BigEndian.Uint64(h.job.Payload))
}

// planTask decides how the hook of a task ends.
func (h *hookRun) planTask() time.Duration {
	w := h.instance.w
	t := h.task
	if t == nil {
		return 0
	}
	h.act = t.act
	if w.healing {
		h.act = actEcho
	}
	failure := func(retry uint8) {
		h.out.Err = protocol.Errorf(protocol.CodeTaskFailed, "OnTaskExec", "as the seed will have it")
		h.out.Err.Retry = retry
	}
	switch h.act {
	case actFail:
		failure(0)
	case actPermanent:
		failure(2)
	case actRetryOnce:
		if t.retries == 0 {
			t.retries++
			w.tally.add(Retries)
			failure(1)
			h.out.Err.RetryAfter = w.drawParty.span(0, time.Duration(pick(&w.drawParty, 0, 2))*time.Second)
		}
	case actRetry:
		w.tally.add(Retries)
		failure(1)
	case actPanic:
		w.tally.add(Panics)
		h.out.Err, h.out.Panicked = protocol.Errorf(protocol.CodeTaskPanicked, "OnTaskExec", "as the seed will have it"), true
	case actPoison:
		h.kills = true
	case actPoisonOnce:
		h.kills = t.deaths == 0
	case actEcho, actSlow, actCancelled, acts:
	}
	if h.out.Err == nil && !h.kills {
		h.result(t)
	}
	draw := &w.drawParty
	switch {
	case h.act == actSlow:
		return draw.span(w.plan.hooks, w.plan.slow)
	case draw.chance(w.plan.instant):
		return 0
	default:
		return draw.span(0, w.plan.hooks+1)
	}
}

// result makes the result ready.
func (h *hookRun) result(t *task) {
	i := h.instance
	c, size := resultOf(t.content), t.resultSize
	if int64(size) > h.job.MaxPayload {
		i.w.fail("result", "%s: a result of %d bytes, at most %d are allowed: the limit of the service is %d", i.process.name, size, h.job.MaxPayload, i.service.spec.Limits.Payload)
	}
	if size >= protocol.InlinePayload {
		h.out.Handle, h.out.Size = i.process.table.add(c, size), size
		return
	}
	b := &i.w.resultBytes
	*b = binary.BigEndian.AppendUint64((*b)[:0], uint64(c))
	h.out.Result = append(append(make([]byte, 0, size), *b...), i.w.zeros[:size-8]...)
}
