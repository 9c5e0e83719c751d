package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/protocol"
)

// slowReaderConfig is what the check of a slow reader is told.
type slowReaderConfig struct {
	bytes             int64 // of all results
	result, instances int
	transport, by     string
	time              time.Duration // to take them in
	credits           int64
}

// slowRead is what was measured.
type slowRead struct {
	slowReaderConfig
	readings
	memory []bound
}

// bound is what a process may occupy and what it did.
type bound struct {
	name               string
	before, most, peak int64
}

func newSlowReader() *cobra.Command {
	var k slowReaderConfig
	cmd := &cobra.Command{
		Use:   "slow-reader",
		Short: "Check that results for a client that reads slowly stay within the memory that they may take",
		Long: fmt.Sprintf(`Submit tasks with large results, and take the results far more slowly than they can be made. Ends with 1 when broker, agent,
client or an instance takes more memory than before and --credits times the client's credit for results (%d MiB), or when
not every result arrives once and right, to the byte.`, protocol.DefaultResultCredit>>20),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.validate(); err != nil {
				return err
			}
			measured, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return measured.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&k.bytes, "bytes", 1<<30, "bytes of all results together")
	flags.IntVar(&k.result, "result", 1<<20, "bytes of one")
	flags.IntVar(&k.instances, "instances", 2, "instances of the service")
	flags.StringVar(&k.transport, "transport", "tcp", "tcp or ipc")
	flags.StringVar(&k.by, "by", byResults, "how they are taken: results or callbacks")
	flags.DurationVar(&k.time, "time", 35*time.Second, "in how long they are taken")
	flags.Int64Var(&k.credits, "credits", 3, "how many times the credit for results a process may take beyond what it has taken before")
	return cmd
}

// tasks is how many results there are.
func (k *slowReaderConfig) tasks() int { return int(k.bytes / int64(k.result)) }

// validate names the flags that cannot be.
func (k *slowReaderConfig) validate() error {
	if err := inRange("result", k.result, 8, protocol.DefaultMaxPayload); err != nil {
		return err
	}
	return errors.Join(
		inRange("bytes", k.bytes, int64(k.result), int64(k.result)*protocol.DefaultTaskCredit), // as all tasks are submitted first
		inRange("instances", k.instances, 1, 1000),
		inRange("time", k.time, time.Millisecond, 24*time.Hour),
		inRange("credits", k.credits, 1, 1000),
		oneOf("transport", k.transport, "tcp", "ipc"),
		oneOf("by", k.by, byResults, byCallbacks),
	)
}

// run does it in a fabric of its own.
func (k slowReaderConfig) run(ctx context.Context) (_ slowRead, err error) {
	f, err := startFabric(ctx, plan{transport: k.transport, instances: k.instances, directed: true})
	if err != nil {
		return slowRead{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	gap := k.time / time.Duration(k.tasks())
	p, err := f.start(ctx, "client", readerCommand, "--result", strconv.Itoa(k.result), "--gap", gap.String())
	if err != nil {
		return slowRead{}, err
	}
	if err := f.ready(ctx, k.instances); err != nil {
		return slowRead{}, err
	}
	list, err := f.processes()
	if err != nil {
		return slowRead{}, err
	}
	s := slowRead{slowReaderConfig: k, memory: make([]bound, len(list))}
	for i, p := range list {
		m, err := memoryOf(p.pid)
		if err != nil {
			return slowRead{}, err
		}
		s.memory[i] = bound{name: p.name, before: m.now, most: m.now + k.credits*protocol.DefaultResultCredit}
	}
	ctx, stop := within(ctx, k.limit())
	defer stop()
	a, err := p.Ask(ctx, party.Order{Do: k.by, Count: k.tasks(), Time: k.limit()})
	if err != nil {
		return slowRead{}, err
	}
	if err := json.Unmarshal(a.Report, &s.readings); err != nil {
		return slowRead{}, fmt.Errorf("read what was read: %w", err)
	}
	for i, p := range list {
		m, err := memoryOf(p.pid)
		if err != nil {
			return slowRead{}, err
		}
		s.memory[i].peak = m.peak
	}
	return s, nil
}

// limit is after which time the fabric was the slow one, which shows nothing.
func (k *slowReaderConfig) limit() time.Duration { return k.time + k.time/2 + 5*time.Second }

// report prints the figures, and returns an error when they are not what they have to be.
func (s slowRead) report(w io.Writer) error {
	if _, err := fmt.Fprintf(w, `slow reader  %d results of %d bytes by %d instances, taken by %s in %.1f s (%s a second)
results      %d of %d once and right, to the byte
memory       %-12s %12s %12s %12s
`,
		s.Tasks, s.result, s.instances, s.by, s.Elapsed.Seconds(), mebibytes(int64(float64(s.Once)*float64(s.result)/s.Elapsed.Seconds())),
		s.Once, s.Tasks, "", "before", "at most", "allowed"); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, b := range s.memory {
		if _, err := fmt.Fprintf(w, "             %-12s %12s %12s %12s\n", b.name, mebibytes(b.before), mebibytes(b.peak), mebibytes(b.most)); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return s.judge()
}

// judge says what is not as it has to be.
func (s slowRead) judge() error {
	var errs []error
	for _, b := range s.memory {
		if b.peak > b.most {
			errs = append(errs, fmt.Errorf("%s has taken %s, %s are allowed", b.name, mebibytes(b.peak), mebibytes(b.most)))
		}
	}
	if s.Damaged > 0 {
		errs = append(errs, fmt.Errorf("%d results are not what their tasks have made", s.Damaged))
	}
	switch {
	case s.Failed > 0:
		errs = append(errs, fmt.Errorf("%d tasks have failed, the first with: %s", s.Failed, s.Failure))
	case !s.right():
		errs = append(errs, fmt.Errorf("%d results are missing, %d came again, %d are of no task", s.missing(), s.Again, s.Strange))
	}
	return errors.Join(errs...)
}
