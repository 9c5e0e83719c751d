package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// boundSession is a session as prepare leaves it.
func boundSession(s *server) *instance.Session {
	s.root = context.Background()
	s.hooks, s.endHooks = context.WithCancelCause(s.root)
	h := hand{job: instance.Job{Kind: instance.Bind, Session: &instance.Session{Bind: protocol.Bind{Session: 4, Name: "n"}}}}
	s.prepare(&h)
	return h.job.Session
}

type trade struct {
	Symbol string
	Count  int
}

func runTyped(t *testing.T, service Service, payload []byte) ([]byte, *protocol.Error) {
	t.Helper()
	s := &server{service: service}
	h := newHand(s)
	h.job = instance.Job{Session: boundSession(s), Payload: payload, MaxPayload: 1 << 20}
	s.prepare(h)
	s.run(h)
	return h.out.Result, h.out.Err
}

func packed(t *testing.T, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFuncDecodesAndEncodes(t *testing.T) {
	double := Func(func(_ context.Context, in trade) (trade, error) {
		if in.Count == 0 {
			return in, errors.New("nothing to trade")
		}
		return trade{in.Symbol, 2 * in.Count}, nil
	})
	out, err := runTyped(t, double, packed(t, trade{"X", 4}))
	if err != nil || !bytes.Equal(out, packed(t, trade{"X", 8})) {
		t.Errorf("%x, %v", out, err)
	}
	if _, err := runTyped(t, double, packed(t, trade{})); err == nil || err.Code != protocol.CodeTaskFailed {
		t.Errorf("error of the function: %v", err)
	}
	_, err = runTyped(t, double, []byte("\xc1"))
	if err == nil || err.Code != protocol.CodeInvalid || err.Retry != retryNo || !strings.Contains(err.Msg, "worker.trade") {
		t.Errorf("bad payload: %v", err)
	}
	_, err = runTyped(t, double, packed(t, map[string]any{"symbl": "X", "Count": 4}))
	want := `key "symbl": the service takes tasks of type {Symbol: string, Count: int}, which has no such key: did you mean "Symbol"?`
	if err == nil || err.Code != protocol.CodeInterface || err.Retry != retryNo || err.Msg != want {
		t.Errorf("an unknown key: %v, want %s", err, want)
	}
	if out, err := runTyped(t, double, packed(t, map[string]any{"Count": 4})); err != nil || !bytes.Equal(out, packed(t, trade{"", 8})) {
		t.Errorf("a key that is missing: %x, %v", out, err)
	}
	raw, err := runTyped(t, Func(func(_ context.Context, in []byte) ([]byte, error) { return append(in, '!'), nil }), []byte("raw"))
	if err != nil || string(raw) != "raw!" {
		t.Errorf("bytes as they are: %q, %v", raw, err)
	}
	if _, err := runTyped(t, Func(func(context.Context, []byte) (func(), error) { return func() {}, nil }), nil); err == nil ||
		err.Retry != retryNo {
		t.Errorf("a result that cannot be encoded: %v", err)
	}
}

type counter struct {
	n      int
	closed *int
}

func (c *counter) Close() error {
	*c.closed = c.n
	return nil
}

func TestTypedServicesSayTheirTypes(t *testing.T) {
	type trade struct {
		Symbol string `msgpack:"symbol"`
		Days   int32  `msgpack:"days,omitempty"`
	}
	typed := Func(func(context.Context, trade) ([]float64, error) { return nil, nil })
	want := protocol.Interface{Task: "{symbol: string, days?: int32}", Result: "list<float>"}
	if got := InterfaceOf(typed); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	raw := Stateful(
		func(context.Context, *SessionContext) (int, error) { return 0, nil },
		func(context.Context, int, []byte) (json.RawMessage, error) { return nil, nil },
	)
	if got := InterfaceOf(raw); got != (protocol.Interface{Task: "bytes", Result: "any"}) {
		t.Errorf("%+v", got)
	}
	var b strings.Builder
	if err := describe(&b, typed); err != nil || b.String() != "\ninterface:\n  task: \"{symbol: string, days?: int32}\"\n  result: \"list<float>\"\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := describe(&b, &untyped{}); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("a service without types: %v", err)
	}
}

type untyped struct{ Base }

func (untyped) OnTaskExec(context.Context, *TaskContext) ([]byte, error) { return nil, nil }

func TestStatefulKeepsAStatePerSession(t *testing.T) {
	b, closed := newBroker(t, ""), 0
	s := serve(t, b, Stateful(
		func(_ context.Context, s *SessionContext) (*counter, error) {
			return &counter{n: int(s.Number()) * 100, closed: &closed}, nil
		},
		func(_ context.Context, c *counter, in int) (int, error) {
			c.n += in
			return c.n, nil
		}))
	b.ready()
	b.bind(1, 2)
	for i, want := range []struct {
		session uint32
		out     int
	}{{1, 101}, {2, 201}, {1, 102}} {
		b.dispatch(want.session, uint64(i+1), packed(t, 1))
		r := b.await(protocol.KindResult)
		var out int
		if err := msgpack.Unmarshal(r.payload, &out); err != nil || out != want.out {
			t.Errorf("task %d: %d, %v; want %d", i+1, out, err, want.out)
		}
	}
	b.leave(s, 2, 1)
	if closed != 102 {
		t.Errorf("closed with %d, want 102", closed)
	}
}

func TestBaseDoesNothing(t *testing.T) {
	var base Base
	ctx := context.Background()
	if err := errors.Join(base.OnCreateService(ctx, nil), base.OnSessionBind(ctx, nil), base.OnSessionUnbind(ctx, nil),
		base.OnDestroyService(ctx, nil)); err != nil {
		t.Error(err)
	}
}

func TestSteering(t *testing.T) {
	if Retry(nil) != nil || RetryAfter(time.Second, nil) != nil || Permanent(nil) != nil {
		t.Error("nil must stay nil")
	}
	boom := errors.New("boom")
	for _, d := range []time.Duration{-1, 0, time.Minute} {
		err := RetryAfter(d, boom)
		if f := failure(err, protocol.CodeTaskFailed, "OnTaskExec"); !errors.Is(err, boom) || f.Retry != retryYes || f.RetryAfter != max(d, 0) {
			t.Errorf("RetryAfter(%v) travels as %+v", d, f)
		}
	}
	if err := Retry(boom); !errors.Is(err, boom) || err.Error() != "boom" {
		t.Errorf("%v must wrap its cause", err)
	}
}
