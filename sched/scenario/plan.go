package scenario

import (
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// Plan is what a document submits, in the scheduler's own terms, for those who make the decisions themselves.
type Plan struct {
	Space    resource.Space
	Nodes    []sched.Node
	Queues   []sched.Queue
	Services []PlannedService
}

// PlannedService is a service with its requests.
type PlannedService struct {
	sched.Service
	Requests []PlannedRequest
}

// PlannedRequest is a request and how many containers it wants. Its ID ends with that of the document.
type PlannedRequest struct {
	sched.Request
	Count int
}

// Plan gives the cluster, the queues and what the submit steps say, and leaves all other steps out. The error is [Faults]
// where the document is not right.
func (d *Document) Plan() (*Plan, error) {
	p, faults := compile(d, nil)
	if len(faults) > 0 {
		return nil, faults
	}
	plan := &Plan{Space: p.space, Nodes: p.nodes, Queues: p.queues}
	for _, in := range p.steps {
		if in.Op != opSubmit {
			continue
		}
		v := PlannedService{Service: sched.Service{Name: in.Service, Queue: in.Queue, Weight: in.Weight, User: in.User}}
		for _, a := range in.asks {
			v.Requests = append(v.Requests, PlannedRequest{a.request, a.count})
		}
		plan.Services = append(plan.Services, v)
	}
	return plan, nil
}
