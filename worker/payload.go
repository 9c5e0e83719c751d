package worker

import (
	"bytes"
	"sync"

	"github.com/weft-fabric/weft/internal/headroom"
)

// A large payload comes in a frame of its own, in memory of C. It is copied when the service asks for one that it may keep,
// and not before.

// Payload is what the client sent. The service may keep and change it. Small payloads that arrived together share
// memory: who keeps one for long should keep a copy. It is the same slice each time.
func (t *TaskContext) Payload() []byte {
	job := &t.hand.job
	if job.Handle == 0 {
		return job.Payload
	}
	f := &t.hand.frame
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own == nil {
		f.own = bytes.Clone(t.hand.server.payloads.Bytes(job.Handle))
		headroom.Came(len(f.own))
	}
	return f.own
}

// Borrow is what the client sent, without a copy of it, for services that read large payloads once: it must not be changed,
// and not be used any more when OnTaskExec has returned, nor by anything that outlives it. OnTaskExec may return it, or a
// part of it, as the result; all of it is then passed on without a copy.
func (t *TaskContext) Borrow() []byte {
	job := &t.hand.job
	if job.Handle == 0 {
		return job.Payload
	}
	f := &t.hand.frame
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lent = t.hand.server.payloads.Bytes(job.Handle)
	return f.lent
}

// frame is what became of the payload frame of a task.
type frame struct {
	mu   sync.Mutex
	lent []byte // its bytes, when the service has borrowed them
	own  []byte // a copy, when it has asked for one
}

// whole says whether a result is all that the service has borrowed.
func (f *frame) whole(result []byte) bool {
	return len(result) > 0 && len(result) == len(f.lent) && &result[0] == &f.lent[0]
}

// keep gives a small result for as long as it takes: of what was borrowed it may be a part.
func (f *frame) keep(result []byte) []byte {
	if f.lent == nil {
		return result
	}
	return bytes.Clone(result)
}

// returned gives the frame of a task back, whose hook has returned, unless it is the result.
func (h *hand) returned() {
	if h.job.Handle != 0 && h.job.Handle != h.out.Handle {
		h.server.payloads.Release(h.job.Handle)
	}
	h.frame.lent, h.frame.own = nil, nil
	h.job.Payload, h.job.Handle = nil, 0
}
