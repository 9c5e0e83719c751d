package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// poisoned is what became of poison tasks and of those that were submitted with them.
type poisoned struct {
	answers    counts         // of the others
	codes      []string       // with which poison tasks failed
	executions map[string]int // of each of them
	letters    []string       // payloads of the tasks in the dead-letter list
	took       time.Duration
}

// poisonTasks submits the tasks, the poison among them, and looks at the dead-letter list.
func (k killConfig) poisonTasks(ctx context.Context, f *fabric, c *client.Client) (p poisoned, err error) {
	s, err := c.OpenSession(ctx, serviceName)
	if err != nil {
		return p, err
	}
	begin := time.Now()
	var mu sync.Mutex
	var poison sync.WaitGroup
	note := func(r client.Result) {
		defer poison.Done()
		mu.Lock()
		defer mu.Unlock()
		p.codes = append(p.codes, protocol.CodeOf(r.Err).String())
	}
	// One after the other among the others, so that each meets some of them.
	part := k.others / max(k.poison, 1)
	for n := range k.poison {
		poison.Add(1)
		if err := s.SubmitFunc(ctx, fmt.Appendf(nil, "%s%d", poisonous, n), note); err != nil {
			return p, err
		}
		first := n * part
		if n == k.poison-1 {
			part = k.others - first
		}
		p.answers.add(submit(ctx, s, uint64(first), part))
	}
	over := make(chan struct{})
	go func() {
		poison.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
	p.took = time.Since(begin)
	if p.letters, err = deadLetters(ctx, c); err != nil {
		return p, err
	}
	text, err := os.ReadFile(f.poisonLog())
	if err != nil {
		return p, fmt.Errorf("poison: %w", err)
	}
	p.executions = map[string]int{}
	for line := range strings.Lines(string(text)) {
		p.executions[strings.TrimSuffix(line, "\n")]++
	}
	return p, s.Close(ctx)
}

// deadLetters gives the payloads of the tasks in the dead-letter list, in words.
func deadLetters(ctx context.Context, c *client.Client) (payloads []string, err error) {
	for l, err := range c.DeadLetters(ctx, client.Filter{}) {
		if err != nil {
			return nil, err
		}
		_, b, err := c.DeadLetter(ctx, l.ID)
		if err != nil {
			return nil, err
		}
		text := string(b)
		if !bytes.HasPrefix(b, []byte(poisonous)) && len(b) == 8 {
			text = fmt.Sprintf("task %d: %v", binary.BigEndian.Uint64(b), l.Error)
		}
		payloads = append(payloads, text)
	}
	return payloads, nil
}

// report prints the figures, and returns an error when they are not what they have to be.
func (p poisoned) report(w io.Writer, k killConfig) error {
	limit := protocol.DefaultRetry().Attempts + 1
	most, wrong := 0, []error{}
	for n := range k.poison {
		name := fmt.Sprintf("%s%d", poisonous, n)
		ran, found := p.executions[name], 0
		most = max(most, ran)
		for _, l := range p.letters {
			if l == name {
				found++
			}
		}
		if ran == 0 || ran > limit || found != 1 {
			wrong = append(wrong, fmt.Errorf("%s was executed %d times, 1 to %d are right, and is in the dead-letter list %d times", name, ran, limit, found))
		}
	}
	if len(p.letters) != k.poison {
		wrong = append(wrong, fmt.Errorf("the dead-letter list has %d tasks, %d are poison: %.1000q", len(p.letters), k.poison, p.letters))
	}
	for _, code := range p.codes {
		if code != protocol.CodeAttemptsSpent.String() {
			wrong = append(wrong, fmt.Errorf("a poison task ended with %s", code))
		}
	}
	if !p.answers.right() || p.answers.Tasks != k.others {
		wrong = append(wrong, fmt.Errorf("of the %d others %d have one result, %d failed: %s", k.others, p.answers.Once, p.answers.Failed, p.answers.Failure))
	}
	_, err := fmt.Fprintf(w, `poison             %d among %d others, in %.1f s
executed           %d times at most (limit %d)
dead letters       %d
others             %d of %d
`, k.poison, k.others, p.took.Seconds(), most, limit, len(p.letters), p.answers.Once, k.others)
	return errors.Join(append(wrong, err)...)
}
