package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Parties are processes of this same program. They obey orders that come on their standard input, one JSON object in
// a line, and answer each with a line on their standard output. The end of the input ends them: nothing is left behind,
// whatever becomes of the process that started them.

// order tells a party what to do.
type order struct {
	Do    string        `json:"do"`
	Count int           `json:"count,omitempty"`
	First uint64        `json:"first,omitempty"` // number of the first of them
	Time  time.Duration `json:"time,omitempty"`
}

// answer is what a party answers to an order; the first one it gives without being asked, when it is ready.
type answer struct {
	Error    string          `json:"error,omitempty"`
	Endpoint string          `json:"endpoint,omitempty"` // of a broker
	Tasks    uint64          `json:"tasks,omitempty"`
	Elapsed  time.Duration   `json:"elapsed,omitempty"`
	Trips    []time.Duration `json:"trips,omitempty"`
	Counts   *counts         `json:"counts,omitempty"`
}

// obey says that the party is ready, and answers orders until the input ends, which also ends the context of an order
// under way. A party that takes no orders has no do.
func obey(ctx context.Context, ready answer, do func(context.Context, order) (answer, error)) error {
	return obeyOn(ctx, os.Stdin, os.Stdout, ready, do)
}

func obeyOn(ctx context.Context, in io.Reader, out io.Writer, ready answer,
	do func(context.Context, order) (answer, error),
) error {
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(ready); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx) // ended with the input, so that nothing goes on for nobody
	defer cancel()
	orders, broken := make(chan order), make(chan error, 1)
	go func() {
		defer close(orders)
		defer cancel()
		broken <- readOrders(ctx, in, orders)
	}()
	for o := range orders {
		a := answer{Error: "this party takes no orders"}
		if do != nil {
			var err error
			if a, err = do(ctx, o); err != nil {
				a.Error = err.Error()
			}
		}
		if err := encoder.Encode(a); err != nil {
			return fmt.Errorf("answer %q: %w", o.Do, err)
		}
	}
	return <-broken
}

// readOrders hands on the orders of the input until it ends or ctx is done.
func readOrders(ctx context.Context, in io.Reader, orders chan<- order) error {
	decoder := json.NewDecoder(in)
	for {
		var o order
		switch err := decoder.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read an order: %w", err)
		}
		select {
		case orders <- o:
		case <-ctx.Done():
			return nil
		}
	}
}

// party is a started process.
type party struct {
	name    string
	ready   answer // what it said first
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan answer   // closed when the output ends
	ended   chan struct{} // closed when the process is gone
	err     error         // how it ended; to be read after ended
	stderr  tail
}

// startParty starts this program with args and waits until it says that it is ready.
func startParty(ctx context.Context, name string, args ...string) (*party, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return startProgram(ctx, name, program, args...)
}

func startProgram(ctx context.Context, name, program string, args ...string) (*party, error) {
	p := &party{name: name, cmd: exec.Command(program, args...), answers: make(chan answer), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go p.read(out)
	if p.ready, err = p.answer(ctx, "start"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// read hands on the answers, and reaps the process when its output has ended.
func (p *party) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = fmt.Sprintf("not an answer: %q", lines.Text())
		}
		p.answers <- a
	}
	close(p.answers)
	p.err = p.cmd.Wait()
	close(p.ended)
}

// ask gives an order and waits for its answer.
func (p *party) ask(ctx context.Context, o order) (answer, error) {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return answer{}, fmt.Errorf("%s: %s: %w%s", p.name, o.Do, err, p.stderr.said())
	}
	return p.answer(ctx, o.Do)
}

func (p *party) answer(ctx context.Context, what string) (answer, error) {
	select {
	case a, ok := <-p.answers:
		switch {
		case !ok:
			return a, fmt.Errorf("%s: %s: the process has ended%s", p.name, what, p.stderr.said())
		case a.Error != "":
			return a, fmt.Errorf("%s: %s: %s", p.name, what, a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%s: %s: %w%s", p.name, what, context.Cause(ctx), p.stderr.said())
	}
}

// stopPatience is how long a party has to end by itself.
const stopPatience = 20 * time.Second

// stop ends the process and waits until it is gone. It returns an error if it had to be killed, or ended badly.
func (p *party) stop() error {
	p.in.Close() //nolint:errcheck,gosec // it may be gone already
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	for {
		select {
		case _, ok := <-p.answers: // of an order that nobody waits for any more
			if !ok {
				p.answers = nil
			}
		case <-p.ended:
			if p.err != nil {
				return fmt.Errorf("%s: %w%s", p.name, p.err, p.stderr.said())
			}
			return nil
		case <-timer.C:
			if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("%s: kill: %w", p.name, err)
			}
			p.stderr.note(fmt.Sprintf("killed: it had not ended within %v", stopPatience))
			timer.Reset(time.Hour)
		}
	}
}

// kill ends the process by SIGKILL, and waits until it is gone.
func (p *party) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("%s: kill: %w", p.name, err)
	}
	<-p.ended
	return nil
}

// pid is the process's number.
func (p *party) pid() int { return p.cmd.Process.Pid }

// tail keeps the end of what was written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

// Write keeps the last of what it gets; it never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if len(t.text) > tailSize {
		t.text = append(t.text[:0], t.text[len(t.text)-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) note(s string) {
	t.Write([]byte(s + "\n")) //nolint:errcheck // does not fail
}

// said gives what was kept, to be put at the end of an error.
func (t *tail) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.TrimSpace(string(t.text))
	if s == "" {
		return ""
	}
	return "; it said:\n  " + strings.ReplaceAll(s, "\n", "\n  ")
}
