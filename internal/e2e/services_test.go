package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weft-fabric/weft/worker"
)

// Programs of services.
const (
	progEcho   = "echo"   // returns the payload
	progVerbs  = "verbs"  // does what the payload says
	progDouble = "double" // a typed function

	progVersion = "version" // says which version of its service it is
)

// runService is the main function of an instance's process.
func runService(name string) int {
	var s worker.Service
	switch name {
	case progEcho:
		s = echo{}
	case progVerbs:
		s = &verbs{journal: journal(os.Getenv(varFile))}
	case progDouble:
		s = double()
	case progVersion:
		s = &versioned{}
	default:
		fmt.Fprintf(os.Stderr, "no service %q\n", name)
		return 1
	}
	err := worker.Serve(context.Background(), s)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, worker.ErrPanicked):
		return 2
	default:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
}

// double is the program progDouble.
func double() worker.Service {
	return worker.Func(func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, fmt.Errorf("%d is negative", n)
		}
		return 2 * n, nil
	})
}

type versioned struct {
	worker.Base
	version string
}

func (v *versioned) OnCreateService(_ context.Context, s *worker.ServiceContext) error {
	v.version = s.Version
	return nil
}

func (v *versioned) OnTaskExec(context.Context, *worker.TaskContext) ([]byte, error) {
	return []byte(v.version), nil
}

type echo struct{ worker.Base }

func (echo) OnTaskExec(_ context.Context, t *worker.TaskContext) ([]byte, error) {
	return t.Payload(), nil
}

// journal is a file in which instances write down what they do, a line each.
type journal string

func (j journal) write(format string, args ...any) error {
	if j == "" {
		return nil
	}
	f, err := os.OpenFile(string(j), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d "+format+"\n", append([]any{os.Getpid()}, args...)...)
	return errors.Join(err, f.Close())
}

// entry is a line of a journal.
type entry struct {
	pid  int
	what string
}

func (j journal) read() ([]entry, error) {
	text, err := os.ReadFile(string(j))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all []entry
	for line := range strings.Lines(string(text)) {
		pid, what, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.Atoi(pid)
		if err != nil {
			return nil, fmt.Errorf("line %q of the journal: %w", line, err)
		}
		all = append(all, entry{n, what})
	}
	return all, err
}

// verbs is the service whose tasks say what it shall do: a verb, a blank, the rest.
type verbs struct {
	worker.Base
	journal journal
}

func (v *verbs) OnCreateService(context.Context, *worker.ServiceContext) error {
	if why := os.Getenv(varBroken); why != "" {
		return errors.New(why)
	}
	return v.journal.write("create")
}

func (v *verbs) OnSessionBind(ctx context.Context, s *worker.SessionContext) error {
	if slow, err := time.ParseDuration(os.Getenv(varSlow)); err == nil {
		nap(ctx, slow)
	}
	if why, ok := bytes.CutPrefix(s.Parameters(), []byte("refuse ")); ok {
		return errors.New(string(why))
	}
	return v.journal.write("bind %d", s.Number())
}

func (v *verbs) OnSessionUnbind(_ context.Context, s *worker.SessionContext) error {
	return v.journal.write("unbind %d", s.Number())
}

func (v *verbs) OnDestroyService(context.Context, *worker.ServiceContext) error {
	return v.journal.write("destroy")
}

func (v *verbs) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	verb, rest, _ := strings.Cut(string(t.Payload()), " ")
	switch verb {
	case "id":
		return []byte(rest), nil
	case "sleep":
		long, rest, _ := strings.Cut(rest, " ")
		d, err := time.ParseDuration(long)
		if err != nil {
			return nil, err
		}
		nap(ctx, d)
		return []byte(rest), nil
	case "block":
		if err := v.journal.write("block %d", t.Session().Number()); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, errors.Join(ctx.Err(), v.journal.write("cancelled %d", t.Session().Number()))
	case "stuck": // whatever becomes of its context
		nap(context.WithoutCancel(ctx), time.Hour)
		return nil, nil
	case "exit":
		os.Exit(3)
		return nil, nil
	case "panic":
		panic(rest)
	case "fail":
		return nil, worker.Permanent(errors.New(rest))
	case "retry": // until that attempt
		n, err := strconv.Atoi(rest)
		if err == nil && t.Attempt() < n {
			err = worker.Retry(fmt.Errorf("attempt %d", t.Attempt()))
		}
		return strconv.AppendInt(nil, int64(t.Attempt()), 10), err
	case "flaky": // fails at random, in so many of 100 attempts, as one does whose database is overloaded
		n, err := strconv.Atoi(rest)
		if err == nil && rand.IntN(100) < n {
			err = worker.Retry(errors.New("the database does not answer"))
		}
		nap(ctx, 5*time.Millisecond)
		return nil, err
	case "size":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return nil, err
		}
		return bytes.Repeat([]byte{'x'}, n), nil
	case "count":
		return []byte(rest), v.journal.write("exec %d %s", t.Session().Number(), rest)
	case "pid":
		return strconv.AppendInt(nil, int64(os.Getpid()), 10), nil
	case "spawn": // a process that outlives its instance
		cmd := exec.Command("/bin/sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return strconv.AppendInt(nil, int64(cmd.Process.Pid), 10), nil
	case "put":
		key, value, _ := strings.Cut(rest, " ")
		return nil, t.Session().Put(t.Context(), key, []byte(value))
	case "get":
		value, _, err := t.Session().Get(t.Context(), rest)
		return value, err
	case "tell":
		return tell(ctx, t)
	case "parameters":
		return t.Session().Parameters(), nil
	}
	return nil, worker.Permanent(fmt.Errorf("there is no verb %q", verb))
}

// nap waits as a task does that computes.
func nap(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
