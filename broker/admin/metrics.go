package admin

import (
	"context"
	"log"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// sampleTime is how long a scrape waits for the control loop.
	sampleTime = 2 * time.Second
	// sampleEvery is how old a sample may be for a scrape: however often it is asked, the control loop counts no more often.
	sampleEvery = time.Second
	// maxScrapes is how many may be made at once.
	maxScrapes = 4
)

// metrics is the broker's own registry. What it has is bounded by the number of nodes, of queues and of loops: nothing is told by
// session, by task or by service, of which there may be any number.
type metrics struct {
	registry *prometheus.Registry
	turns    prometheus.Histogram // of the control loop
	logger   *log.Logger
}

func newMetrics(cfg Config) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), logger: log.New(cfg.Logger, "", 0)}
	m.turns = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "weft_control_loop_turn_seconds", Help: "How long the control loop was at work in one turn.",
		Buckets: prometheus.ExponentialBuckets(16e-6, 4, 10),
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "weft_build_info", Help: "What this broker was built from; always 1.",
		ConstLabels: prometheus.Labels{
			"version": cfg.Build.Version, "commit": cfg.Build.Commit, "go": cfg.Build.Go, "libzmq": cfg.Build.Libzmq, "platform": cfg.Build.Platform,
		},
	})
	build.Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.turns, &collector{broker: cfg.Broker, began: time.Now()})
	return m
}

// handler serves the metrics in the forms that Prometheus reads.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: m.logger, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes,
	})
}

// What is told of the broker as a whole, whether the control loop answers or not.
var (
	descUptime = desc("uptime_seconds", "How long this broker has run.")
	descUp     = desc("control_loop_up", "Whether the control loop answered this scrape, 1 or 0; without its answer all is missing that it counts.")
	descBusy   = desc("loop_busy_seconds_total", "How long a loop of the broker was at work.", "loop")
	descHeld   = desc("memory_held_bytes", "What all manager loops hold: payloads of unfinished tasks, results that wait, what peers have not acknowledged.")
	descLimit  = desc("memory_limit_bytes", "What all manager loops may hold; tasks are refused from 90 % of it on.")
)

// What the control loop counts.
var (
	descNodes      = desc("nodes", "Compute nodes by their state.", "state")
	descCordoned   = desc("nodes_cordoned", "Of the compute nodes that are ready, those that take no new containers.")
	descCapacity   = desc("node_capacity", "What containers may use of a compute node that is ready.", "node", "dimension", "unit")
	descUsed       = desc("node_used", "What containers were given of a compute node that is ready.", "node", "dimension", "unit")
	descQueueUsed  = desc("queue_used", "What the containers in a queue, and below it, were given.", "queue", "dimension", "unit")
	descQueueLeast = desc("queue_guaranteed", "What is guaranteed to a queue.", "queue", "dimension", "unit")
	descQueueMost  = desc("queue_max", "What a queue may have at most, in the dimensions in which it is limited.", "queue", "dimension", "unit")
	descRunning    = desc("queue_running_containers", "Containers in a queue, and below it.", "queue")
	descPending    = desc("queue_pending_containers", "Containers that are wanted in a queue, or below it, and are not there.", "queue")
	descContainers = desc("containers", "Containers, and instances that were started by hand, by their state.", "state")
	descSessions   = desc("sessions", "Open sessions by their state.", "state")
	descOpened     = desc("sessions_opened_total", "Sessions that were opened.")
	descServices   = desc("services", "Registered services, each version counted.")
	descSubmitted  = desc("tasks_submitted_total", "Tasks that were accepted.")
	descFinished   = desc("tasks_finished_total", "Tasks that have a result.")
	descFailed     = desc("tasks_failed_total", "Tasks that ended without a result, those that were cancelled or given up included.")
	descCancelled  = desc("tasks_cancelled_total", "Of the failed tasks, those that were cancelled or whose deadline passed.")
	descDead       = desc("tasks_dead_total", "Of the failed tasks, those that were given up after their attempts and put into the dead-letter list.")
	descRetries    = desc("task_retries_total", "Attempts that were not the first of their task.")
	descUnfinished = desc("tasks_unfinished", "Tasks that wait or are at instances.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("weft_"+name, help, labels, nil)
}

// collector asks the broker when it is scraped.
type collector struct {
	broker Broker
	began  time.Time

	mu    sync.Mutex
	taken time.Time
	last  *sample
}

// Describe tells of every metric.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUptime, descUp, descBusy, descHeld, descLimit, descNodes, descCordoned, descCapacity, descUsed, descQueueUsed, descQueueLeast,
		descQueueMost, descRunning, descPending, descContainers, descSessions, descOpened, descServices, descSubmitted, descFinished, descFailed, descCancelled, descDead, descRetries, descUnfinished,
	} {
		to <- d
	}
}

