package scenario

import "github.com/weft-fabric/weft/sched/resource"

// Output is what a scenario prints: an entry for each step that asks for one, in their order. Each is a [*Schedule], a
// [*Preempt] or a [*State].
type Output struct {
	Steps []any `json:"steps"`
}

// Schedule is what a schedule step placed, and what it tried and could not place.
type Schedule struct {
	Op         string      `json:"op"`
	Placements []Placement `json:"placements"` // in order of decision
	Unplaced   []Unplaced  `json:"unplaced"`   // in order of submission
}

// Placement is one container that was placed.
type Placement struct {
	Service string `json:"service"`
	Request string `json:"request"`
	Queue   string `json:"queue"`
	Node    string `json:"node"`
}

// Unplaced is a request that was tried and blocked, and still wants so many containers.
type Unplaced struct {
	Service string `json:"service"`
	Request string `json:"request"`
	Count   int    `json:"count"`
	Reason  string `json:"reason"`
}

// Preempt is what leaves would have to give back now. Leaves and dimensions of which that is nothing are left out.
type Preempt struct {
	Op       string                        `json:"op"`
	GiveBack map[string]map[string]float64 `json:"give_back"`
}

// State is how everything stands. The vectors have all dimensions.
type State struct {
	Op              string                        `json:"op"`
	Running         map[string]int                `json:"running"`  // containers by service
	OnNodes         map[string][]string           `json:"on_nodes"` // by service, a node for each container, the oldest first
	QueueUsed       map[string]map[string]int64   `json:"queue_used"`
	QueueGuaranteed map[string]map[string]float64 `json:"queue_guaranteed"`
	QueueRatio      map[string]float64            `json:"queue_ratio"`
	NodeFree        map[string]map[string]int64   `json:"node_free"`
	Wanted          map[string]int                `json:"wanted"` // containers by service
}

// amountsOf writes a vector by the names of its dimensions.
func amountsOf(space resource.Space, v resource.Vector) map[string]int64 {
	m := make(map[string]int64, space.Len())
	for d := range resource.Dimension(space.Len()) {
		m[space.Name(d)] = v[d]
	}
	return m
}

// partsOf is [amountsOf] for amounts that may be fractions.
func partsOf(space resource.Space, v []float64) map[string]float64 {
	m := make(map[string]float64, space.Len())
	for d := range resource.Dimension(space.Len()) {
		m[space.Name(d)] = tidy(v[d])
	}
	return m
}
