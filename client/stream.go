package client

import (
	"context"
	"iter"
	"runtime/debug"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// Partial is a part of a task's result, sent by its service ahead of the result with TaskContext.Emit.
type Partial struct {
	// Payload is what was emitted. It belongs to whom it was given.
	Payload []byte
	// Attempt counts the times that the task was run, from 1. When it grows the parts of the attempt before are void, and
	// Number begins at 0 again.
	Attempt int
	// Number is the part's place in its attempt, from 0, without gaps.
	Number int
}

// WithProgress has f called when the service tells how far the task has come, at most about ten times a second: the last
// word is always told, those before it may be left out. All functions of one task are called in order, one after the other,
// and return before the task is finished.
func WithProgress(f func(protocol.Progress)) TaskOption {
	return func(c *taskConfig) {
		if f == nil {
			c.refuse("WithProgress: the function is nil")
			return
		}
		c.streamed().progress = f
	}
}

// WithPartials has f called with the parts of the task's result, in order: see [WithProgress]. Parts count against the
// client's credit for results ([WithResultCredit]) until f is called with them. While f keeps them waiting they stay with
// the service, whose hook waits.
func WithPartials(f func(Partial)) TaskOption {
	return func(c *taskConfig) {
		if f == nil {
			c.refuse("WithPartials: the function is nil")
			return
		}
		c.streamed().partials = f
	}
}

// WithParts keeps the parts of the task's result for [Task.Parts], which somebody has to call then: until they are taken,
// they count against the client's credit for results. It is for [Session.Submit].
func WithParts() TaskOption { return func(c *taskConfig) { c.streamed().keeps = true } }

// streamed gives the stream of a task that is to have one.
func (c *taskConfig) streamed() *stream {
	if c.stream == nil {
		c.stream = &stream{}
	}
	return c.stream
}

// bind says whom the stream is of; the error says that its options do not go together.
func (t *stream) bind(s *Session, task *Task) error {
	if t.keeps && (task == nil || task.call || t.partials != nil) {
		return protocol.Errorf(protocol.CodeInvalid, "submit", "WithParts is for Submit, without WithPartials: nobody else can call Parts")
	}
	t.words = &words{}
	if to := (pending{session: s, task: task}); to.ordered() { // what the tasks of its session say has to stay in order with their results
		t.words = &s.ordered.words
	}
	t.words.client = s.client
	if task != nil {
		task.stream = t
	}
	return nil
}

// stream is whom the words of one task are for.
type stream struct {
	progress func(protocol.Progress)
	partials func(Partial)
	keeps    bool // parts are for Task.Parts
	words    *words

	// Guarded by the client's mu.
	parts []word        // that are kept
	news  chan struct{} // closed when there is one more, or the task is finished; nil: nobody waits
}

// words are calls that are to be made one after the other, and the ends of tasks behind them, on a goroutine that is
// there as long as there is something to do. Guarded by the client's mu.
type words struct {
	client  *Client
	queue   []word
	running bool
}

// word is one thing that a task has said, or its end.
type word struct {
	said    engine.Said
	stream  *stream
	account *account
	end     *engine.Completion // and to whom it is to be delivered
	to      pending
}

// said takes what a task has said to whom wants it. What nobody wants is consumed at once. The caller holds mu.
func (p *pending) said(c *Client, s *engine.Said) {
	t := p.stream
	if p.task != nil && p.task.finished { // it was given up
		t = nil
	}
	w := word{said: *s, stream: t}
	if s.Progress != nil {
		if t != nil && t.progress != nil {
			t.words.progress(w)
		}
		return
	}
	if t == nil || t.partials == nil && !t.keeps {
		c.eng.Consumed(s.Source, s.Weight)
		return
	}
	w.account = accountFor(c, s.Source)
	w.account.hold(s.Weight)
	if t.keeps {
		t.parts = append(t.parts, w)
		t.wake()
		return
	}
	t.words.push(w)
}

// words are those behind which the end of a task has to stay; nil: none.
func (p *pending) words() *words {
	switch {
	case p.stream != nil:
		return p.stream.words
	case p.ordered():
		return &p.session.ordered.words
	}
	return nil
}

// follow says whether there is something to be called still, and puts the end of a task behind it. The caller holds the
// client's mu.
func (q *words) follow(to pending, done *engine.Completion) bool {
	if !q.running {
		return false
	}
	end := *done
	q.push(word{end: &end, to: to})
	return true
}

// wake makes who waits in Parts look again. The caller holds the client's mu.
func (t *stream) wake() {
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
}

// progress queues word of progress, in place of one of the same task that nobody has heard yet. The caller holds the
// client's mu.
func (q *words) progress(w word) {
	for i := len(q.queue) - 1; i >= 0 && q.queue[i].stream == w.stream; i-- {
		if q.queue[i].said.Progress != nil {
			q.queue[i].said.Progress = w.said.Progress
			return
		}
	}
	q.push(w)
}

// push queues a word. The caller holds the client's mu.
func (q *words) push(w word) {
	q.queue = append(q.queue, w)
	if !q.running {
		q.running = true
		go q.work()
	}
}

func (q *words) work() {
	done := false
	defer func() {
		if !done { // a function ended its goroutine
			go q.work()
		}
	}()
	c := q.client
	for {
		c.mu.Lock()
		if len(q.queue) == 0 {
			q.queue, q.running, done = nil, false, true
			c.mu.Unlock()
			return
		}
		w := q.queue[0]
		q.queue[0] = word{}
		q.queue = q.queue[1:]
		if w.end != nil {
			w.to.conclude(c, w.end)
			c.settle()
			continue
		}
		n := w.account.release(w.said.Weight)
		c.mu.Unlock()
		w.account.add(n)
		q.call(&w)
	}
}

// call makes one call. A panic ends nothing but itself.
func (q *words) call(w *word) {
	defer func() {
		if p := recover(); p != nil {
			q.client.runner.panicked(w.said.Task, p, debug.Stack())
		}
	}()
	if p := w.said.Progress; p != nil {
		w.stream.progress(*p)
		return
	}
	w.stream.partials(w.part())
}

func (w *word) part() Partial {
	return Partial{Payload: w.said.Payload, Attempt: w.said.Attempt, Number: w.said.Number}
}

// Parts gives the parts of the result of a task that was submitted [WithParts], as they come, each once. It ends when the
// task is finished and all were given; [Task.Wait] has its result. Who leaves the loop may take the rest later. The error is
// that ctx has ended, or that the task was submitted otherwise.
func (t *Task) Parts(ctx context.Context) iter.Seq2[Partial, error] {
	return func(yield func(Partial, error) bool) {
		if t.stream == nil || !t.stream.keeps {
			yield(Partial{}, protocol.Errorf(protocol.CodeInvalid, "parts", "the task was not submitted WithParts"))
			return
		}
		for {
			w, err := t.nextPart(ctx)
			if err != nil {
				yield(Partial{}, err)
				return
			}
			if w == nil || !yield(w.part(), nil) {
				return
			}
		}
	}
}

// nextPart waits for a part and takes it; nil when none will come any more.
func (t *Task) nextPart(ctx context.Context) (*word, error) {
	c, s := t.session.client, t.stream
	c.mu.Lock()
	for {
		if len(s.parts) > 0 {
			w := s.parts[0]
			s.parts[0] = word{}
			s.parts = s.parts[1:]
			n := w.account.release(w.said.Weight)
			c.mu.Unlock()
			w.account.add(n)
			return &w, nil
		}
		if t.finished || ctx.Err() != nil {
			c.mu.Unlock()
			if t.finished {
				return nil, nil //nolint:nilnil // there is none, and that is in order
			}
			return nil, contextError(ctx, "parts", goesOn)
		}
		if s.news == nil {
			s.news = make(chan struct{})
		}
		news := s.news
		ring := c.block()
		c.mu.Unlock()
		if ring {
			c.wake.Ring()
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
		c.mu.Lock()
		c.blocked--
	}
}
