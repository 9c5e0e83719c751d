package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/internal/progress"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// mostAhead is how many commands may be sent before the oldest of them is printed. It bounds the memory.
	mostAhead = 1 << 14
	// exitFabric is the code of a command of which is not known how it ended, or whose output was cut.
	exitFabric = 125
)

// What --halt can be.
const (
	haltNever = "never"
	haltSoon  = "soon"
	haltNow   = "now"
)

// submitter is what a runner needs of a session; *client.Session is it.
type submitter interface {
	SubmitFunc(ctx context.Context, payload []byte, fn func(client.Result), opts ...client.TaskOption) error
}

// runner sends commands, and prints what comes of them.
type runner struct {
	session     submitter
	out, errOut io.Writer
	bar         *progress.Bar
	unordered   bool
	tag         bool
	retries     int
	halt        string
	ahead       int           // mostAhead, less in tests
	first       chan struct{} // closed with the first result
	said        said          // of those printed; the printer's alone
	stop        context.CancelCauseFunc

	mu       sync.Mutex
	changed  *sync.Cond
	shelf    *shelf
	sent     int
	finished int  // of those sent
	printed  int  // of those finished
	all      bool // no more will be sent
	halted   bool // no more may be sent
	cut      int  // of those printed, the ones that were broken off
	failed   int
	worst    int
	broken   error // what keeps results from being printed
}

// ended is a command that has ended, as it is kept until it is printed.
type ended struct {
	Label     string
	Command   string // for people, of one that did not end well
	Printable bool   // false: it was broken off
	Outcome   builtin.Outcome
}

func newRunner(s submitter, out, errOut io.Writer) *runner {
	r := &runner{
		session: s, out: out, errOut: errOut, bar: progress.New(errOut, "commands", 1), halt: haltNever, ahead: mostAhead,
		first: make(chan struct{}), shelf: newShelf(shelfMemory),
	}
	r.changed = sync.NewCond(&r.mu)
	return r
}

// run sends all jobs, and prints how they ended. It returns when all that was sent has ended. When ctx ends, or a failure
// is to halt all at once, kill is called, which has to end what runs; what was finished before is printed.
func (r *runner) run(ctx context.Context, jobs iter.Seq2[job, error], kill func() error) error {
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	printed := make(chan struct{})
	go func() { defer close(printed); r.print() }()
	killed := make(chan error, 1)
	ignore := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		r.halted = true
		r.changed.Broadcast()
		r.mu.Unlock()
		killed <- kill()
	})
	err := r.send(ctx, jobs)
	r.mu.Lock()
	r.all = true
	r.changed.Broadcast()
	r.mu.Unlock()
	<-printed
	if !ignore() { // it has begun
		err = errors.Join(err, <-killed)
	}
	r.bar.Finish()
	r.said.rest(r.errOut)
	return errors.Join(err, r.broken, r.shelf.close())
}

