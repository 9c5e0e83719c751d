package client

import (
	"context"
	"sync"
	"testing"
)

// BenchmarkSubmit sends tasks of 16 bytes with callbacks through a broker that echoes, over tcp.
func BenchmarkSubmit(b *testing.B) {
	_, s := newFakeBroker(b, "tcp").connect()
	ctx := context.Background()
	payload := make([]byte, 16)
	var all sync.WaitGroup
	all.Add(b.N)
	done := func(Result) { all.Done() }
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := s.SubmitFunc(ctx, payload, done); err != nil {
			b.Fatal(err)
		}
	}
	all.Wait()
}

// BenchmarkSubmitWait is BenchmarkSubmit with tasks that are waited for.
func BenchmarkSubmitWait(b *testing.B) {
	_, s := newFakeBroker(b, "tcp").connect()
	ctx := context.Background()
	payload := make([]byte, 16)
	b.ReportAllocs()
	b.ResetTimer()
	var ahead []*Task
	for i := range b.N {
		t, err := s.Submit(ctx, payload)
		if err != nil {
			b.Fatal(err)
		}
		if ahead = append(ahead, t); len(ahead) == 4096 || i == b.N-1 {
			for _, t := range ahead {
				if _, err := t.Wait(ctx); err != nil {
					b.Fatal(err)
				}
			}
			ahead = ahead[:0]
		}
	}
}

// BenchmarkCall calls one task of 16 bytes after the other, over tcp.
func BenchmarkCall(b *testing.B) {
	for name, opts := range map[string][]Option{"sleeping": {WithSpin(0)}, "spinning": nil} {
		b.Run(name, func(b *testing.B) {
			c := newFakeBroker(b, "tcp").dial(opts...)
			ctx := context.Background()
			s, err := c.OpenSession(ctx, "echo")
			if err != nil {
				b.Fatal(err)
			}
			payload := make([]byte, 16)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := s.Call(ctx, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
