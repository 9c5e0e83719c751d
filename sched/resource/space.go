package resource

import (
	"fmt"
	"slices"
	"strings"
)

// MaxDimensions is how many dimensions a [Space] may have.
const MaxDimensions = 16

// Space says which dimensions vectors have: the standard ones, which are formatted in their units, and whatever a
// fabric or a scenario adds to them or has instead. It is a value: what is added makes a new one.
type Space struct {
	names []string
	plain bool // amounts are bare numbers: the names may be those of standard dimensions, the units are somebody else's
}

// Standard has the five dimensions that every node has, at the indexes of their constants.
func Standard() Space {
	var s Space
	for d := range Dimension(Dimensions) {
		s.names = append(s.names, d.String())
	}
	return s
}

// NewSpace has the named dimensions in that order; amounts are whole numbers in units of the caller's own. An error
// says which name is doubled or empty, or that there are too many.
func NewSpace(names ...string) (Space, error) {
	s := Space{plain: true}
	for i, name := range names {
		next, _, err := s.With(name)
		if err != nil {
			return Space{}, fmt.Errorf("[%d]: %w", i, err)
		}
		s = next
	}
	return s, nil
}

// With returns the space with one more dimension, and that.
func (s Space) With(name string) (Space, Dimension, error) {
	switch {
	case name == "":
		return s, 0, fmt.Errorf("a dimension has a name")
	case slices.Contains(s.names, name):
		return s, 0, fmt.Errorf("%q is named twice", name)
	case len(s.names) == MaxDimensions:
		return s, 0, fmt.Errorf("%q is one dimension too many: there may be %d", name, MaxDimensions)
	}
	s.names = append(slices.Clip(s.names), name)
	return s, Dimension(len(s.names) - 1), nil
}

// Len is how many dimensions there are; their indexes are below it.
func (s Space) Len() int { return len(s.names) }

// Names lists the dimensions in their order.
func (s Space) Names() []string { return slices.Clone(s.names) }

// Name gives a dimension's name.
func (s Space) Name(d Dimension) string {
	if int(d) < len(s.names) {
		return s.names[d]
	}
	return d.String()
}

// Dimension finds a dimension by its name.
func (s Space) Dimension(name string) (Dimension, bool) {
	i := slices.Index(s.names, name)
	return Dimension(max(i, 0)), i >= 0
}

// Format writes an amount for people.
func (s Space) Format(d Dimension, n int64) string {
	if s.plain {
		return fmt.Sprint(n)
	}
	return d.Format(n)
}

// Words gives what is not nothing of a vector, as "cpu 1.5, memory 64 MiB", or "nothing".
func (s Space) Words(v Vector) string {
	var parts []string
	for d, n := range v {
		if n != 0 {
			parts = append(parts, s.Name(Dimension(d))+" "+s.Format(Dimension(d), n))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
