package control_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

func TestEndpointsAnswerInKind(t *testing.T) {
	both := Places{Ports: []int{7710, 7711}, Dir: "/run/weft", HostID: "h1:1000"}
	advertised := both
	advertised.Advertise = "fe80::1"
	for _, tt := range []struct {
		name   string
		places Places
		hello  protocol.Hello
		loop   int
		want   string
	}{
		{"tcp", both, protocol.Hello{Endpoint: "tcp://10.0.0.1:7700", Host: "h2"}, 1, "tcp://10.0.0.1:7711"},
		{"tcp without scheme", both, protocol.Hello{Endpoint: "broker"}, 0, "tcp://broker:7710"},
		{"IPv6", both, protocol.Hello{Endpoint: "tcp://[::1]:7700"}, 0, "tcp://[::1]:7710"},
		{"advertised", advertised, protocol.Hello{Endpoint: "tcp://10.0.0.1:7700"}, 0, "tcp://[fe80::1]:7710"},
		{"ipc on one host", both, protocol.Hello{Endpoint: "tcp://10.0.0.1:7700", Host: "h1:1000"}, 1, "ipc:///run/weft/loop-1"},
		{"tcp kept", both, protocol.Hello{Endpoint: "tcp://127.0.0.1:7700", Host: "h1:1000", KeepsScheme: true}, 1, "tcp://127.0.0.1:7711"},
		{"ipc as the peer sees it", both, protocol.Hello{Endpoint: "ipc:///mnt/w/control"}, 0, "ipc:///mnt/w/loop-0"},
		{"inproc", both, protocol.Hello{Endpoint: "inproc://fabric"}, 1, "inproc://fabric/loop-1"},
		{"nothing", both, protocol.Hello{Endpoint: "tcp://"}, 0, `"tcp://" names nothing`},
		{"unknown", both, protocol.Hello{Endpoint: "epgm://x"}, 0, "none of tcp://"},
		{"no port", Places{}, protocol.Hello{Endpoint: "tcp://x:1"}, 0, "has no tcp port"},
	} {
		got, err := tt.places.Endpoint(tt.hello, tt.loop)
		if err != nil {
			got = err.Error()
			if protocol.CodeOf(err) != protocol.CodeInvalid {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Incarnation": func(c *Config) { c.Incarnation = 0 },
		"Loops":       func(c *Config) { c.Loops = 0 },
		"Token":       func(c *Config) { c.Token = nil },
		"ClientGrace": func(c *Config) { c.ClientGrace = -1 },
	} {
		cfg := config()
		change(&cfg)
		if _, err := New(cfg); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestTickTooEarlyDoesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.join("app", protocol.Hello{Role: protocol.RoleClient}, 2)
	before, ok := w.core.Deadline()
	w.core.Tick(before.Add(-time.Millisecond))
	if after, _ := w.core.Deadline(); !ok || !after.Equal(before) || w.core.Take(&Batch{}) {
		t.Errorf("deadline %v, then %v", before, after)
	}
}

func TestPagesAreCutByNumberAndBySize(t *testing.T) {
	w := newWorld(t, nil)
	app := w.join("app", protocol.Hello{Role: protocol.RoleClient}, 2)
	const services = 60
	for i := range services {
		w.send(app, protocol.KindRegisterService, 1, protocol.Service{Name: fmt.Sprintf("s%02d", i), Function: strings.Repeat("x", 20_000)})
	}
	for _, limit := range []int{0, 7} {
		var pages, entries int
		req := protocol.ListRequest{Limit: limit}
		more := true
		w.on = func(_ *peer, r protocol.Record) {
			page := decode[protocol.ServicePage](t, r)
			if len(r.Payload) > protocol.MaxBody || limit > 0 && len(page.Entries) > limit || len(page.Entries) == 0 {
				t.Fatalf("page of %d entries, %d bytes", len(page.Entries), len(r.Payload))
			}
			pages++
			entries += len(page.Entries)
			last := page.Entries[len(page.Entries)-1].Service
			req.After, more = last.Name+"@"+last.Version, page.More
		}
		for more {
			w.send(app, protocol.KindListServices, 1, req)
		}
		if entries != services || pages < 2 {
			t.Errorf("limit %d: %d entries on %d pages", limit, entries, pages)
		}
	}
}

func TestEveryRecordForTheStoreCanBeReadBack(t *testing.T) {
	if _, err := DecodeRecord([]byte{0xc1}); err == nil {
		t.Error("garbage is a record")
	}
	w := newWorld(t, nil)
	given(w, 1, 1)
	w.send(w.peers["app"], protocol.KindCloseSession, 1, protocol.CloseSession{Session: 1, Mode: protocol.CloseKill})
	w.note(0, session.Note{Changed: &session.Changed{Session: 1, State: protocol.SessionClosed}})
	w.send(w.peers["ops"], protocol.KindDeregisterService, 1, protocol.ServiceRef{Name: "price"})
	if len(w.history) != 5 {
		t.Fatalf("%d records", len(w.history))
	}
	r := w.history
	if r[0].Register == nil || r[1].Open == nil || r[2].Close == nil || r[3].End == nil || r[4].Deregister == nil {
		t.Errorf("%s", text(r))
	}
	if end := r[3].End; end.Error == nil || end.Error.Code != protocol.CodeSessionKilled || !r[3].At.Equal(start) {
		t.Errorf("%s", text(r[3]))
	}
}

// TestWhoEndedLastIsKnownLongest has the oldest session end after a thousand younger ones: how it ended can be seen, and
// the one that ended first is forgotten.
func TestWhoEndedLastIsKnownLongest(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	app, ops := w.peers["app"], w.peers["ops"]
	end := func(number uint32) {
		w.note(0, session.Note{Changed: &session.Changed{Session: number, State: protocol.SessionClosed}})
	}
	for n := uint32(2); n <= 1001; n++ {
		w.send(app, protocol.KindOpenSession, uint64(n), protocol.OpenSession{Key: uint64(n), Service: "price"})
		end(n)
	}
	end(1)
	var known []uint32
	w.on = func(p *peer, r protocol.Record) {
		if p == ops && r.Kind == protocol.KindEventPage {
			page := decode[protocol.EventPage](t, r)
			if last := page.Entries[len(page.Entries)-1]; !page.Over || last.Kind != protocol.EventClosed {
				t.Errorf("over %v, at last %+v", page.Over, last)
			}
			known = append(known, uint32(r.Task))
		}
	}
	for _, n := range []uint32{1, 2, 3, 1001} {
		w.send(ops, protocol.KindListEvents, uint64(n), protocol.ListRequest{Session: n})
	}
	if want := []uint32{1, 3, 1001}; !slices.Equal(known, want) {
		t.Errorf("sessions %v are known, want %v", known, want)
	}
}

// TestManySessions keeps 1,000 sessions of as many clients and 100 nodes apart, and forgets what is over.
func TestManySessions(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	w.quiet = true
	const clients, rounds = 1000, 3
	var apps []*peer
	for i := range clients {
		apps = append(apps, w.join(fmt.Sprint("c", i), protocol.Hello{Role: protocol.RoleClient}, uint64(1000+i)))
	}
	for i := range 100 {
		n := w.join(fmt.Sprint("m", i), protocol.Hello{Role: protocol.RoleAgent}, uint64(5000+i))
		w.send(n, protocol.KindRegisterNode, 1, protocol.RegisterNode{Name: n.name, Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 1000, Memory: 1 << 30}})
	}
	number := uint32(1)
	for range rounds {
		for _, p := range apps {
			w.send(p, protocol.KindOpenSession, 1, protocol.OpenSession{Key: 1, Service: "price"})
		}
		for range apps {
			number++
			w.note(0, session.Note{Changed: &session.Changed{Session: number, State: protocol.SessionRunning}})
			w.note(0, session.Note{Changed: &session.Changed{Session: number, State: protocol.SessionClosed}})
		}
	}
	got := 0
	w.on = func(_ *peer, r protocol.Record) {
		if r.Kind == protocol.KindSessionPage {
			got += len(decode[protocol.SessionPage](t, r).Entries)
		}
	}
	w.send(w.peers["ops"], protocol.KindListSessions, 1, protocol.ListRequest{})
	if got != 1 {
		t.Errorf("%d sessions are open, want the one that was given", got)
	}
	got = 0
	w.send(w.peers["ops"], protocol.KindListSessions, 1, protocol.ListRequest{All: true})
	if got != 1000 {
		t.Errorf("%d sessions are remembered in all, want a page of 1000", got)
	}
}
