package main

import "time"

// Systems that are compared.
const (
	systemWeft  = "weft"
	systemNATS  = "nats"
	systemGRPC  = "grpc"
	systemProxy = "zmq-proxy"
)

// titles names the systems for people, in the order of the report.
func titles() []struct{ system, title string } {
	return []struct{ system, title string }{
		{systemWeft, "weft"}, {systemNATS, "NATS"}, {systemGRPC, "gRPC direct"}, {systemProxy, "libzmq's C proxy"},
	}
}

// figure is something that is measured.
type figure string

const (
	figureRate figure = "tasks/s"
	figureP50  figure = "p50 us"
	figureP99  figure = "p99 us"
	figureCPU  figure = "CPU us/task" // of all processes, user and system
)

// more says that a higher value is the better one.
func (f figure) more() bool { return f == figureRate }

// better says whether a value is at least as good as another one.
func (f figure) better(value, than float64) bool {
	if f.more() {
		return value >= than
	}
	return value <= than
}

// compareRow is one thing that all systems are to do.
type compareRow struct {
	name      string // for --rows
	title     string
	payload   int
	clients   int
	instances int
	window    int      // that each client keeps full; 0: there is none
	callers   int      // that call one task after the other; 0: none
	trips     bool     // one task after the other is timed
	transport string   // of weft and of the proxy; the others are measured over tcp always
	peers     []string // beside weft
	marks     []mark
}

// mark is a floor, which every release holds, and a goal.
type mark struct {
	figure figure
	peer   string  // of weft's value divided by this peer's; empty: of weft's value
	floor  float64 // 0: there is none
	goal   float64
}

// figures gives what is measured in a row.
func (r *compareRow) figures() []figure {
	if r.trips {
		return []figure{figureP50, figureP99}
	}
	return []figure{figureRate, figureCPU}
}

// compareRows gives all rows, with what weft is to reach in each.
func compareRows() []compareRow {
	everyone := []string{systemNATS, systemGRPC, systemProxy}
	return []compareRow{{
		name: "16B", title: "16 B, window 4096", payload: 16, clients: 1, instances: 1, window: 4096, peers: everyone,
		marks: []mark{
			{figureRate, systemNATS, 3, 5}, {figureRate, "", 0, 1_500_000}, {figureCPU, "", 1.2, 0.6},
		},
	}, {
		name: "16B-8x2", title: "16 B, 8 clients, 2 instances", payload: 16, clients: 8, instances: 2, window: 4096,
		peers: []string{systemNATS}, marks: []mark{{figureRate, systemNATS, 2, 3}},
	}, {
		name: "16B-w256", title: "16 B, window 256", payload: 16, clients: 1, instances: 1, window: 256, peers: everyone,
		marks: []mark{{figureRate, systemNATS, 1.2, 2}},
	}, {
		name: "16B-w16", title: "16 B, window 16", payload: 16, clients: 1, instances: 1, window: 16, peers: everyone,
	}, {
		name: "1KiB", title: "1 KiB, window 1024", payload: 1 << 10, clients: 1, instances: 1, window: 1024, peers: everyone,
		marks: []mark{{figureRate, systemNATS, 1.5, 2.2}},
	}, {
		name: "64KiB", title: "64 KiB, window 64", payload: 64 << 10, clients: 1, instances: 1, window: 64, peers: everyone,
		marks: []mark{{figureRate, systemNATS, 1.3, 1.9}},
	}, {
		name: "1MiB", title: "1 MiB, window 16", payload: 1 << 20, clients: 1, instances: 1, window: 16, peers: everyone,
		marks: []mark{{figureRate, systemProxy, 0.9, 1.3}},
	}, {
		name: "rtt", title: "round trip, 16 B", payload: 16, clients: 1, instances: 1, trips: true, peers: everyone,
		marks: []mark{{figureP50, systemNATS, 1.6, 1.25}, {figureP99, systemNATS, 2, 1.3}},
	}, {
		name: "rtt-ipc", title: "round trip, 16 B, ipc (NATS: tcp)", payload: 16, clients: 1, instances: 1, trips: true,
		transport: "ipc", peers: []string{systemNATS, systemProxy},
		marks: []mark{{figureP50, systemNATS, 1.4, 1.05}},
	}, {
		name: "rtt-64KiB", title: "round trip, 64 KiB", payload: 64 << 10, clients: 1, instances: 1, trips: true, peers: everyone,
		marks: []mark{{figureP50, systemNATS, 1.1, 0.85}},
	}, {
		name: "sync", title: "16 B, 16 concurrent callers", payload: 16, clients: 1, instances: 1, callers: 16,
		peers: []string{systemNATS, systemGRPC}, marks: []mark{{figureRate, systemNATS, 0.8, 1}},
	}}
}

// micro gives a duration as the figures have it.
func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
