package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/protocol"
)

func TestPing(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	for _, c := range []struct {
		args  string
		n     int
		named bool
	}{
		{"--tasks 50", 50, true},
		{"--tasks 1000 --window 100 --sessions 3 --in 100 --out 4KiB", 1000, true},
		{"--tasks 5 --in 3 --out 0 --runtime 1ms", 5, false},
		{"--tasks 7 --in 0 --out 7 --runtime 1ms --spin --window 4 --instances 2", 7, false},
	} {
		var out, errOut bytes.Buffer
		code := d.weft(t.Context(), nil, &out, &errOut, append([]string{"ping", "-o", "json"}, strings.Fields(c.args)...)...)
		var r pingReport
		if err := json.Unmarshal(out.Bytes(), &r); code != exitOK || err != nil || errOut.Len() > 0 {
			t.Errorf("weft ping %s: exit %d, %v, %s, %s", c.args, code, err, out.String(), errOut.String())
			continue
		}
		if r.Tasks != c.n || r.Errors != 0 || len(r.Nodes) != 1 || r.Broker.Name != "broker" || r.Broker.Endpoint != d.endpoint ||
			r.Broker.Protocol == 0 || r.Broker.Epoch == 0 {
			t.Errorf("weft ping %s: %+v", c.args, r)
		}
		if r.P50 <= 0 || r.P90 < r.P50 || r.P99 < r.P90 || r.Max < r.P99 || r.Rate <= 0 || r.First < r.Opened {
			t.Errorf("weft ping %s: %+v", c.args, r)
		}
		if got := r.ByNode[r.Nodes[0]]; c.named && got != c.n || !c.named && len(r.ByNode) > 0 {
			t.Errorf("weft ping %s: by node %v", c.args, r.ByNode)
		}
	}
	var out bytes.Buffer
	if code := d.weft(t.Context(), nil, &out, io.Discard, "ping", "--tasks", "10"); code != exitOK {
		t.Errorf("exit %d", code)
	}
	for _, says := range []string{"broker:     broker at ", "nodes:      1: ", "service:    weft.ping ", "session:    ", "result:     the first came ", "round trip: p50 ", "errors:     0", "verdict:    it works\n"} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("no %q in:\n%s", says, out.String())
		}
	}
	out.Reset()
	if d.weft(t.Context(), nil, &out, io.Discard, "session", "list", "-o", "name"); out.Len() > 0 {
		t.Errorf("sessions are left: %s", out.String())
	}
}

// What is wrong is said, and what to do.
func TestPingDiagnoses(t *testing.T) {
	out, _ := daemon(t, "broker", "--listen", "tcp://127.0.0.1:0", "--log-level", "error")
	endpoint := out.find(t, `listening at (\S+)\n`)
	_, errOut, code := ask(t, endpoint, "ping")
	if code != exitUnavailable || !strings.Contains(errOut, "no compute node is registered") {
		t.Errorf("no agent: exit %d, %q", code, errOut)
	}
	daemon(t, "agent", "--broker", endpoint, "--dir", filepath.Join(t.TempDir(), "agent"), "--capacity", "cpu=10m,memory=1GiB", "--log-level", "error")
	d := dev{endpoint}
	d.hasNode(t)
	o, errOut, code := ask(t, endpoint, "ping", "--timeout", "3s")
	if code != exitUnavailable || !strings.Contains(errOut+o, "cpu") {
		t.Errorf("no capacity: exit %d, %q, %q", code, o, errOut)
	}
}

func TestPingInterrupted(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	out, errOut := newNotes(), newNotes()
	go func() {
		ended <- d.weft(ctx, nil, out, errOut, "ping", "--runtime", "1h", "--window", "4", "--timeout", "1h")
	}()
	out.find(t, `(session: )`)
	interrupt()
	if code := <-ended; code != exitInterrupted || strings.Contains(out.String(), "it works") {
		t.Errorf("exit %d, %s, %s", code, out, errOut)
	}
}

