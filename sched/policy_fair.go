package sched

import "github.com/weft-fabric/weft/sched/resource"

// fairPolicy gives to the service that holds least: by its dominant share of the cluster over its weight (Ghodsi et al.,
// "Dominant Resource Fairness", NSDI 2011).
type fairPolicy struct{}

func (fairPolicy) standing(s *service, total *resource.Vector) float64 {
	most, share := s.used.Share(*total), 0.0
	for d, used := range s.used {
		if used > 0 && total[d] > 0 && float64(used)/float64(total[d]) > most*near {
			share = max(share, double{hi: float64(used)}.over(s.weight.scaled(float64(total[d]))).hi)
		}
	}
	return share
}

func (fairPolicy) allows(*leaf, *resource.Vector, *user) bool { return true }
func (fairPolicy) byHolding() bool                            { return true }
func (fairPolicy) byUser() bool                               { return false }
