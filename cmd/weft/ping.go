package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/protocol"
)

// pingRun is weft ping with its flags.
type pingRun struct {
	*app
	tasks, sessions, window, instances int
	taskSize, resultSize               string
	load                               builtin.Load
	timeout                            time.Duration
	places                             placeFlags

	size   int // of a task
	report pingReport
}

func newPing(a *app) *cobra.Command {
	p := pingRun{app: a}
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "See whether the fabric works, and how fast it is",
		Long: `See whether the fabric works, and how fast it is: look for the broker and the nodes, have instances of a built-in
service started, run tasks on them, and say how long all of that took. What is wrong is said, and what to do about it.

  weft ping                                            1000 tasks, one after the other: the round trip
  weft ping --tasks 1000000 --window 4096              many on their way: tasks a second
  weft ping --sessions 16 --runtime 10ms --in 64KiB    several clients' worth of longer tasks`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.ping(cmd.Context()) },
	}
	a.brokerFlag(cmd)
	a.outputFlag(cmd)
	p.places.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&p.tasks, "tasks", 1000, "tasks in all sessions together")
	flags.StringVar(&p.taskSize, "in", "16", "bytes of a task")
	flags.StringVar(&p.resultSize, "out", "16", "bytes of a result (from 8 on they name the node)")
	flags.DurationVar(&p.load.Runtime, "runtime", 0, "time that a task takes; it waits, unless --spin")
	flags.BoolVar(&p.load.Spin, "spin", false, "a task computes for its --runtime")
	flags.IntVar(&p.sessions, "sessions", 1, "sessions at the same time")
	flags.IntVar(&p.window, "window", 1, "unfinished tasks of each session")
	flags.IntVar(&p.instances, "instances", 0, "instances to ask for (default as many as there are nodes)")
	flags.DurationVar(&p.timeout, "timeout", 30*time.Second, "time to the first result, after which something is wrong")
	return cmd
}

// check names the first flag that cannot be, and reads amounts.
func (p *pingRun) check() error {
	within := func(flag string, v, least, most int64) error {
		if v < least || v > most {
			return badInput("--%s: %d is not within %d to %d", flag, v, least, most)
		}
		return nil
	}
	in, err := parseBytes(p.taskSize)
	if err != nil {
		return badInput("--in: %w", err)
	}
	out, err := parseBytes(p.resultSize)
	if err != nil {
		return badInput("--out: %w", err)
	}
	p.size, p.load.Out = int(in), int(out)
	if p.load.Runtime < 0 || p.timeout <= 0 {
		return badInput("--runtime %v, --timeout %v: neither may be negative, nor the second 0", p.load.Runtime, p.timeout)
	}
	return errors.Join(
		p.checkForm(), p.places.check(),
		within("in", in, 0, 1<<30), within("out", out, 0, builtin.MaxOut),
		within("tasks", int64(p.tasks), 1, 1<<31), within("sessions", int64(p.sessions), 1, 10_000),
		within("window", int64(p.window), 1, protocol.MaxTaskSlot), within("instances", int64(p.instances), 0, builtin.MaxInstances),
	)
}

