package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func written(t *testing.T, r result, format string) string {
	t.Helper()
	var b strings.Builder
	if err := r.write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLines(t *testing.T) {
	r := result{
		Name: "weft ipc", Payload: 1024, Clients: 8, Instances: 2, Window: 256, RoundTrips: 100,
		P50: 173240, P99: 505512, Tasks: 5_000_000, PerSecond: 2_499_999.6, BrokerPeak: 64 << 20,
	}
	if got, want := written(t, r, formatLines), "RESULT|weft ipc|1024|8|2|173.2|505.5|2500000\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.P50, r.P99, r.PerSecond = 0, 0, 0
	if got, want := written(t, r, formatLines), "RESULT|weft ipc|1024|8|2|-|-|-\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableAndJSON(t *testing.T) {
	r := result{
		Name: "weft", Payload: 16, Clients: 1, Instances: 1, Window: 4096,
		P50: 150 * time.Microsecond, P99: time.Millisecond, Tasks: 1, PerSecond: 1e6, BrokerPeak: 3 << 19,
	}
	lines := strings.Split(strings.TrimSpace(written(t, r, formatTable)), "\n")
	if len(lines) != 2 || len(lines[0]) != len(lines[1]) {
		t.Errorf("the table's lines do not match:\n%s", strings.Join(lines, "\n"))
	}
	want := []string{"weft", "16", "1", "1", "4096", "150.0", "1000.0", "1000000", "1.5", "MiB"}
	if got := strings.Fields(lines[1]); !reflect.DeepEqual(got, want) {
		t.Errorf("row %q, want %q", got, want)
	}
	var back result
	if err := json.Unmarshal([]byte(written(t, r, formatJSON)), &back); err != nil || back != r {
		t.Errorf("JSON reads back as %+v, %v; want %+v", back, err, r)
	}
}
