package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// A hook that emits more than its window waits, with one slot and therefore on the goroutine that drove the sockets, and
// goes on when its manager has passed parts on.
func TestEmitWaitsForItsWindow(t *testing.T) {
	b := newBroker(t, "")
	const parts = 5
	size := protocol.PartialWindow / 2
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		for i := range parts {
			if err := c.Emit(ctx, []byte(strings.Repeat(fmt.Sprint(i), size))); err != nil {
				return nil, err
			}
		}
		return []byte("all"), nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(3)
	b.dispatch(3, 9, nil)
	for i := range parts {
		r := b.await(protocol.KindPartial)
		if r.session != 3 || r.task != 9 || len(r.payload) != size || r.payload[0] != byte('0'+i) {
			t.Fatalf("part %d is of task %d and has %d bytes of %q", i, r.task, len(r.payload), r.payload[:1])
		}
		b.say(protocol.KindPartialGrant, 3, 9, protocol.PartialGrant{Bytes: protocol.PartialWeight(size)})
	}
	if r := b.await(protocol.KindResult); string(r.payload) != "all" {
		t.Errorf("result %q", r.payload)
	}
	b.leave(s, 3)
}

func TestEmitEndsWithItsContext(t *testing.T) {
	b := newBroker(t, "")
	errs := make(chan error, 3)
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		errs <- c.Emit(ctx, make([]byte, protocol.MaxPartial+1))
		full := func(ctx context.Context) (err error) {
			for err == nil {
				err = c.Emit(ctx, make([]byte, protocol.MaxPartial))
			}
			return err
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		errs <- full(short)
		errs <- full(context.Background()) // which ends with the task's own
		return nil, ctx.Err()
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(3)
	b.dispatch(3, 9, nil)
	if err := <-errs; protocol.CodeOf(err) != protocol.CodePayloadTooLarge {
		t.Errorf("a part of more than %d bytes: %v", protocol.MaxPartial, err)
	}
	if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want that the context ended", err)
	}
	b.say(protocol.KindAbort, 3, 9, protocol.Errorf(protocol.CodeCancelled, "task", "by its client"))
	if err := <-errs; protocol.CodeOf(err) != protocol.CodeCancelled {
		t.Errorf("%v, want that the task was cancelled", err)
	}
	b.await(protocol.KindFailure)
	b.leave(s, 3)
}

func TestProgressIsThinnedOut(t *testing.T) {
	b := newBroker(t, "")
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		of, ok := TaskOf(context.WithoutCancel(ctx))
		if !ok || of != c {
			t.Errorf("the context is of task %v, %t", of, ok)
		}
		for i := range 10_000 {
			of.Progress(float64(i)/100, "working")
		}
		return nil, nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(3)
	b.dispatch(3, 9, nil)
	b.await(protocol.KindResult)
	b.mu.Lock()
	var said []protocol.Progress
	for _, r := range b.records {
		var p protocol.Progress
		if r.kind == protocol.KindProgress && protocol.Unmarshal(r.kind, r.payload, &p) == nil {
			said = append(said, p)
		}
	}
	b.mu.Unlock()
	if n := len(said); n < 2 || n > 1000 || said[0].Percent != 0 || said[n-1] != (protocol.Progress{Percent: 99.99, Text: "working", Attempt: 1}) {
		t.Errorf("said %d words: %+v", n, said)
	}
	b.leave(s, 3)
}

func TestTaskOfAnotherContext(t *testing.T) {
	if of, ok := TaskOf(context.Background()); ok || of != nil {
		t.Errorf("task %v, %t", of, ok)
	}
}

func TestSessionDataIsKeptByTheManager(t *testing.T) {
	b := newBroker(t, "")
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		d := c.Session()
		if err := d.Put(ctx, "k", []byte("v")); err != nil {
			return nil, err
		}
		if err := d.Delete(ctx, "old"); err != nil {
			return nil, err
		}
		v, found, err := d.Get(ctx, "k")
		if err != nil || !found {
			return nil, fmt.Errorf("found %t: %w", found, err)
		}
		return v, d.Put(ctx, "full", nil)
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(3)
	b.dispatch(3, 9, nil)
	var put protocol.PutData
	r := b.await(protocol.KindPutData)
	if protocol.Unmarshal(r.kind, r.payload, &put) != nil || r.session != 3 || put.Key != "k" || string(put.Value) != "v" || put.Delete {
		t.Errorf("%+v: %+v", r, put)
	}
	b.say(protocol.KindDone, 3, r.task, nil)
	put = protocol.PutData{}
	r = b.await(protocol.KindPutData)
	if protocol.Unmarshal(r.kind, r.payload, &put) != nil || put.Key != "old" || !put.Delete {
		t.Errorf("%+v", put)
	}
	b.say(protocol.KindDone, 3, r.task, nil)
	r = b.await(protocol.KindGetData)
	b.say(protocol.KindSessionData, 3, r.task, protocol.SessionData{Key: "k", Value: []byte("w"), Found: true})
	r = b.await(protocol.KindPutData)
	b.say(protocol.KindError, 3, r.task, protocol.Errorf(protocol.CodeOverloaded, "put", "the session is full"))
	if e := errorOf(t, b.await(protocol.KindFailure)); e.Code != protocol.CodeOverloaded {
		t.Errorf("the task failed with %v, want what the manager said", e)
	}
	b.leave(s, 3)
}

// With one slot a hook that waits for its session's data holds up nothing but itself: the instance goes on to say that it
// lives, and the request ends with its context and with its manager.
func TestSessionDataThatDoesNotCome(t *testing.T) {
	b := newBroker(t, "")
	errs := make(chan error, 10)
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		d := c.Session()
		errs <- d.Put(ctx, "", nil)
		errs <- d.Put(ctx, "k", make([]byte, MaxValue+1))
		_, _, err := d.Get(ctx, strings.Repeat("k", MaxKey+1))
		errs <- err
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		errs <- d.Put(short, "k", nil)
		errs <- d.Put(short, "k", nil) // it has ended
		_, _, err = d.Get(context.WithoutCancel(ctx), "k")
		errs <- err
		return nil, nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(3)
	b.dispatch(3, 9, nil)
	for _, want := range []protocol.Code{protocol.CodeInvalid, protocol.CodePayloadTooLarge, protocol.CodeInvalid} {
		if err := <-errs; protocol.CodeOf(err) != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want that the context ended", err)
		}
	}
	b.await(protocol.KindGetData)
	b.do(func() { b.fresh(b.posts[1]) })
	if err := <-errs; protocol.CodeOf(err) != protocol.CodeUnavailable {
		t.Errorf("%v, want that the manager is gone", err)
	}
	b.leave(s)
}
