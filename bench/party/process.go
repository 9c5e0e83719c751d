package party

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a started party. One goroutine gives it orders; PID may be asked for by any.
type Process struct {
	name    string
	Ready   Answer // what it said first
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan Answer   // closed when the output ends
	ended   chan struct{} // closed when the process is gone
	err     error         // how it ended; to be read after ended
	stderr  tail
}

// Start starts a program and waits until it says that it is ready. The name is for errors.
func Start(ctx context.Context, name, program string, args ...string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(program, args...), answers: make(chan Answer), ended: make(chan struct{})}
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
	if p.Ready, err = p.answer(ctx, "start"); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// read hands on the answers, and reaps the process when its output has ended.
func (p *Process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var a Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = fmt.Sprintf("not an answer: %q", lines.Text())
		}
		p.answers <- a
	}
	close(p.answers)
	p.err = p.cmd.Wait()
	close(p.ended)
}

// Ask gives an order and waits for its answer.
func (p *Process) Ask(ctx context.Context, o Order) (Answer, error) {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return Answer{}, fmt.Errorf("%s: %s: %w%s", p.name, o.Do, err, p.stderr.said())
	}
	return p.answer(ctx, o.Do)
}

func (p *Process) answer(ctx context.Context, what string) (Answer, error) {
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
		if why := context.Cause(ctx); !errors.Is(why, context.Canceled) {
			p.quit() // nobody knows what it is about
		}
		return Answer{}, fmt.Errorf("%s: %s: %w%s", p.name, what, context.Cause(ctx), p.stderr.said())
	}
}

// quitPatience is how long a party has to say where it is.
const quitPatience = 5 * time.Second

// quit ends a party that does not answer, and has it say where its goroutines are.
func (p *Process) quit() {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		p.stderr.note(fmt.Sprintf("ask where it is: %v", err))
		return
	}
	timer := time.NewTimer(quitPatience)
	defer timer.Stop()
	for {
		select {
		case _, ok := <-p.answers:
			if !ok {
				p.answers = nil
			}
		case <-p.ended:
			return
		case <-timer.C:
			return
		}
	}
}

// stopPatience is how long a party has to end by itself.
const stopPatience = 20 * time.Second

// Stop ends the process and waits until it is gone. It returns an error if it had to be killed, or ended badly.
func (p *Process) Stop() error {
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

// Kill ends the process by SIGKILL, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("%s: kill: %w", p.name, err)
	}
	<-p.ended
	return nil
}

// Name is what [Start] was told.
func (p *Process) Name() string { return p.name }

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// tail keeps the end of what was written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailSize has room for the stacks of a process.
const tailSize = 64 << 10

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

// AskAll gives all parties an order at the same time, and waits for all answers.
func AskAll(ctx context.Context, parties []*Process, o Order) ([]Answer, error) {
	return AskEach(ctx, parties, slices.Repeat([]Order{o}, len(parties)))
}

// AskEach gives each party its order, all at the same time, and waits for all answers.
func AskEach(ctx context.Context, parties []*Process, orders []Order) ([]Answer, error) {
	answers, errs := make([]Answer, len(parties)), make([]error, len(parties))
	var all sync.WaitGroup
	for i, p := range parties {
		all.Go(func() { answers[i], errs[i] = p.Ask(ctx, orders[i]) })
	}
	all.Wait()
	return answers, errors.Join(errs...)
}
