package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/analyze"
	"github.com/weft-fabric/weft/protocol"
)

// hampered is a workload that something holds up.
type hampered struct {
	name      string
	want      analyze.Bottleneck
	program   string
	instances int // of the service
	credit    int64
	work      func(ctx context.Context, s *client.Session) error
}

// callers call, each one task after the other, as many programs do that have so many threads.
func callers(ctx context.Context, s *client.Session, callers, each int, task []byte) error {
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			for range each {
				if _, err := s.Call(ctx, task); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// burst submits so many tasks as fast as it can, and takes the results one after the other; each takes it a while.
func burst(ctx context.Context, s *client.Session, tasks int, task []byte, each time.Duration) error {
	submitted := make(chan error, 1)
	go func() {
		for range tasks {
			if _, err := s.Submit(ctx, task); err != nil {
				submitted <- err
				return
			}
		}
		submitted <- nil
	}()
	taken := 0
	for taken < tasks {
		for r, err := range s.Results(ctx) {
			if r.Task == 0 {
				return errors.Join(err, <-submitted)
			}
			nap(ctx, each)
			taken++
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return <-submitted
}

// hampers are the workloads. None of them is made for the figures by which it is judged: each does what a program does
// that has the trouble.
func hampers() []hampered {
	return []hampered{
		{
			name: "one instance for many tasks", want: analyze.TooFewInstances, program: progVerbs, instances: 1,
			work: func(ctx context.Context, s *client.Session) error {
				return burst(ctx, s, 300, []byte("sleep 10ms x"), 0)
			},
		},
		{
			name: "two instances for twenty callers", want: analyze.TooFewInstances, program: progVerbs, instances: 2,
			work: func(ctx context.Context, s *client.Session) error {
				return callers(ctx, s, 20, 20, []byte("sleep 15ms x"))
			},
		},
		{
			name: "a hook that takes long, and as many callers as instances", want: analyze.SlowHook, program: progVerbs, instances: 4,
			work: func(ctx context.Context, s *client.Session) error {
				return callers(ctx, s, 4, 12, []byte("sleep 250ms x"))
			},
		},
		{
			name: "a hook that takes long, and one caller", want: analyze.SlowHook, program: progVerbs, instances: 2,
			work: func(ctx context.Context, s *client.Session) error {
				return callers(ctx, s, 1, 40, []byte("sleep 80ms x"))
			},
		},
		{
			name: "megabytes that come back as they are", want: analyze.BigPayloads, program: progEcho, instances: 2,
			work: func(ctx context.Context, s *client.Session) error {
				return burst(ctx, s, 150, make([]byte, 4<<20), 0)
			},
		},
		{
			name: "results that are worked on one by one", want: analyze.SlowClient, program: progVerbs, instances: 2,
			work: func(ctx context.Context, s *client.Session) error {
				return burst(ctx, s, 300, []byte("id x"), 10*time.Millisecond)
			},
		},
		{
			name: "large results that are worked on one by one", want: analyze.SlowClient, program: progVerbs, instances: 2, credit: 4 << 20,
			work: func(ctx context.Context, s *client.Session) error {
				return burst(ctx, s, 150, []byte("size 500000"), 20*time.Millisecond)
			},
		},
		{
			name: "a hook that fails now and then", want: analyze.Retries, program: progVerbs, instances: 2,
			work: func(ctx context.Context, s *client.Session) error {
				return burst(ctx, s, 300, []byte("flaky 40"), 0)
			},
		},
		{
			name: "nothing", want: analyze.Nothing, program: progVerbs, instances: 2,
			work: func(ctx context.Context, s *client.Session) error {
				return callers(ctx, s, 2, 1000, []byte("id x"))
			},
		},
	}
}

// TestAcceptanceAnalyze has weft session analyze say what holds up sessions of real processes, while they work and when
// they are over.
func TestAcceptanceAnalyze(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it works for half a minute on both cores; make acceptance-analyze runs it")
	}
	f := newFabric(t)
	f.brokerProcess(freePorts(t, 1), 1)
	spawn(t, f.mark, roleAgent, agentConfig{Broker: f.tcp, Name: "node", Dir: f.dir + "/node"})
	weft := weftBinary(t)
	for i, h := range hampers() {
		t.Run(h.name, func(t *testing.T) {
			options := []client.Option(nil)
			if h.credit > 0 {
				options = append(options, client.WithResultCredit(h.credit))
			}
			c := f.dial("", options...)
			service := f.service(fmt.Sprintf("case-%d", i), h.program, h.instances)
			service.Instances.Max = h.instances
			service.Retry.Backoff = protocol.Duration(200 * time.Millisecond)
			f.register(c, service)
			s := f.open(c, service.Name)
			f.serving(c, service.Name, h.instances)
			if err := h.work(f.ctx, s); err != nil {
				t.Fatal(err)
			}
			says := func(when string) {
				t.Helper()
				out, err := exec.Command(weft, "session", "analyze", fmt.Sprint(s.Number()), "--broker", f.tcp).CombinedOutput()
				_, text, _ := strings.Cut(string(out), "\n\n")
				if err != nil || !strings.HasPrefix(strings.ToLower(text), string(h.want)+". ") {
					t.Errorf("%s it does not say %q first, %v:\n%s", when, h.want, err, out)
				} else {
					t.Logf("%s:\n%s", when, out)
				}
			}
			says("open")
			if err := s.Close(f.ctx); err != nil {
				t.Fatal(err)
			}
			says("over")
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// weftBinary is the program weft: that of WEFT_BINARY, or else one that is built.
func weftBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("WEFT_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "weft")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/weft").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}