// Ctrl-C gives the figures of what has ended, also when all is sent; fewer instances than were asked for are told of.
func TestPingFiguresSoFar(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	for _, window := range []string{"1", "4", "100000"} {
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		ended := make(chan int, 1)
		out, errOut := newNotes(), newNotes()
		go func() {
			ended <- d.weft(ctx, nil, out, errOut, "ping", "--runtime", "5ms", "--tasks", "50000", "--window", window)
		}()
		out.find(t, `(result: )`)
		eventually(t, "some tasks have ended", func() bool {
			var o bytes.Buffer
			d.weft(t.Context(), nil, &o, io.Discard, "session", "list", "-o", "json")
			m := regexp.MustCompile(`"done": (\d+)`).FindStringSubmatch(o.String())
			return m != nil && len(m[1]) > 1
		})
		interrupt()
		if code := <-ended; code != exitInterrupted || !strings.Contains(out.String(), "round trip: ") || !strings.Contains(out.String(), "of the tasks had ended") ||
			!strings.Contains(out.String(), "errors:     0") || strings.Contains(out.String(), "it works") {
			t.Errorf("window %s: exit %d, %s, %s", window, code, out, errOut)
		}
	}
	var out bytes.Buffer
	if code := d.weft(t.Context(), nil, &out, io.Discard, "ping", "--instances", "1000"); code != exitOK || !strings.Contains(out.String(), "of the 1,000 that were asked for") {
		t.Errorf("exit %d, %s", code, out.String())
	}
}

func TestPingBadUsage(t *testing.T) {
	for args, says := range map[string]string{
		"--tasks 0": "--tasks: 0 is not within 1", "--sessions 0": "--sessions: 0", "--window 0": "--window: 0", "--in much": "--in: ",
		"--out 2GiB": "--out: ", "--runtime -1s": "--runtime -1s", "--timeout 0s": "--timeout 0s", "--instances -1": "--instances: -1",
		"-o xml": `"xml" is not one of`, "more": `"more" is too much`,
	} {
		if _, errOut, code := weft(t, &scripted{}, append([]string{"ping"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(errOut, says) {
			t.Errorf("weft ping %s: exit %d, %q; want %q", args, code, errOut, says)
		}
	}
}

// Errors and wrong results fail the test, and are counted; the first is told.
func TestPingVerdict(t *testing.T) {
	var out bytes.Buffer
	p := &pingRun{app: &app{out: &out, form: formTable, getenv: func(string) string { return "" }}, tasks: 4, load: builtin.Load{Out: 8}}
	p.report.Tasks, p.report.Out, p.report.Nodes = 4, 8, []string{"n1", "n2"}
	p.report.Elapsed = time.Second
	b := bench{pingRun: p, alive: []protocol.NodeInfo{{Name: "n1"}, {Name: "n2"}}}
	x := part{trips: make([]time.Duration, 4), marks: make([]uint64, 4)}
	result := func(node string) []byte {
		mark := builtin.NodeMark(node)
		r := make([]byte, 8)
		for i := range r {
			r[i] = byte(mark >> (56 - 8*i))
		}
		return r
	}
	begin := time.Now()
	b.take(&x, 0, begin, nil, result("n1"), nil)
	b.take(&x, 1, begin, nil, []byte("short"), nil)
	b.take(&x, 2, begin, nil, nil, client.ErrUnavailable)
	b.take(&x, 3, begin, nil, result("elsewhere"), nil)
	b.gather([]part{x})
	err := p.verdict()
	if err == nil || !strings.Contains(err.Error(), "2 of 4 tasks failed; the first: a wrong result of 5 bytes for task 1") {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "by node:    n1 1, others 1; none by n2\n") || !strings.Contains(out.String(), "errors:     2\n") {
		t.Error(out.String())
	}
}
