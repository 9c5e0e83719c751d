package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/internal/progress"
	"github.com/weft-fabric/weft/internal/quantile"
	"github.com/weft-fabric/weft/protocol"
)

// pingReport is what weft ping found out. Times are in nanoseconds.
type pingReport struct {
	Broker   client.BrokerInfo `json:"broker"`
	Reached  time.Duration     `json:"reached_ns"`
	Nodes    []string          `json:"nodes"`
	Lost     []string          `json:"lost,omitempty"`
	Service  string            `json:"service"`
	Version  string            `json:"version"`
	Opened   time.Duration     `json:"opened_ns"`
	First    time.Duration     `json:"first_result_ns"`
	Tasks    int               `json:"tasks"`
	In       int               `json:"in"`
	Out      int               `json:"out"`
	Sessions int               `json:"sessions"`
	Window   int               `json:"window"`
	Elapsed  time.Duration     `json:"elapsed_ns"`
	Rate     float64           `json:"tasks_per_second"`
	P50      time.Duration     `json:"p50_ns"`
	P90      time.Duration     `json:"p90_ns"`
	P99      time.Duration     `json:"p99_ns"`
	Max      time.Duration     `json:"max_ns"`
	Finished int               `json:"finished"` // of the tasks; fewer when it was interrupted
	Asked    int               `json:"instances_asked"`
	Got      int               `json:"instances"` // that served when the tasks were done
	Errors   int               `json:"errors"`
	Error    string            `json:"error,omitempty"` // the first
	ByNode   map[string]int    `json:"by_node,omitempty"`
}

// bench runs tasks, and gathers how long each took.
type bench struct {
	*pingRun
	sessions []*client.Session
	alive    []protocol.NodeInfo

	done atomic.Int64
	over atomic.Bool // it was interrupted
	mu   sync.Mutex
	err  error // the first of a task
	bad  int
	all  []time.Duration
}

// part is what one session gathers; each task has a place of its own.
type part struct {
	trips []time.Duration // -1: it failed; 0: it has not ended
	marks []uint64
}

func (b *bench) run(ctx context.Context) error {
	ended := make(chan struct{})
	var bar sync.WaitGroup
	bar.Go(func() { b.show(ended) })
	begin := time.Now()
	errs := make([]error, len(b.sessions))
	parts := make([]part, len(b.sessions))
	var all sync.WaitGroup
	for i, s := range b.sessions {
		n := b.tasks*(i+1)/len(b.sessions) - b.tasks*i/len(b.sessions)
		parts[i] = part{trips: make([]time.Duration, n), marks: make([]uint64, n)}
		all.Go(func() { errs[i] = b.session(ctx, s, &parts[i]) })
	}
	all.Wait()
	b.report.Elapsed = time.Since(begin)
	close(ended)
	bar.Wait()
	b.gather(parts)
	return errors.Join(errs...)
}

// show shows the progress until the tasks are done.
func (b *bench) show(ended <-chan struct{}) {
	bar := progress.New(b.errOut, "tasks", b.tasks)
	defer bar.Finish()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	shown := 0
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			now := int(b.done.Load())
			bar.Add(now - shown)
			shown = now
		}
	}
}

// session runs the tasks of one session, as many at a time as the window says.
func (b *bench) session(ctx context.Context, s *client.Session, p *part) error {
	task := make([]byte, b.size)
	number := func(i int) {
		if len(task) >= 8 {
			binary.BigEndian.PutUint64(task, uint64(i))
		}
	}
	if b.window == 1 {
		for i := range p.trips {
			number(i)
			begin := time.Now()
			out, err := s.Call(ctx, task)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.take(p, i, begin, task, out, err)
		}
		return nil
	}
	defer context.AfterFunc(ctx, func() { // also when all were sent
		b.over.Store(true)
		_ = b.giveUp(s) // that it was interrupted is what is told
	})()
	var all sync.WaitGroup
	defer all.Wait()
	for i := range p.trips {
		number(i)
		begin := time.Now()
		var head [8]byte // task is written over meanwhile
		n := copy(head[:], task)
		all.Add(1)
		err := s.SubmitFunc(ctx, task, func(r client.Result) {
			defer all.Done()
			b.take(p, i, begin, head[:n], r.Payload, r.Err)
		})
		if err != nil {
			all.Done()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errors.Join(err, b.giveUp(s))
		}
	}
	return nil
}