// send sends jobs as long as nothing speaks against it.
func (r *runner) send(ctx context.Context, jobs iter.Seq2[job, error]) error {
	feed := make(chan fed)
	over := make(chan struct{})
	defer close(over)
	go func() { // reading may block for ever
		defer close(feed)
		for j, err := range jobs {
			select {
			case feed <- fed{j, err}:
			case <-over:
				return
			}
		}
	}()
	for {
		var f fed
		var ok bool
		select {
		case f, ok = <-feed:
		case <-ctx.Done():
			return nil
		}
		if !ok || f.err != nil {
			return f.err
		}
		number, ok := r.reserve()
		if !ok {
			return nil
		}
		if err := r.submit(ctx, number, f.job, r.retries); err != nil {
			r.done(number, ended{})
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

type fed struct {
	job job
	err error
}

// reserve waits until one more may be sent, and numbers it; false when none may.
func (r *runner) reserve() (number int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.sent-r.printed >= r.ahead && !r.halted && r.broken == nil {
		r.changed.Wait()
	}
	if r.halted || r.broken != nil {
		return 0, false
	}
	number = r.sent
	r.sent++
	return number, true
}

// submit sends a job. One under which an instance was lost is sent again, as often as retries says.
func (r *runner) submit(ctx context.Context, number int, j job, retries int) error {
	payload, err := msgpack.Marshal(builtin.Command{Args: j.args, Input: j.input})
	if err != nil {
		return fmt.Errorf("encode a command: %w", err)
	}
	err = r.session.SubmitFunc(ctx, payload, func(res client.Result) {
		if res.Err != nil && retries > 0 && indeterminate(res.Err) && r.submit(ctx, number, j, retries-1) == nil {
			return
		}
		o, printable := outcome(res)
		r.done(number, endedAs(j, printable, o))
	})
	if errors.Is(err, client.ErrPayloadTooLarge) {
		r.done(number, endedAs(j, true, builtin.Outcome{Code: exitFabric, Problem: err.Error()}))
		return nil
	}
	return err
}

// endedAs is how a job has ended.
func endedAs(j job, printable bool, o builtin.Outcome) ended {
	e := ended{Label: j.label, Printable: printable, Outcome: o}
	if o.Code != 0 || o.Problem != "" || o.Lost > 0 {
		e.Command = j.name()
	}
	return e
}

// indeterminate says that it is not known whether a command has run.
func indeterminate(err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.CodeHostLossSpent, protocol.CodeAttemptsSpent, protocol.CodeIndeterminate:
		return true
	default:
		return false
	}
}

// outcome gives how a command ended; printable is false for one that was broken off with its session.
func outcome(res client.Result) (o builtin.Outcome, printable bool) {
	switch {
	case res.Err == nil:
		if err := msgpack.Unmarshal(res.Payload, &o); err != nil {
			return builtin.Outcome{Code: exitFabric, Problem: "its result cannot be read: " + err.Error()}, true
		}
		return o, true
	case errors.Is(res.Err, client.ErrSessionKilled), errors.Is(res.Err, client.ErrClosed):
		return o, false
	case errors.Is(res.Err, client.ErrNoService):
		return restarted(), true
	case indeterminate(res.Err):
		return builtin.Outcome{Code: exitFabric, Problem: "it is not known whether it ran, and it was not run again (see --retry): " + res.Err.Error()}, true
	default:
		return builtin.Outcome{Code: exitFabric, Problem: res.Err.Error()}, true
	}
}

// done takes how a command ended.
func (r *runner) done(number int, e ended) {
	text, err := msgpack.Marshal(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	if r.finished == 0 {
		close(r.first)
	}
	if r.unordered { // the next to be printed is the next that ends
		number = r.finished
	}
	r.finished++
	if err == nil {
		err = r.shelf.put(number, text)
	}
	r.fail(err)
	if e.code() == 0 {
		return
	}
	switch r.halt {
	case haltSoon:
		r.halted = true
	case haltNow:
		r.halted = true
		r.stop(nil)
	}
}

// fail ends everything when results cannot be kept or printed. The caller holds mu.
func (r *runner) fail(err error) {
	if err != nil && r.broken == nil {
		r.broken = err
		r.halted = true
		r.changed.Broadcast()
		r.stop(nil)
	}
}

// print prints in turn what has ended, until all that was sent has.
func (r *runner) print() {
	for {
		e, ok := r.next()
		if !ok {
			return
		}
		err := r.write(e)
		r.mu.Lock()
		r.fail(err)
		sent := r.sent
		if !r.all {
			sent++
		}
		r.mu.Unlock()
		r.bar.Total(sent)
		r.bar.Add(1)
	}
}

// next waits for what is to be printed next; false when there is nothing left.
func (r *runner) next() (e ended, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.broken != nil && r.all && r.finished == r.sent || r.all && r.printed == r.sent {
			return e, false
		}
		if r.broken == nil {
			text, ok, err := r.shelf.take(r.printed)
			if ok {
				if err == nil {
					err = msgpack.Unmarshal(text, &e)
				}
				r.fail(err)
				r.count(e)
				return e, true
			}
		}
		r.changed.Wait()
	}
}

// count notes what is printed. The caller holds mu.
func (r *runner) count(e ended) {
	r.printed++
	r.changed.Broadcast()
	if !e.Printable {
		r.cut++
	}
	if code := e.code(); code != 0 {
		r.failed++
		r.worst = max(r.worst, code)
	}
}

// code is what a command counts for.
func (e ended) code() int {
	if !e.Printable {
		return 0
	}
	if e.Outcome.Lost > 0 {
		return max(e.Outcome.Code, exitFabric)
	}
	return e.Outcome.Code
}

// write prints one command's output, and what is to be said of it.
func (r *runner) write(e ended) error {
	if !e.Printable {
		return nil
	}
	o := e.Outcome
	said := r.said.of(e)
	if len(o.Out)+len(o.Err)+len(said) == 0 {
		return nil
	}
	if len(o.Err)+len(said) > 0 || isTerminal(r.out) {
		r.bar.Hide()
	}
	for _, part := range []struct {
		w     io.Writer
		text  []byte
		whole bool // something else follows, which would be taken for the same line, or hide it
	}{
		{r.out, r.tagged(e.Label, o.Out), isTerminal(r.out) && isTerminal(r.errOut)},
		{r.errOut, r.tagged(e.Label, o.Err), isTerminal(r.errOut) || len(said) > 0},
		{r.errOut, []byte(said), false},
	} {
		if len(part.text) > 0 {
			if part.whole && !bytes.HasSuffix(part.text, []byte("\n")) {
				part.text = append(part.text, '\n')
			}
			if _, err := part.w.Write(part.text); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
	}
	return nil
}

// tagged puts the label before each line, if it is to be there.
func (r *runner) tagged(label string, text []byte) []byte {
	if !r.tag || len(text) == 0 {
		return text
	}
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		b.WriteString(label + "\t")
		b.Write(line)
	}
	return b.Bytes()
}
