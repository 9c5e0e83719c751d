package client

import (
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
)

// pending is whom a task is for. With neither a task nor a function it is nobody: its result is dropped.
type pending struct {
	session *Session     // of the task, also when it is given up
	task    *Task        // of Submit and Call
	fn      func(Result) // of SubmitFunc
	stream  *stream      // whom the words of the task are for; nil: nobody
}

// copyLater has the payload frame of a result copied without the lock, where somebody wants it and it has not to be passed
// on in order. The caller holds mu.
func (p *pending) copyLater(c *Client, done *engine.Completion) bool {
	wanted := p.fn != nil || p.task != nil && !p.task.finished
	if wanted && !p.ordered() {
		c.heavy = append(c.heavy, heavy{*done, *p})
		return true
	}
	if wanted {
		done.Payload = append([]byte(nil), c.payloads.Bytes(done.Handle)...)
	}
	c.payloads.Release(done.Handle)
	return false
}

// ordered says whether a task has a place among the ordered ones.
func (p *pending) ordered() bool {
	return p.session.ordered != nil && (p.task == nil || p.task.ordered)
}

// deliver gives a result to whom it is for. The caller holds mu.
func (p *pending) deliver(c *Client, done *engine.Completion) {
	if q := p.words(); q == nil || !q.follow(*p, done) {
		p.conclude(c, done)
	}
}

// conclude gives a result to whom it is for, everything that its task has said having been told. The caller holds mu.
func (p *pending) conclude(c *Client, done *engine.Completion) {
	t := p.task
	switch {
	case p.fn != nil:
		p.call(c, done)
	case t != nil && !t.finished:
		if c.wasCall = t.call; t.call && c.eng.Outstanding() == 0 {
			c.lastLead = time.Now()
		}
		t.id, t.payload, t.err = done.Task, done.Payload, taskError(done.Err)
		t.account, t.size = c.account(done), done.Size
		t.account.hold(int64(done.Size))
		t.finish()
	default:
		if done.Size > 0 {
			c.eng.Consumed(done.Source, int64(done.Size))
		}
		engine.Taken(done.Session, done.Task)
		if t != nil && t.ordered {
			p.session.ordered.delivered(done.Task.Slot())
		}
	}
	if t != nil && !done.Early {
		t.stop()
	}
}

// call has the function of a task called. The caller holds mu.
func (p *pending) call(c *Client, done *engine.Completion) {
	c.wasCall = false
	cb := callback{fn: p.fn, account: c.account(done), result: Result{Payload: done.Payload, Err: taskError(done.Err), Task: done.Task}}
	cb.account.hold(int64(len(cb.result.Payload)))
	if p.session.keeps {
		cb.fn = p.session.takes(p.fn)
	}
	if p.session.ordered != nil {
		p.session.ordered.push(cb, done.Task)
		return
	}
	if c.callbacks == nil {
		c.callbacks = c.runner.list()
	}
	c.callbacks = append(c.callbacks, cb)
}

// takes has the result of a task of a session, whose broker keeps it until it is taken, taken by fn.
func (s *Session) takes(fn func(Result)) func(Result) {
	return func(r Result) {
		defer s.taken(r.Task)
		fn(r)
	}
}
