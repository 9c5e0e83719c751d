package protocol

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Capacity is a vector of resources. Compare two by [Capacity.Equal].
type Capacity struct {
	CPU     int64 `json:"cpu,omitempty"`     // millicores
	GPU     int64 `json:"gpu,omitempty"`     // devices
	Memory  int64 `json:"memory,omitempty"`  // bytes
	Network int64 `json:"network,omitempty"` // bytes/s
	DiskIO  int64 `json:"disk_io,omitempty"` // bytes/s
	// Further are amounts of dimensions that a fabric has beside these, by name, each in a unit of its own.
	Further Amounts `json:"further,omitempty"`
}

// Dimensions names the amounts of a [Capacity] that are not further ones.
func Dimensions() []string { return []string{"cpu", "gpu", "memory", "network", "disk_io"} }

const (
	// MaxFurther is how many further dimensions a fabric may have.
	MaxFurther = 11
	// MaxAmount is the most of one dimension that a node may have or a container may need.
	MaxAmount = 1 << 50
)

// amounts gives those of the dimensions that [Dimensions] names.
func (c *Capacity) amounts() [5]int64 { return [...]int64{c.CPU, c.GPU, c.Memory, c.Network, c.DiskIO} }

// Equal says whether both are the same amounts; one that is left out is 0.
func (c Capacity) Equal(d Capacity) bool { return c.Plus(d, -1).IsZero() }

// IsZero says whether it is nothing at all.
func (c Capacity) IsZero() bool {
	for _, n := range c.Further { // order does not matter: one that is not 0 is enough
		if n != 0 {
			return false
		}
	}
	return c.amounts() == [5]int64{}
}

// Plus gives c and times d.
func (c Capacity) Plus(d Capacity, times int64) Capacity {
	c.CPU += times * d.CPU
	c.GPU += times * d.GPU
	c.Memory += times * d.Memory
	c.Network += times * d.Network
	c.DiskIO += times * d.DiskIO
	if len(d.Further) == 0 {
		return c
	}
	if c.Further = maps.Clone(c.Further); c.Further == nil {
		c.Further = make(Amounts, len(d.Further))
	}
	for name, n := range d.Further { // order does not matter: sums
		c.Further[name] += times * n
	}
	return c
}

// Check says what is wrong with the amounts; the error begins with the dimension.
func (c Capacity) Check() error {
	within := func(name string, n int64) error {
		if n < 0 || n > MaxAmount {
			return fmt.Errorf("%s: %d is not within 0 to %d", name, n, MaxAmount)
		}
		return nil
	}
	for i, n := range c.amounts() {
		if err := within(Dimensions()[i], n); err != nil {
			return err
		}
	}
	if len(c.Further) > MaxFurther {
		return fmt.Errorf("%d dimensions beside %v; a fabric may have %d", len(c.Further), Dimensions(), MaxFurther)
	}
	for _, name := range sortedKeys(c.Further) {
		switch {
		case slices.Contains(Dimensions(), name):
			return fmt.Errorf("further.%s: it is no further dimension; there is %s itself", name, name)
		case !ValidName(name):
			return fmt.Errorf("further: %q is not a name for a dimension: 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", name)
		}
		if err := within(name, c.Further[name]); err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON writes all amounts beside each other, as people write them.
func (c Capacity) MarshalJSON() ([]byte, error) {
	type named Capacity // without this method
	text, err := json.Marshal(named{CPU: c.CPU, GPU: c.GPU, Memory: c.Memory, Network: c.Network, DiskIO: c.DiskIO})
	if err != nil || len(c.Further) == 0 {
		return text, err
	}
	more, err := json.Marshal(c.Further)
	if err != nil || len(text) == len("{}") {
		return more, err
	}
	return append(append(text[:len(text)-1], ','), more[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Capacity) UnmarshalJSON(text []byte) error {
	all := Amounts{}
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("capacity: %w", err)
	}
	*c = Capacity{}
	for i, at := range []*int64{&c.CPU, &c.GPU, &c.Memory, &c.Network, &c.DiskIO} {
		*at = all[Dimensions()[i]]
		delete(all, Dimensions()[i])
	}
	if len(all) > 0 {
		c.Further = all
	}
	return nil
}

// ContainerRequest says what one container of the service needs and where it may run. Its count is the
// service's Instances.
type ContainerRequest struct {
	Capacity Capacity `json:"capacity,omitzero"`   // of each container
	Shape    string   `json:"shape,omitempty"`     // in place of capacity: the name of a shape; the broker fills in capacity
	Multiple int      `json:"multiple,omitempty"`  // of the shape; 0: 1
	Priority int      `json:"priority,omitempty"`  // among the requests of its service, the higher comes first
	Node     string   `json:"node,omitempty"`      // name of the only node that may do
	Rack     string   `json:"rack,omitempty"`      // name of the only rack that may do
	Relax    bool     `json:"relax,omitempty"`     // node or rack is what it prefers: where it finds no room there, another place may do
	NodeType string   `json:"node_type,omitempty"` // cpu or gpu; a node with GPUs does for cpu when no other has room
	Nodes    int      `json:"nodes,omitempty"`     // least number of distinct nodes
}

// MaxContainerPriority bounds the priority of a request for containers in both directions.
const MaxContainerPriority = 1_000_000

// Check says what is wrong with the request in itself; the error begins with the field.
func (r ContainerRequest) Check() error {
	if err := r.Capacity.Check(); err != nil {
		return fmt.Errorf("capacity.%w", err)
	}
	switch {
	case r.Shape != "" && !ValidName(r.Shape):
		return fmt.Errorf("shape: %q is not the name of a shape", r.Shape)
	case r.Multiple < 0 || r.Multiple > MaxMultiple:
		return fmt.Errorf("multiple: %d is not within 1 to %d", r.Multiple, MaxMultiple)
	case r.Multiple > 0 && r.Shape == "":
		return fmt.Errorf("multiple: %d of no shape: shape is left out", r.Multiple)
	case r.Priority < -MaxContainerPriority || r.Priority > MaxContainerPriority:
		return fmt.Errorf("priority: %d is not within -%d to %d", r.Priority, MaxContainerPriority, MaxContainerPriority)
	case r.Node != "" && !ValidName(r.Node):
		return fmt.Errorf("node: %q is not the name of a node", r.Node)
	case r.Node != "" && r.Rack != "":
		return fmt.Errorf("rack: %q is named beside node %q; name one of them", r.Rack, r.Node)
	case len(r.Rack) > MaxLabel:
		return fmt.Errorf("rack: a name of %d bytes, at most %d are allowed", len(r.Rack), MaxLabel)
	case r.Relax && r.Node == "" && r.Rack == "":
		return fmt.Errorf("relax: there is neither a node nor a rack that it prefers")
	case r.NodeType != "" && r.NodeType != NodeTypeCPU && r.NodeType != NodeTypeGPU:
		return fmt.Errorf("node_type: %q is neither %s nor %s", r.NodeType, NodeTypeCPU, NodeTypeGPU)
	case r.Nodes < 0:
		return fmt.Errorf("nodes: %d is negative", r.Nodes)
	}
	return nil
}

// Request gives what a session asks of its containers beyond what its service says.
func (o *OpenSession) Request() ContainerRequest {
	return ContainerRequest{Priority: o.Priority, Node: o.Node, Rack: o.Rack, Relax: o.Relax, NodeType: o.NodeType, Nodes: o.Nodes}
}
