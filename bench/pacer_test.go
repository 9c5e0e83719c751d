package main

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
)

// fakeService answers tasks after a while, on a clock that stands still while anybody works.
type fakeService struct {
	begin   time.Time
	answers time.Duration
	stall   time.Duration // of the submission of the first task that is due at stallAt or later
	stallAt time.Duration
	slow    time.Duration // of each submission
	spoil   func(client.Result) client.Result
	due     []time.Duration // what was submitted
	sent    []time.Duration // when
	queue   chan fakeAnswer
}

// fakeAnswer is a result that is on its way.
type fakeAnswer struct {
	at     time.Time
	result client.Result
	note   func(client.Result)
}

// answer gives the results, each when its time has come.
func (f *fakeService) answer() {
	for a := range f.queue {
		if wait := time.Until(a.at); wait > 0 {
			<-time.After(wait)
		}
		a.note(a.result)
	}
}

func (f *fakeService) submit(_ context.Context, b []byte, note func(client.Result)) error {
	due := time.Duration(binary.LittleEndian.Uint64(b))
	<-time.After(f.slow)
	if f.stall > 0 && due >= f.stallAt {
		<-time.After(f.stall)
		f.stall = 0
	}
	f.due, f.sent = append(f.due, due), append(f.sent, time.Since(f.begin))
	r := client.Result{Payload: append([]byte(nil), b...)}
	if f.spoil != nil {
		r = f.spoil(r)
	}
	f.queue <- fakeAnswer{time.Now().Add(f.answers), r, note}
	return nil
}

// paced runs a load against the service, in a bubble of synctest.
func (f *fakeService) paced(t *testing.T, o pace) (*paced, *hdrhistogram.Histogram, error) {
	t.Helper()
	f.begin = time.Now()
	f.queue = make(chan fakeAnswer, 10_000)
	defer close(f.queue)
	go f.answer()
	p := pacer{submit: f.submit, payload: stampSize}
	done, err := p.pace(t.Context(), o)
	if err != nil {
		return nil, nil, err
	}
	h, err := mergeHistograms(done.Latency)
	if err != nil {
		t.Fatal(err)
	}
	return done, h, nil
}

func near(d, want time.Duration) bool { return (d - want).Abs() <= want/500+time.Microsecond }

// Every task is sent, none before it is due, and none much later than that.
func TestPacerKeepsToTheSchedule(t *testing.T) {
	for _, rate := range []float64{100, 1_000_000} {
		synctest.Test(t, func(t *testing.T) {
			f := fakeService{answers: 3 * time.Millisecond}
			o := pace{Rate: rate, Arrivals: arrivalsConstant, Clients: 1, Warm: 100 * time.Millisecond, Time: 300 * time.Millisecond, Late: time.Second}
			got, h, err := f.paced(t, o)
			if err != nil {
				t.Fatal(err)
			}
			want := uint64(rate * 0.4)
			if uint64(len(f.due)) != want || got.Sent != want || got.Due != want*3/4 || got.Done != got.Due || h.TotalCount() != int64(got.Due) {
				t.Errorf("%v/s: %d tasks, %+v, want %d", rate, len(f.due), *got, want)
			}
			for n, due := range f.due {
				if wait := f.sent[n] - due; due != time.Duration(float64(n)*1e9/rate) || wait < 0 || wait > burstEvery {
					t.Fatalf("%v/s: task %d due at %v was sent %v later", rate, n, due, wait)
				}
			}
			if l := latenciesOf(h); l.P50 < f.answers-time.Microsecond || l.Max > f.answers+burstEvery+10*time.Microsecond {
				t.Errorf("%v/s: latencies %+v of a service that takes %v", rate, l, f.answers)
			}
			if rate == 100 && !near(latenciesOf(h).Max, f.answers) {
				t.Errorf("tasks that are due one at a time wait: %+v", latenciesOf(h))
			}
			if got.GivenUp || got.Elapsed > o.Time+f.answers {
				t.Errorf("%+v", *got)
			}
		})
	}
}

// A stall counts for every task that was due meanwhile, with the time that each of them waited.
func TestStallCountsForAllTasksDueMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fakeService{answers: time.Millisecond, stall: 100 * time.Millisecond, stallAt: 500 * time.Millisecond}
		o := pace{Rate: 1000, Arrivals: arrivalsConstant, Clients: 1, Time: time.Second, Late: time.Second}
		got, h, err := f.paced(t, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.due) != 1000 || got.Done != 1000 || got.GivenUp {
			t.Fatalf("%d tasks sent, %+v", len(f.due), *got)
		}
		// 100 of 1000 tasks have waited, evenly between 0 and 100 ms: the last 1 % for more than 90 ms.
		l := latenciesOf(h)
		if !near(l.Max, 101*time.Millisecond) || !near(l.P99, 91*time.Millisecond) || !near(l.P50, time.Millisecond) {
			t.Errorf("latencies %+v", l)
		}
	})
}

// What cannot keep up is given up, and the tasks that were due and never sent count as well.
func TestPacerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fakeService{slow: 10 * time.Millisecond} // 100 tasks/s, a tenth of what is asked for
		o := pace{Rate: 1000, Arrivals: arrivalsConstant, Clients: 1, Time: 10 * time.Second, Late: time.Second}
		got, h, err := f.paced(t, o)
		if err != nil {
			t.Fatal(err)
		}
		if !got.GivenUp || got.Done != uint64(len(f.due)) || got.Due <= got.Done || h.TotalCount() != int64(got.Due) {
			t.Errorf("%d tasks sent, %+v, %d latencies", len(f.due), *got, h.TotalCount())
		}
		s, _, err := stepOf(o, []paced{*got})
		if err != nil || !s.Behind || s.Unsent != got.Due-got.Done || s.Reached > 110 || !strings.Contains(s.word(), "fell behind") {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// A closed load sends what the window lets through, and counts what was completed while it was measured.
func TestClosedPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fakeService{slow: time.Millisecond, answers: time.Millisecond}
		got, _, err := f.paced(t, pace{Warm: 500 * time.Millisecond, Time: time.Second})
		if err != nil || got.Within < 990 || got.Within > 1001 || got.Sent < 1500 || got.GivenUp {
			t.Errorf("%+v, %v; want 1000 tasks in the second", got, err)
		}
	})
}

func TestPacerFails(t *testing.T) {
	for want, spoil := range map[string]func(client.Result) client.Result{
		"the reason":          func(r client.Result) client.Result { return client.Result{Err: errors.New("the reason")} },
		"a result of 3 bytes": func(r client.Result) client.Result { return client.Result{Payload: r.Payload[:3]} },
	} {
		synctest.Test(t, func(t *testing.T) {
			f := fakeService{spoil: spoil}
			_, _, err := f.paced(t, pace{Rate: 100, Clients: 1, Time: time.Second, Late: time.Second})
			if err == nil || !strings.Contains(err.Error(), want) || len(f.due) > 3 {
				t.Errorf("%d tasks, error %v, want one at once with %q", len(f.due), err, want)
			}
		})
	}
	if _, err := (&pacer{}).obey(t.Context(), party.Order{Do: "sing"}); err == nil {
		t.Error("the client of a paced load sings")
	}
	if _, err := (&pacer{}).obey(t.Context(), party.Order{Do: "pace"}); err == nil {
		t.Error("it paces and does not know how")
	}
}
