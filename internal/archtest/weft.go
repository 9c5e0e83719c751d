package archtest

// Module is the path of the module that these rules are about.
const Module = "github.com/weft-fabric/weft"

// PureLevels is how many of the levels, from the lowest, hold pure packages only.
const PureLevels = 4

// WeftLayers returns the layers of weft. docs/architecture.md explains them.
func WeftLayers() Layers {
	return Layers{
		Levels: [][]string{
			0: {"protocol", "sched/resource", "internal/fsm", "internal/human", "internal/nearest", "internal/ordered", "internal/planted", "internal/platform", "internal/quantile"},
			1: {"protocol/link", "sched", "internal/analyze"},
			2: {"broker/session", "broker/catalogue", "broker/fleet", "broker/queues", "sched/scenario"},
			3: {
				"broker/control", "broker/manager", "worker/agent/core",
				"internal/engine/client", "internal/engine/instance",
			},
			4: {
				"internal/zmqx", "internal/headroom", "internal/hosted", "internal/tcpproxy", "internal/terminaltest", "bench/party", "broker/store", "worker/probe", "worker/launcher", "worker/launcher/launchertest",
			},
			5: {"internal/progress", "broker/admin", "client", "worker", "worker/launcher/process", "worker/launcher/fake"},
			6: {"broker", "worker/agent", "internal/builtin"},
			7: {"cmd/weft", "examples/...", "bench", "broker/embed", "internal/e2e", "internal/sim", "internal/archtest"},
		},
		Sideways: []Arrow{{
			From: "worker/launcher/launchertest", To: "worker/launcher",
			Why: "a conformance suite is written against the seam that it tests",
		}, {
			From: "examples/montecarlo", To: "broker/embed",
			Why: "its test runs the whole example in one process, as a user's test would",
		}},
		Walls: []Wall{
			{"sched", "protocol", "placement is decided over vectors and queues; a change of the wire must not touch it"},
			{"sched/resource", "protocol", "vectors are the scheduler's own; a change of the wire must not touch them"},
			{"client", "broker", "a user's program must not carry the broker's code; they share the protocol only"},
			{"client", "worker", "a user's program must not carry the worker's code; they share the protocol only"},
			{"worker", "broker", "a service must not carry the broker's code; they share the protocol only"},
			{"worker", "worker/agent", "a service is run by an agent, and must not carry one"},
			{"worker", "worker/probe", "the service SDK is tiny to import: measuring a node is the agent's work"},
			{"worker", "client", "a service that wants to be a client imports client itself; others do not pay for it"},
			{"worker/agent", "broker", "an agent talks to the broker over the wire, and knows nothing of its inside"},
			{"worker/agent", "client", "an agent obeys the broker; it opens no sessions"},
			{"broker", "client", "the broker serves clients over the wire, and is none"},
			{"broker", "worker", "the broker orders instances over the wire, and starts none itself"},
		},
		Sole: []Sole{
			{"github.com/pebbe/zmq4", "internal/zmqx", "sockets are not safe between threads, and their traps are known in one place"},
			{"github.com/NVIDIA/go-nvml", "worker/probe", "the library is loaded at run time and may be missing; one place knows what to do then"},
			{"github.com/prometheus/client_golang", "broker/admin", "what is measured is collected in one place, in a registry of the broker's own"},
			{"github.com/cockroachdb/pebble", "broker/store", "what a crash leaves on the disk must be understood in one place"},
		},
	}
}

// WeftPurity returns what the pure packages of weft may not do.
func WeftPurity() Purity {
	const (
		clock  = "the clock is not an argument: take the time from the caller, so that a simulation can"
		chance = "chance is not an argument: take a seeded source from the caller, so that a run can be repeated"
		out    = "it does input or output: that is the shell's work"
		locks  = "a core belongs to one goroutine, and has nothing to lock"
		order  = "its order is random, and equal inputs must give equal outputs; sort it, or use internal/ordered"
	)
	return Purity{
		Imports: map[string]string{
			"C":             "pure packages build without cgo, for every platform",
			"context":       "its end comes from another goroutine or a clock: time-outs and cancellations are events",
			"crypto/rand":   chance,
			"hash/maphash":  chance,
			"io/ioutil":     out,
			"log":           "a core says what happened by notes in its batch; the shell writes them",
			"log/slog":      "a core says what happened by notes in its batch; the shell writes them",
			"net":           out,
			"net/...":       out,
			"os":            out,
			"os/...":        out,
			"plugin":        out,
			"runtime/...":   "what it does or says depends on the machine and the moment",
			"sync":          locks,
			"sync/...":      locks,
			"syscall":       out,
			"syscall/...":   out,
			"testing":       "it belongs in tests",
			"testing/...":   "it belongs in tests",
			"text/template": "it reads values by reflection, maps in what order they come; write the text out",
		},
		Except: []string{"net/netip", "net/url"},
		Names: map[string]string{
			"time.Now": clock, "time.Since": clock, "time.Until": clock, "time.Sleep": clock,
			"time.After": clock, "time.AfterFunc": clock, "time.Tick": clock,
			"time.NewTimer": clock, "time.NewTicker": clock,
			"time.LoadLocation": out,
			"maps.Keys":         order, "maps.Values": order, "maps.All": order,
			"(reflect.Value).MapKeys": order, "(reflect.Value).MapRange": order,
			"fmt.Print": out, "fmt.Printf": out, "fmt.Println": out,
			"fmt.Scan": out, "fmt.Scanf": out, "fmt.Scanln": out,
		},
		Outside: map[string][]string{
			// Encodes and decodes bytes in memory; sorts map keys where the protocol asks it to.
			"protocol": {"github.com/vmihailenco/msgpack/v5"},
		},
	}
}

// WeftHouse returns the limits that every package of weft keeps.
func WeftHouse() House {
	return House{
		MaxLines:   600,
		Long:       map[string]string{},
		MaxMethods: 30, MaxInterface: 8, MaxFunction: 120,
		Big:      map[string]string{},
		Sleepers: map[string]string{},
		Vague:    []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"},
	}
}
