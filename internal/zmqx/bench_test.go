package zmqx

import (
	"testing"
	"time"
)

func benchmarkBurst(b *testing.B, burst int, payload int) {
	router, dealer, _ := connected(b, inproc(b), Options{})
	records := []byte("sixteen bytes...")
	var payloads []Handle
	if payload > 0 {
		payloads = []Handle{dealer.table.New(make([]byte, payload))}
	}
	b.ReportAllocs()
	for b.Loop() {
		for range burst {
			if err := dealer.Send(0, records, payloads); err != nil {
				b.Fatal(err)
			}
		}
		messages, _, err := router.Recv(burst)
		if err != nil || len(messages) != burst {
			b.Fatal(len(messages), err)
		}
		for _, m := range messages {
			for _, h := range m.Payloads {
				router.table.Release(h)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*burst), "ns/message")
}

func BenchmarkSendRecv(b *testing.B)        { benchmarkBurst(b, 1, 0) }
func BenchmarkSendRecvBurst(b *testing.B)   { benchmarkBurst(b, MaxBurst, 0) }
func BenchmarkSendRecvPayload(b *testing.B) { benchmarkBurst(b, 16, 1<<16) }

func BenchmarkWaitTimedOut(b *testing.B) {
	router, _, _ := connected(b, inproc(b), Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := router.waiter.Wait(0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for kind, endpoint := range endpoints(b) {
		for name, spin := range map[string]time.Duration{"sleep": 0, "spin": spinLimit} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				router, dealer, peer := connected(b, endpoint, Options{})
				done := make(chan struct{})
				go func() {
					defer close(done)
					for {
						m := router.one(b)
						if len(m.Records) == 0 || router.Send(peer, m.Records, nil) != nil {
							return
						}
					}
				}()
				for b.Loop() {
					dealer.send(b, 0, "r")
					if spin > 0 {
						dealer.waiter.Spin(spin)
					}
					dealer.one(b)
				}
				dealer.send(b, 0, "")
				<-done
			})
		}
	}
}
