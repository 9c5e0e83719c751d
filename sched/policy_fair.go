package sched

import "github.com/weft-fabric/weft/sched/resource"

// fairPolicy gives to the service that holds least: by its dominant share of the cluster over its weight (Ghodsi et al.,
// "Dominant Resource Fairness", NSDI 2011).
type fairPolicy struct{}

func (fairPolicy) standing(s *service, total *resource.Vector) float64 {
	return even(s.used.Share(*total) / s.weight)
}

func (fairPolicy) allows(*leaf, *resource.Vector, *user) bool { return true }
func (fairPolicy) byHolding() bool                            { return true }
func (fairPolicy) byUser() bool                               { return false }
