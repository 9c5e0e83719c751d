package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// The forms of a report that --format takes.
const (
	formatTable = "table"
	formatLines = "lines"
	formatJSON  = "json"
)

// result is what a run measured. What was not measured is 0.
type result struct {
	Name       string        `json:"name"` // weft, or weft ipc
	Payload    int           `json:"payload_bytes"`
	Clients    int           `json:"clients"`
	Instances  int           `json:"instances"`
	Window     int           `json:"window"`
	RoundTrips int           `json:"round_trips"`
	P50        time.Duration `json:"rtt_p50_ns"`
	P99        time.Duration `json:"rtt_p99_ns"`
	Tasks      uint64        `json:"tasks"`
	PerSecond  float64       `json:"tasks_per_second"`
	BrokerPeak int64         `json:"broker_peak_bytes"`
}

// write gives the result in a format: for people, as the line that comparisons read, or as JSON.
func (r result) write(w io.Writer, format string) error {
	var err error
	switch format {
	case formatLines:
		_, err = fmt.Fprintf(w, "RESULT|%s|%d|%d|%d|%s|%s|%s\n", r.Name, r.Payload, r.Clients, r.Instances,
			micros(r.P50), micros(r.P99), rate(r.PerSecond))
	case formatJSON:
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	default:
		const row = "%-9s %9s %7s %9s %7s %11s %11s %11s %12s\n"
		_, err = fmt.Fprintf(w, row+row,
			"name", "payload", "clients", "instances", "window", "rtt p50 us", "rtt p99 us", "tasks/s", "broker peak",
			r.Name, strconv.Itoa(r.Payload), strconv.Itoa(r.Clients), strconv.Itoa(r.Instances), strconv.Itoa(r.Window),
			micros(r.P50), micros(r.P99), rate(r.PerSecond), mebibytes(r.BrokerPeak))
	}
	return err
}

// micros gives a duration in microseconds, "-" for one that was not measured.
func micros(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 1, 64)
}

func rate(v float64) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}
