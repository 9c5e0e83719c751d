package control_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// bury has a manager give up a task with this payload.
func (w *world) bury(sequence uint64, payload []byte) {
	w.note(0, session.Note{Dead: &session.Dead{Payload: payload, Letter: protocol.DeadLetter{
		Service: "price", Version: "1", Session: 1, Task: protocol.NewTaskID(sequence, 1), Size: int64(len(payload)), Attempts: 4,
		Error: protocol.Errorf(protocol.CodeAttemptsSpent, "task", "%s", strings.Repeat("e", 2*protocol.MaxText)),
	}}})
}

// answersTo sends a request and gives the body of its answer.
func answersTo[T any](t *testing.T, w *world, kind, answer protocol.Kind, body any) (got T) {
	t.Helper()
	w.on = func(_ *peer, r protocol.Record) {
		if r.Kind != answer {
			t.Fatalf("answered by %v %s", r.Kind, r.Payload)
		}
		got = decode[T](t, r)
	}
	w.send(w.peers["ops"], kind, 99, body)
	w.on = nil
	return got
}

func TestDeadLetterListIsBounded(t *testing.T) {
	for name, x := range map[string]struct {
		entries int
		bytes   int64
		payload int
		kept    int
	}{
		"by entries": {entries: 3, payload: 10, kept: 3},
		"by bytes":   {entries: 100, bytes: 3 << 20, payload: 1<<20 - 100_000, kept: 3},
		"by default": {payload: 10, kept: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.MaxPayload, c.DeadLetters, c.DeadLetterBytes = 1<<20, x.entries, x.bytes })
			given(w, 1, 1)
			w.quiet = true
			total := x.kept + 5
			for n := range total {
				w.bury(uint64(n+1), make([]byte, x.payload))
			}
			page := answersTo[protocol.DeadPage](t, w, protocol.KindListDead, protocol.KindDeadPage, protocol.ListRequest{Limit: 1})
			if page.Dropped != 5 || len(page.Entries) != 1 || page.Entries[0].ID != 6 || page.Entries[0].Task.Sequence() != 6 {
				t.Fatalf("%d were dropped, and the oldest is %+v; want 5 and entry 6", page.Dropped, page.Entries)
			}
			kept, after := 0, ""
			for more := true; more; {
				page = answersTo[protocol.DeadPage](t, w, protocol.KindListDead, protocol.KindDeadPage, protocol.ListRequest{After: after})
				for _, l := range page.Entries {
					kept, after = kept+1, fmt.Sprint(l.ID)
					if len(l.Error.Msg) > protocol.MaxText {
						t.Fatalf("its error has %d bytes", len(l.Error.Msg))
					}
				}
				more = page.More
			}
			if kept != x.kept || after != fmt.Sprint(total) {
				t.Fatalf("%d are kept up to %s, want %d up to %d", kept, after, x.kept, total)
			}
		})
	}
}

func TestDeadLetterWithALargePayloadComesInParts(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 1, 1)
	w.quiet = true
	payload := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // 3.2 MB
	w.bury(1, payload)
	var got []byte
	parts := 0
	for more := true; more; parts++ {
		part := answersTo[protocol.DeadPart](t, w, protocol.KindGetDead, protocol.KindDeadPart, protocol.GetDead{ID: 1, Offset: int64(len(got))})
		got = append(got, part.Payload...)
		more = part.More
	}
	if !bytes.Equal(got, payload) || parts != 4 {
		t.Fatalf("%d parts with %d bytes, want 4 with %d", parts, len(got), len(payload))
	}
}

func TestDeadLetterListMustHoldOneTask(t *testing.T) {
	for _, x := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.DeadLetters = -1 }, "DeadLetters: -1 is negative"},
		{func(c *Config) { c.DeadLetterBytes = 1 << 20 }, "DeadLetterBytes: 1048576 is less than 17825792"},
		{func(c *Config) { c.MaxPayload = 1 << 30 }, ""},
	} {
		cfg := config()
		x.change(&cfg)
		if _, err := New(cfg); (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
}