// giveUp ends a session whose tasks are not waited for any more.
func (b *bench) giveUp(s *client.Session) error {
	ctx, stop := context.WithTimeout(context.Background(), closePatience)
	defer stop()
	return s.Kill(ctx)
}

// take takes a result.
func (b *bench) take(p *part, i int, begin time.Time, task, out []byte, err error) {
	p.trips[i] = max(1, time.Since(begin))
	b.done.Add(1)
	if errors.Is(err, client.ErrSessionKilled) && b.over.Load() { // by us, after Ctrl-C
		p.trips[i] = 0
		return
	}
	if err == nil && !b.load.RightResult(task, out) {
		err = fmt.Errorf("a wrong result of %d bytes for task %d", len(out), i)
	}
	if err != nil {
		p.trips[i] = -1
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bad++
		if b.err == nil {
			b.err = err
		}
		return
	}
	p.marks[i], _ = builtin.MarkOf(out)
}

// gather puts together what the sessions found.
func (b *bench) gather(parts []part) {
	r := &b.report
	marks := map[uint64]int{}
	for _, p := range parts {
		for i, trip := range p.trips {
			if trip > 0 {
				b.all = append(b.all, trip)
				marks[p.marks[i]]++
			}
		}
	}
	r.Errors = b.bad
	if b.err != nil {
		r.Error = b.err.Error()
	}
	r.Finished = len(b.all) + b.bad
	r.Rate = float64(len(b.all)) / r.Elapsed.Seconds()
	r.P50, r.P90 = quantile.Of(b.all, 0.5), quantile.Of(b.all, 0.9)
	r.P99, r.Max = quantile.Of(b.all, 0.99), quantile.Of(b.all, 1)
	if _, named := builtin.MarkOf(make([]byte, r.Out)); !named {
		return
	}
	r.ByNode = map[string]int{}
	for _, n := range b.alive {
		if mark := builtin.NodeMark(n.Name); marks[mark] > 0 {
			r.ByNode[n.Name] = marks[mark]
			delete(marks, mark)
		}
	}
	for _, n := range marks { // order does not matter: it is a sum
		r.ByNode["others"] += n
	}
}

// verdict says what was measured, and whether all is well.
func (p *pingRun) verdict() error {
	r := p.report
	switch p.form {
	case formJSON, formYAML:
		if err := printValue(p.out, p.form, r); err != nil {
			return err
		}
	case formName:
		if _, err := fmt.Fprintln(p.out, r.Broker.Name); err != nil {
			return err
		}
	default:
		if r.Finished < r.Tasks {
			p.step("interrupted", "%s of the tasks had ended", humanCount(r.Finished))
		}
		p.step("tasks", "%s of %s, results of %s, %s in %s", humanCount(r.Tasks), humanBytes(int64(r.In)), humanBytes(int64(r.Out)),
			plural(r.Sessions, "session"), humanDuration(r.Elapsed))
		p.step("rate", "%s tasks/s", humanCount(int64(r.Rate)))
		p.step("round trip", "p50 %s, p90 %s, p99 %s, max %s", humanDuration(r.P50), humanDuration(r.P90), humanDuration(r.P99), humanDuration(r.Max))
		p.step("errors", "%s", humanCount(r.Errors))
		if r.Got > 0 && r.Got < r.Asked {
			p.step("instances", "%s of the %s that were asked for: there was no room for more, or no time to start them",
				humanCount(r.Got), humanCount(r.Asked))
		}
		if r.ByNode != nil {
			p.step("by node", "%s", byNode(r))
		}
	}
	if r.Errors > 0 {
		return fmt.Errorf("ping: %s of %s tasks failed; the first: %s", humanCount(r.Errors), humanCount(r.Tasks), r.Error)
	}
	if r.Finished < r.Tasks {
		return nil
	}
	p.step("verdict", "%s", p.paint(p.out, green, "it works"))
	return nil
}

func byNode(r pingReport) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.ByNode)) {
		list = append(list, name+" "+humanCount(r.ByNode[name]))
	}
	var none []string
	for _, name := range r.Nodes {
		if r.ByNode[name] == 0 {
			none = append(none, name)
		}
	}
	text := strings.Join(list, ", ")
	if len(none) > 0 {
		text += "; none by " + abridged(none)
	}
	return text
}
