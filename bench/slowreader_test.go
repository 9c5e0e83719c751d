package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
)

// A reader takes one result after the other, never faster than it is told, and sees what is wrong with them.
func TestReaderTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := func(number uint64) client.Result {
			return client.Result{Payload: directive{number: number, result: 20}.obey()}
		}
		r := reader{size: 20, gap: time.Second, next: time.Now(), seen: newTally(3)}
		begin := time.Now()
		for n := range uint64(3) {
			r.take(t.Context(), result(n))
			if got, want := time.Since(begin), time.Duration(n)*time.Second; got != want {
				t.Errorf("result %d was taken after %v, want %v", n, got, want)
			}
		}
		if !r.seen.right() || r.damaged != 0 {
			t.Errorf("%+v, %d damaged", *r.seen, r.damaged)
		}
		<-time.After(10 * time.Second) // no more than one that was missed meanwhile is made up for
		late := time.Now()
		damaged := result(1)
		damaged.Payload[15]++
		for _, bad := range []client.Result{damaged, result(2), result(3), {Err: errors.New("the reason")}} {
			r.take(t.Context(), bad)
		}
		if got := time.Since(late); got != 2*time.Second {
			t.Errorf("4 results were taken in %v, want 2 s", got)
		}
		if r.damaged != 1 || r.seen.Again != 1 || r.seen.Strange != 1 || r.seen.Failed != 1 || r.seen.Failure != "the reason" {
			t.Errorf("%+v, %d damaged", *r.seen, r.damaged)
		}
		ended, stop := context.WithCancel(t.Context())
		stop()
		r.take(ended, result(0))
		if r.seen.Again != 1 {
			t.Error("it takes results when nobody wants them any more")
		}
	})
	if _, err := (&reader{}).obey(t.Context(), party.Order{Do: "sing"}); err == nil {
		t.Error("the slow reader sings")
	}
}

func TestReportOfSlowReader(t *testing.T) {
	good := func() slowRead {
		return slowRead{
			slowReaderConfig: slowReaderConfig{result: 1 << 20, instances: 2, by: byResults},
			readings:         readings{counts: counts{Tasks: 64, Once: 64}, Elapsed: 2 * time.Second},
			memory:           []bound{{"broker", 16 << 20, 208 << 20, 100 << 20}, {"client", 16 << 20, 208 << 20, 208 << 20}},
		}
	}
	var b strings.Builder
	if err := good().report(&b); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"64 results of 1048576 bytes by 2 instances, taken by results in 2.0 s (32.0 MiB a second)", "64 of 64 once and right", "16.0 MiB    100.0 MiB    208.0 MiB"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	for want, spoil := range map[string]func(*slowRead){
		"client has taken 209.0 MiB, 208.0 MiB are allowed": func(s *slowRead) { s.memory[1].peak = 209 << 20 },
		"2 results are not what their tasks have made":      func(s *slowRead) { s.Damaged = 2 },
		"1 results are missing, 0 came again":               func(s *slowRead) { s.Once = 63 },
		"1 came again":                                      func(s *slowRead) { s.Again = 1 },
		"3 are of no task":                                  func(s *slowRead) { s.Strange = 3 },
		"1 tasks have failed, the first with: the reason":   func(s *slowRead) { s.Once, s.Failed, s.Failure = 63, 1, "the reason" },
	} {
		s := good()
		spoil(&s)
		if err := s.report(&b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestValidateSlowReader(t *testing.T) {
	good := slowReaderConfig{bytes: 1 << 30, result: 1 << 20, instances: 2, transport: "tcp", by: byResults, time: time.Second, credits: 3}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*slowReaderConfig){
		"--result: 0 is not within 8":         func(k *slowReaderConfig) { k.result = 0 },
		"--bytes: 1000 is not within 1048576": func(k *slowReaderConfig) { k.bytes = 1000 },
		"--instances: 0 is not":               func(k *slowReaderConfig) { k.instances = 0 },
		"--time: 0s is not":                   func(k *slowReaderConfig) { k.time = 0 },
		"--credits: 0 is not":                 func(k *slowReaderConfig) { k.credits = 0 },
		"--transport:":                        func(k *slowReaderConfig) { k.transport = "udp" },
		`--by: "hand" is not one of`:          func(k *slowReaderConfig) { k.by = "hand" },
	} {
		k := good
		spoil(&k)
		if err := k.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The whole of it, small, in both ways.
func TestSlowReader(t *testing.T) {
	for _, by := range []string{byResults, byCallbacks} {
		t.Run(by, func(t *testing.T) {
			alone(t)
			k := slowReaderConfig{bytes: 32 << 20, result: 64 << 10, instances: 2, transport: "tcp", by: by, time: 500 * time.Millisecond, credits: 3}
			got, err := k.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := got.report(&b); err != nil || got.Once != 512 || got.Elapsed < k.time*9/10 || len(got.memory) != 5 {
				t.Errorf("%v:\n%s%+v", err, b.String(), got)
			}
		})
	}
}
