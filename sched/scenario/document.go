// Package scenario has what-if scenarios of the scheduler: their document, as it is written in JSON, and a generator of
// large ones. [Decode] reads a document strictly, and [Run] has the scheduler do its steps, the same scheduler that the
// broker has. Nothing in it is safe for concurrent use; equal inputs give equal outputs.
//
// docs/scheduling.md has the format. Where one might read it in two ways, it is so:
//
//   - A key that is null is as if it were not there. So are an empty parent, rack, user, node type and architecture, and an
//     empty location. Whole numbers may be written as 2.0 or 2e3. Cluster, steps and the requests of a submit may be left out.
//   - A location may name any node or rack that is in the cluster or comes with a later add_node; an offer and remove_node
//     name a node that is there at that moment. Request ids are a service's own.
//   - A node that says no architecture runs nothing that asks for one.
//   - Containers that are released or finished are not wanted again; those of a node that is removed are. To release or
//     finish a service that has finished is of no effect; to add a request to it is an error.
//   - What decisions leave is tried only as far as the decisions went; without decisions all that is left was tried, in a
//     leaf with reserve the head of the line alone. Reasons are those at the end of the step.
//   - Vectors that are printed have all dimensions, except what is to be given back: that has no zeros, and no leaves
//     without any.
package scenario

import "encoding/json"

// Document is a scenario as its JSON has it: the keys and the order of the lists are those of the text, the amounts are
// whole numbers in units of the scenario's own. It is what somebody wrote, not yet what has been found right.
type Document struct {
	Resources []string `json:"resources"`       // names of the dimensions
	Ratio     string   `json:"ratio,omitempty"` // "dominant", which is what "" means, or the name of a dimension
	Cluster   []Node   `json:"cluster"`
	Queues    []Queue  `json:"queues"`
	Steps     []Step   `json:"steps"`
}

// Amounts is a vector by the names of the dimensions; those left out are 0. It is not to be changed: equal vectors may
// be one map.
type Amounts map[string]int64

// Node is a node of the cluster.
type Node struct {
	Node string  `json:"node"`
	Rack string  `json:"rack,omitempty"`
	Type string  `json:"type,omitempty"` // cpu, gpu or ""
	Arch string  `json:"arch,omitempty"`
	Cap  Amounts `json:"cap"`
}

// Queue is a queue of the tree. A percentage is text, because it counts as the decimal that it was written as; "" is none.
type Queue struct {
	Name         string      `json:"name"`
	Parent       string      `json:"parent,omitempty"` // "": it is the root
	CapacityPct  json.Number `json:"capacity_pct,omitempty"`
	Weight       *float64    `json:"weight,omitempty"`
	Min          Amounts     `json:"min,omitempty"`
	MaxPct       json.Number `json:"max_pct,omitempty"`
	Max          Amounts     `json:"max,omitempty"`
	Priority     int         `json:"priority,omitempty"`
	Policy       string      `json:"policy,omitempty"`
	UserLimitPct json.Number `json:"user_limit_pct,omitempty"`
	Reserve      bool        `json:"reserve,omitempty"`
}

// Location is where a request wants its containers: on a node or in a rack.
type Location struct {
	Node string `json:"node,omitempty"`
	Rack string `json:"rack,omitempty"`
}

// Request is a container request of a service.
type Request struct {
	ID       string    `json:"id"`
	Count    int       `json:"count"`
	Cap      Amounts   `json:"cap"`
	Priority int       `json:"priority,omitempty"`
	Location *Location `json:"location,omitempty"`
	Relax    bool      `json:"relax,omitempty"` // the location is a preference
	NodeType string    `json:"node_type,omitempty"`
	Arch     string    `json:"arch,omitempty"`
	Nodes    int       `json:"nodes,omitempty"` // least number of distinct nodes; 0 is as 1
}

// Step is one thing that is done, with the keys of its op; all others are as if they were not there.
type Step struct {
	Op string `json:"op"`

	// submit, add_request, release and finish
	Service  string    `json:"service,omitempty"`
	Queue    string    `json:"queue,omitempty"`
	Weight   float64   `json:"weight,omitempty"` // 0: 1
	User     string    `json:"user,omitempty"`
	Requests []Request `json:"requests,omitempty"`

	// add_request, whose request's keys are beside its own; count is also how many release gives back
	ID       string    `json:"id,omitempty"`
	Count    int       `json:"count,omitempty"`
	Cap      Amounts   `json:"cap,omitempty"` // of the request, or of the node that add_node brings
	Priority int       `json:"priority,omitempty"`
	Location *Location `json:"location,omitempty"`
	Relax    bool      `json:"relax,omitempty"`
	NodeType string    `json:"node_type,omitempty"`
	Arch     string    `json:"arch,omitempty"` // as cap
	Nodes    int       `json:"nodes,omitempty"`

	// schedule
	Decisions *int   `json:"decisions,omitempty"` // nil: until nothing more can be placed
	Offer     string `json:"offer,omitempty"`     // the only node

	// add_node and remove_node
	Node string `json:"node,omitempty"`
	Rack string `json:"rack,omitempty"`
	Type string `json:"type,omitempty"`
}