// Collect gives every metric there is now.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := gauge(func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	})
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descUptime, time.Since(c.began).Seconds())
	for _, l := range c.broker.Loops() {
		counter(descBusy, l.Busy.Seconds(), l.Name)
	}
	held, limit := c.broker.Memory()
	gauge(descHeld, float64(held))
	gauge(descLimit, float64(limit))
	sample := c.sampled()
	if sample == nil {
		gauge(descUp, 0)
		return
	}
	gauge(descUp, 1)
	ofQueues(gauge, sample.queues)
	s := sample.census
	for d, counts := range map[*prometheus.Desc][]control.Count{descNodes: s.NodeStates, descContainers: s.Containers, descSessions: s.Sessions} {
		for _, n := range counts {
			gauge(d, float64(n.N), n.State)
		}
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Up {
			used := amountsOf(&n.Used)
			for dimension, amount := range amountsOf(&n.Capacity) {
				if amount > 0 {
					unit, has := base(dimension, float64(amount))
					_, given := base(dimension, float64(used[dimension]))
					gauge(descCapacity, has, n.Name, dimension, unit)
					gauge(descUsed, given, n.Name, dimension, unit)
				}
			}
		}
	}
	gauge(descCordoned, float64(s.Cordoned))
	gauge(descServices, float64(s.Services))
	gauge(descUnfinished, float64(s.Tasks.Unfinished))
	counter(descOpened, float64(s.Opened))
	counter(descSubmitted, float64(s.Tasks.Submitted))
	counter(descFinished, float64(s.Tasks.Done))
	counter(descFailed, float64(s.Tasks.Failed))
	counter(descCancelled, float64(s.Tasks.Cancelled))
	counter(descDead, float64(s.Tasks.Dead))
	counter(descRetries, float64(s.Tasks.Retried))
}

// gauge takes a value.
type gauge func(d *prometheus.Desc, v float64, labels ...string)

// ofQueues gives the metrics of queues.
func ofQueues(gauge gauge, queues []protocol.QueueInfo) {
	for i := range queues {
		q := &queues[i]
		ofDimensions(gauge, descQueueUsed, q.Used, q.Queue.Name)
		ofDimensions(gauge, descQueueLeast, q.Guaranteed, q.Queue.Name)
		ofDimensions(gauge, descQueueMost, q.Max, q.Queue.Name)
		gauge(descRunning, float64(q.Running), q.Queue.Name)
		gauge(descPending, float64(q.Pending), q.Queue.Name)
	}
}

// base gives an amount of a dimension in its base unit, and that.
func base(dimension string, amount float64) (unit string, in float64) {
	switch dimension {
	case "cpu": // said in millicores
		return "cores", amount / 1000
	case "gpu":
		return "devices", amount
	case "memory":
		return "bytes", amount
	case "network", "disk_io":
		return "bytes_per_second", amount
	default:
		return "", amount
	}
}

// amountsOf gives all amounts of a capacity by dimension.
func amountsOf(c *protocol.Capacity) protocol.Amounts {
	all := protocol.Amounts{"cpu": c.CPU, "gpu": c.GPU, "memory": c.Memory, "network": c.Network, "disk_io": c.DiskIO}
	maps.Copy(all, c.Further)
	return all
}

// ofDimensions gives the metric of each dimension.
func ofDimensions[N int64 | float64](gauge gauge, d *prometheus.Desc, amounts map[string]N, name string) {
	for dimension, amount := range amounts {
		unit, in := base(dimension, float64(amount))
		gauge(d, in, name, dimension, unit)
	}
}

// sample is what the control loop has told.
type sample struct {
	census *control.Census
	queues []protocol.QueueInfo
}

// sampled gives a sample that is no older than sampleEvery; nil when the control loop does not answer.
func (c *collector) sampled() *sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && time.Since(c.taken) < sampleEvery {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), sampleTime)
	defer cancel()
	s, err := c.take(ctx)
	if err != nil {
		c.last = nil
		return nil
	}
	c.last, c.taken = s, time.Now()
	return s
}

// take asks the control loop. The error is that it does not answer; queues that it refuses to tell of are missing.
func (c *collector) take(ctx context.Context) (*sample, error) {
	census, err := c.broker.Census(ctx)
	if err != nil {
		return nil, err
	}
	s := &sample{census: census}
	for after := ""; ; {
		answer, err := command(ctx, c.broker, protocol.KindListQueues, protocol.Marshal(protocol.ListRequest{After: after}))
		page, ok := answer.(*protocol.QueuePage)
		if err != nil || !ok {
			return s, ctx.Err()
		}
		s.queues = append(s.queues, page.Entries...)
		if !page.More || len(page.Entries) == 0 {
			return s, nil
		}
		after = page.Entries[len(page.Entries)-1].Queue.Name
	}
}
