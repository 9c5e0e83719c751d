package sched

import "github.com/weft-fabric/weft/sched/resource"

// fifoPolicy gives to the service that was submitted first.
type fifoPolicy struct{}

func (fifoPolicy) standing(*service, *resource.Vector) float64 { return 0 }
func (fifoPolicy) allows(*leaf, *resource.Vector, *user) bool  { return true }
func (fifoPolicy) byHolding() bool                             { return false }
func (fifoPolicy) byUser() bool                                { return false }
