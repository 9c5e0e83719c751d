package sched

import "fmt"

// Score says which of the nodes with room for a container is the best one for it. Amounts are normalised by the largest
// capacity of any node in their dimension; ties go to the node that was defined first.
type Score uint8

// The scores.
const (
	// BestFit takes the node that has least free in all afterwards, so that large containers find room elsewhere.
	BestFit Score = iota + 1
	// Alignment takes the node whose free amounts have the largest dot product with what is asked for (Panigrahy et al.,
	// "Heuristics for vector bin packing", 2011): it wastes least of the scarce dimensions, such as GPUs.
	Alignment
	// Spreading takes the node that has most free in all, so that a lost node takes little with it.
	Spreading
)

// String names the score as configurations do.
func (s Score) String() string {
	switch s {
	case BestFit:
		return "best-fit"
	case Alignment:
		return "alignment"
	case Spreading:
		return "spreading"
	default:
		return fmt.Sprintf("score %d", uint8(s))
	}
}

// ParseScore finds a score by its name; none is the default.
func ParseScore(name string) (Score, error) {
	if name == "" {
		return 0, nil
	}
	for s := BestFit; s <= Spreading; s++ {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%q is no score: best-fit, alignment and spreading are", name)
}

// Scores are those in use. The zero value stands for [Alignment] with GPUs and [BestFit] otherwise.
type Scores struct {
	GPU   Score // for requests with GPUs
	Other Score
}

func (s Scores) of(k *class) Score {
	switch {
	case k.gpu && s.GPU != 0:
		return s.GPU
	case k.gpu:
		return Alignment
	case s.Other != 0:
		return s.Other
	default:
		return BestFit
	}
}
