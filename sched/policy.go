package sched

import (
	"fmt"

	"github.com/weft-fabric/weft/sched/resource"
)

// policy is how a leaf orders its services, and what it lets a user have. All of them go by submission among equals, and
// none blocks: what cannot be placed lets the next one try.
type policy interface {
	// standing is the first thing that orders services, the lowest first.
	standing(s *service, total *resource.Vector) float64
	// allows says whether a user may have one more container of the leaf.
	allows(l *leaf, ask *resource.Vector, u *user) bool
	// byHolding says whether the standing of a service changes with what it holds.
	byHolding() bool
	// byUser says whether what users may have depends on what others have and want.
	byUser() bool
}

// The names of the policies.
const (
	PolicyFIFO     = "fifo"
	PolicyCapacity = "capacity"
	PolicyFair     = "fair"
)

// Policies lists the names of the policies, the default first.
func Policies() []string { return []string{PolicyFIFO, PolicyCapacity, PolicyFair} }

// policyOf finds a policy by its name; "" is the default.
func policyOf(name string) policy {
	switch name {
	case PolicyFIFO, "":
		return fifoPolicy{}
	case PolicyCapacity:
		return capacityPolicy{}
	case PolicyFair:
		return fairPolicy{}
	default:
		panic(fmt.Sprintf("sched: policy %q was not checked", name))
	}
}