// ping is the self-test, then the benchmark.
func (p *pingRun) ping(ctx context.Context) (err error) {
	if err := p.check(); err != nil {
		return err
	}
	p.report = pingReport{Tasks: p.tasks, In: p.size, Out: p.load.Out, Sessions: p.sessions, Window: p.window}
	begin := time.Now()
	f, err := p.connect(ctx, builtin.Ping)
	if err != nil {
		return err
	}
	defer func() { err = interrupted(ctx, errors.Join(err, f.Close())) }()
	p.report.Broker, p.report.Reached = f.Broker(), time.Since(begin)
	p.step("broker", "%s at %s, reached after %s (protocol %d, epoch %x)", p.report.Broker.Name, p.report.Broker.Endpoint,
		humanDuration(p.report.Reached), p.report.Broker.Protocol, uint64(p.report.Broker.Epoch))
	if err := f.noNodes(); err != nil {
		return err
	}
	p.noteNodes(f)
	if err := f.ensure(ctx, p.places.spec.Queue); err != nil {
		return err
	}
	p.report.Service, p.report.Version = f.service, f.version
	p.step("service", "%s %s is registered", f.service, f.version)
	sessions, err := p.open(ctx, f)
	defer func() {
		for _, s := range sessions {
			err = errors.Join(err, f.kill(s))
		}
	}()
	if err != nil {
		return err
	}
	b := bench{pingRun: p, sessions: sessions, alive: f.alive}
	err = b.run(ctx)
	switch {
	case ctx.Err() != nil && p.report.Finished > 0:
		p.status = exitInterrupted
		return p.verdict()
	case err != nil:
		return err
	}
	p.report.Got = f.serving(ctx)
	return p.verdict()
}

func (p *pingRun) noteNodes(f *fabric) {
	var names []string
	for _, n := range f.alive {
		p.report.Nodes = append(p.report.Nodes, n.Name)
		names = append(names, n.Name+" ("+n.Platform+")")
	}
	p.report.Lost = f.lost
	text := humanCount(len(names)) + ": " + abridged(names)
	if len(f.lost) > 0 {
		text += "; lost: " + abridged(f.lost)
	}
	p.step("nodes", "%s", text)
}

// abridged lists names, not all of many.
func abridged(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// open opens the sessions, and waits for the first result of the first.
func (p *pingRun) open(ctx context.Context, f *fabric) (sessions []*client.Session, err error) {
	parameters, err := p.load.Parameters()
	if err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	n := p.instances
	if n == 0 {
		n = len(f.alive)
	}
	p.report.Asked = n
	open := func() error {
		s, err := f.open(ctx, append(p.places.options(),
			client.WithParameters(parameters), client.WithInstances(n, n), client.WithWindow(p.window, 0))...)
		if err == nil {
			sessions = append(sessions, s)
		}
		return err
	}
	begin := time.Now()
	if err := open(); err != nil {
		return sessions, err
	}
	p.report.Opened = time.Since(begin)
	p.step("session", "%d was opened after %s", sessions[0].Number(), humanDuration(p.report.Opened))
	if err := p.first(ctx, f, sessions[0]); err != nil {
		return sessions, err
	}
	p.report.First = time.Since(begin)
	p.step("result", "the first came %s after the session was asked for", humanDuration(p.report.First))
	for range p.sessions - 1 {
		if err := open(); err != nil {
			return sessions, err
		}
	}
	return sessions, nil
}

// first waits for the first result, and says why there is none.
func (p *pingRun) first(ctx context.Context, f *fabric, s *client.Session) error {
	waiting, stop := context.WithTimeout(ctx, p.timeout)
	defer stop()
	done := make(chan struct{})
	last := ""
	unwatch := f.watchStart(ctx, s, done, func(reason string) {
		last = reason
		p.step("waiting", "%s", reason)
	})
	task := make([]byte, p.size)
	out, err := s.Call(waiting, task)
	close(done)
	unwatch()
	switch {
	case err == nil && !p.load.RightResult(task, out):
		return fmt.Errorf("ping: the first result is wrong: %d bytes, want %d", len(out), p.load.Out)
	case waiting.Err() != nil && ctx.Err() == nil:
		if last == "" {
			last = "the broker says nothing of why; see the log of weft agent"
		}
		return protocol.Errorf(protocol.CodeUnavailable, "ping", "no result within %v: %s", p.timeout, last)
	default:
		return err
	}
}

// step tells of one step of the self-test, in the forms for people.
func (p *pingRun) step(what, format string, args ...any) {
	if p.form == formTable || p.form == formWide {
		fmt.Fprintf(p.out, "%-11s "+format+"\n", append([]any{what + ":"}, args...)...) //nolint:errcheck // the verdict's error is told
	}
}
