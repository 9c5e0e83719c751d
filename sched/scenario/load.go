package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/sched/resource"
)

// Load says how large a scenario [Load.Document] makes. The zero value is none; begin with [DefaultLoad].
type Load struct {
	Nodes    int    // of the cluster
	Queues   int    // leaves, in three levels below the root
	Requests int    // container requests, of 1 to 8 containers each
	Dims     int    // dimensions of the vectors
	Seed     uint64 // equal ones make equal scenarios
	Shapes   int    // distinct vectors that requests ask for; 0: each request has one of its own

	Use     float64 // what all requests take together, as a part of what the cluster has of the scarcest dimension
	Blocked float64 // part of the leaves whose maximum is below what they ask for, and below what they are entitled to
	Unit    bool    // every request is one container, and all are alike and may run anywhere; priorities and users are none
}

// DefaultLoad is what is made when nothing else is said: everything fits.
func DefaultLoad() Load {
	return Load{Nodes: 1000, Queues: 100, Requests: 10_000, Dims: 5, Seed: 1, Shapes: 64, Use: 0.7}
}

// ParseLoad reads "nodes=1000,queues=100,requests=10000,dims=5,seed=1"; what is left out is as in [DefaultLoad]. The
// other keys are shapes, use, blocked and unit. An error names the key, and what would be right.
func ParseLoad(text string) (Load, error) {
	l := DefaultLoad()
	var given []string
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return Load{}, fmt.Errorf("%q: want key=value, separated by commas, such as nodes=1000,queues=100", part)
		}
		if slices.Contains(given, key) {
			return Load{}, fmt.Errorf("%s is given twice", key)
		}
		given = append(given, key)
		if err := l.set(key, value); err != nil {
			return Load{}, err
		}
	}
	return l, l.Validate()
}

// String writes the load as [ParseLoad] reads it.
func (l Load) String() string {
	return fmt.Sprintf("nodes=%d,queues=%d,requests=%d,dims=%d,seed=%d,shapes=%d,use=%v,blocked=%v,unit=%t",
		l.Nodes, l.Queues, l.Requests, l.Dims, l.Seed, l.Shapes, l.Use, l.Blocked, l.Unit)
}

// set changes what a key says.
func (l *Load) set(key, value string) error {
	numbers := map[string]*int{
		"nodes": &l.Nodes, "queues": &l.Queues, "requests": &l.Requests, "dims": &l.Dims, "shapes": &l.Shapes,
	}
	fractions := map[string]*float64{"use": &l.Use, "blocked": &l.Blocked}
	var err error
	want := "a whole number"
	switch {
	case numbers[key] != nil:
		*numbers[key], err = strconv.Atoi(value)
	case fractions[key] != nil:
		*fractions[key], err = strconv.ParseFloat(value, 64)
		want = "a number, such as 0.7"
	case key == "seed":
		l.Seed, err = strconv.ParseUint(value, 10, 64)
		want = "a whole number, not negative"
	case key == "unit":
		l.Unit, err = strconv.ParseBool(value)
		want = "true or false"
	default:
		keys := []string{"nodes", "queues", "requests", "dims", "seed", "shapes", "use", "blocked", "unit"}
		if close, ok := nearest.Of(key, keys); ok {
			return fmt.Errorf("unknown key %q; did you mean %q?", key, close)
		}
		return fmt.Errorf("unknown key %q; there are %s", key, strings.Join(keys, ", "))
	}
	if err != nil {
		return fmt.Errorf("%s: %q is not %s", key, value, want)
	}
	return nil
}

// Validate says which value is out of all reason, and between which it may be.
func (l Load) Validate() error {
	for _, c := range []struct {
		key         string
		value       int
		least, most int
	}{
		{"nodes", l.Nodes, 1, 1_000_000},
		{"queues", l.Queues, 1, 100_000},
		{"requests", l.Requests, 1, 10_000_000},
		{"dims", l.Dims, 1, resource.MaxDimensions},
		{"shapes", l.Shapes, 0, 1_000_000},
	} {
		if c.value < c.least || c.value > c.most {
			return fmt.Errorf("%s: %d is not within %d to %d", c.key, c.value, c.least, c.most)
		}
	}
	if !(l.Use >= 0.001 && l.Use <= 1000) {
		return fmt.Errorf("use: %v is not within 0.001 to 1000", l.Use)
	}
	if !(l.Blocked >= 0 && l.Blocked <= 1) {
		return fmt.Errorf("blocked: %v is not within 0 to 1", l.Blocked)
	}
	return nil
}
