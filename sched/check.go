package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/sched/resource"
)

// Bounds of what is not absurd.
const (
	MaxAmount   = 1 << 53       // of any dimension
	MaxPriority = 1_000_000_000 // and the same below 0
)

// Bounds of weights.
const (
	minWeight = 1e-12
	maxWeight = 1e12
)

// ValidWeight says whether a number can be the weight of a queue or a service: above 0, and not absurd.
func ValidWeight(w float64) bool { return w >= minWeight && w <= maxWeight }

// BadWeight says what is wrong with a number that is no [ValidWeight].
func BadWeight(w float64) string {
	if w > 0 {
		return fmt.Sprintf("%v is absurd: a weight is between %v and %v", w, float64(minWeight), float64(maxWeight))
	}
	return fmt.Sprintf("%v: a weight is above 0", w)
}

// CheckQueues says everything that is wrong with a list of queues, in order of place. What follows from another fault
// alone (a sum that an unknown parent makes wrong) is not said. A list without faults is a tree.
func CheckQueues(space resource.Space, queues []Queue) []Fault {
	c := &checker{space: space, queues: queues, byName: map[string]int{}, parent: make([]int, len(queues)), lost: make([]int, len(queues)), children: make([][]int, len(queues))}
	c.names()
	c.tree()
	for i := range queues {
		c.values(i)
		c.amounts(i)
		c.leaf(i)
		c.siblings(i)
	}
	slices.SortStableFunc(c.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(rankOf(a.Field), rankOf(b.Field)))
	})
	return c.faults
}

// rankOf orders the fields of a queue as they are written.
func rankOf(field string) int {
	return slices.Index([]string{"name", "parent", "capacity_pct", "weight", "min", "max_pct", "max", "priority", "policy", "user_limit_pct", "reserve"}, field)
}

// none stands for no queue.
const none = -1

type checker struct {
	space    resource.Space
	queues   []Queue
	byName   map[string]int // the first of each name
	root     int            // the first without a parent, or none
	parent   []int          // or none
	lost     []int          // whose child a queue with a fault in its place may have been meant to be, or none
	children [][]int
	faults   []Fault
}

func (c *checker) fault(queue int, field, problem string, args ...any) {
	c.faults = append(c.faults, Fault{queue, field, fmt.Sprintf(problem, args...)})
}

func (c *checker) names() {
	for i, q := range c.queues {
		switch first, double := c.byName[q.Name]; {
		case q.Name == "":
			c.fault(i, "name", "missing: a queue has a name")
		case double:
			c.fault(i, "name", "%q is the name of queue number %d of the list too", q.Name, first+1)
		default:
			c.byName[q.Name] = i
		}
	}
}

// tree finds out what is below what.
func (c *checker) tree() {
	c.root = none
	for i, q := range c.queues {
		c.parent[i], c.lost[i] = none, none
		if q.Parent == "" && c.root == none {
			c.root = i
		}
	}
	for i, q := range c.queues {
		p, known := c.byName[q.Parent]
		switch {
		case i == c.root:
		case q.Parent == "":
			c.fault(i, "parent", "missing: exactly one queue has none, and that is %q", c.queues[c.root].Name)
			c.lost[i] = c.root
		case !known:
			hint := "the queues are " + c.list()
			if near, ok := nearest.Of(q.Parent, c.allNames()); ok {
				hint, c.lost[i] = fmt.Sprintf("did you mean %q?", near), c.byName[near]
			}
			c.fault(i, "parent", "there is no queue %q: %s", q.Parent, hint)
		default:
			c.parent[i] = p
			c.children[p] = append(c.children[p], i)
		}
	}
	cyclic := c.cycles()
	switch {
	case len(c.queues) == 0:
		c.fault(none, "", "there is no queue: at least a root is needed")
	case c.root == none && !cyclic:
		c.fault(none, "", "no queue is the root: exactly one has no parent")
	}
	if c.root != none {
		const no = "the root has none: it has the whole cluster"
		if q := c.queues[c.root]; q.Capacity != nil {
			c.fault(c.root, "capacity_pct", no)
		}
		if q := c.queues[c.root]; q.Weight != nil {
			c.fault(c.root, "weight", no)
		}
	}
}

// list names some queues for a message.
func (c *checker) list() string {
	const few = 5
	names := c.allNames()
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

func (c *checker) allNames() []string {
	var names []string
	for i, q := range c.queues {
		if c.byName[q.Name] == i && q.Name != "" {
			names = append(names, q.Name)
		}
	}
	return names
}

// cycles reports every cycle once, at its first queue, and cuts it there so that what goes up ends.
func (c *checker) cycles() bool {
	found := false
	state := make([]int, len(c.queues)) // the walk in which a queue was seen, from 1
	for i := range c.queues {
		at := i
		for at != none && state[at] == 0 {
			state[at] = i + 1
			at = c.parent[at]
		}
		if at == none || state[at] != i+1 {
			continue
		}
		found = true
		first, path := at, []string{}
		for n := c.parent[at]; n != at; n = c.parent[n] {
			first = min(first, n)
		}
		for n := first; len(path) == 0 || n != first; n = c.parent[n] {
			path = append(path, fmt.Sprintf("%q", c.queues[n].Name))
		}
		if len(path) == 1 {
			c.fault(first, "parent", "%s is its own parent", path[0])
		} else {
			c.fault(first, "parent", "a cycle: %s has the parent %s again", strings.Join(path, " has the parent "), path[0])
		}
		c.parent[first] = none
	}
	return found
}

// values checks the numbers and names of one queue that need no other.
func (c *checker) values(i int) {
	q := &c.queues[i]
	for _, p := range []struct {
		field string
		value *Percent
	}{{"capacity_pct", q.Capacity}, {"max_pct", q.MaxPercent}, {"user_limit_pct", q.UserLimit}} {
		if !proper(p.value) {
			c.fault(i, p.field, "%s: a percentage is between 0 and 100", *p.value)
		}
	}
	if w := q.Weight; w != nil && !ValidWeight(*w) {
		c.fault(i, "weight", "%s", BadWeight(*w))
	}
	if q.Capacity != nil && q.Weight != nil && i != c.root {
		c.fault(i, "weight", "capacity_pct is given too: a queue has one of them")
	}
	if q.MaxPercent != nil && q.Max != nil {
		c.fault(i, "max", "max_pct is given too: a queue has one of them")
	}
	if q.MaxPercent != nil && q.Capacity != nil && proper(q.MaxPercent) && proper(q.Capacity) && *q.MaxPercent < *q.Capacity {
		c.fault(i, "max_pct", "%s is below the capacity_pct of %s", q.MaxPercent, q.Capacity)
	}
	if q.Priority > MaxPriority || q.Priority < -MaxPriority {
		c.fault(i, "priority", "%d: a priority is between %d and %d", q.Priority, -MaxPriority, MaxPriority)
	}
}

// proper says whether a percentage is none, or one that can be.
func proper(p *Percent) bool { return p == nil || *p >= 0 && *p <= Hundred }

// amounts checks the vectors of one queue, alone and against those above it.
func (c *checker) amounts(i int) {
	q := &c.queues[i]
	for d := range resource.Dimension(c.space.Len()) {
		name := c.space.Name(d)
		maximum, bounded := c.amount(i, "max", q.Max, d)
		if above, by := c.bound(c.parent[i], d); bounded && by != none && maximum > above {
			c.fault(i, "max", "%s %s is above the max of %q, %s", name, c.space.Format(d, maximum), c.queues[by].Name, c.space.Format(d, above))
		}
		minimum, given := c.amount(i, "min", q.Min, d)
		if above, by := c.bound(i, d); given && by != none && minimum > above {
			whose := "its own max"
			if by != i {
				whose = fmt.Sprintf("the max of %q", c.queues[by].Name)
			}
			c.fault(i, "min", "%s %s is above %s, %s", name, c.space.Format(d, minimum), whose, c.space.Format(d, above))
		}
	}
}

// amount checks one amount of a vector; ok is false where there is none that can be.
func (c *checker) amount(i int, field string, v *resource.Vector, d resource.Dimension) (n int64, ok bool) {
	if v == nil {
		return 0, false
	}
	switch n := v[d]; {
	case n == Unlimited && field == "max":
		return 0, false
	case n < 0:
		c.fault(i, field, "%s %d is negative", c.space.Name(d), n)
		return 0, false
	case n > MaxAmount:
		c.fault(i, field, "%s %d is absurd: at most %d", c.space.Name(d), n, int64(MaxAmount))
		return 0, false
	default:
		return n, true
	}
}

// bound gives the nearest max vector from a queue upwards, and whose it is.
func (c *checker) bound(i int, d resource.Dimension) (amount int64, whose int) {
	for ; i != none; i = c.parent[i] {
		if v := c.queues[i].Max; v != nil && v[d] >= 0 && v[d] <= MaxAmount {
			return v[d], i
		}
	}
	return 0, none
}

// leaf checks what only leaves have.
func (c *checker) leaf(i int) {
	q := &c.queues[i]
	known := q.Policy == "" || slices.Contains(Policies(), q.Policy)
	if !known {
		hint := ""
		if near, ok := nearest.Of(q.Policy, Policies()); ok {
			hint = fmt.Sprintf(" (did you mean %q?)", near)
		}
		c.fault(i, "policy", "there is no policy %q%s: they are %s", q.Policy, hint, strings.Join(Policies(), ", "))
	}
	if children := c.children[i]; len(children) > 0 && c.byName[q.Name] == i {
		no := fmt.Sprintf("only a leaf has one: %q has the child %q", q.Name, c.queues[children[0]].Name)
		for _, f := range []struct {
			field string
			given bool
		}{{"policy", q.Policy != "" && known}, {"user_limit_pct", q.UserLimit != nil}, {"reserve", q.Reserve}} {
			if f.given {
				c.fault(i, f.field, "%s", no)
			}
		}
		return
	}
	if q.UserLimit != nil && known && q.Policy != "capacity" {
		c.fault(i, "user_limit_pct", "the policy is %q: only capacity has a limit of users", cmp.Or(q.Policy, Policies()[0]))
	}
}

// siblings checks the children of one queue together.
func (c *checker) siblings(i int) {
	children := c.children[i]
	if len(children) == 0 {
		return
	}
	percents := 0
	for _, n := range children {
		q := &c.queues[n]
		if !proper(q.Capacity) || q.Capacity != nil && q.Weight != nil {
			return // what it should be is not known
		}
		if q.Capacity != nil {
			percents++
		}
	}
	switch percents {
	case 0:
	case len(children):
		c.sum(i)
	default:
		c.mixed(children)
	}
}

// mixed reports siblings of which some have percentages and some have not, at the first that differs from the first.
func (c *checker) mixed(children []int) {
	has := func(n int) string {
		switch q := &c.queues[n]; {
		case q.Capacity != nil:
			return "capacity_pct"
		case q.Weight != nil:
			return "a weight"
		default:
			return "neither, which is a weight of 1"
		}
	}
	first := children[0]
	for _, n := range children[1:] {
		if (c.queues[n].Capacity == nil) != (c.queues[first].Capacity == nil) {
			field := "weight"
			if c.queues[n].Capacity != nil {
				field = "capacity_pct"
			}
			c.fault(n, field, "siblings do not mix capacity_pct and weight: %q has %s, %q has %s", c.queues[first].Name, has(first), c.queues[n].Name, has(n))
			return
		}
	}
}

// sum checks that the percentages of the children of a queue make up the whole.
func (c *checker) sum(i int) {
	children := c.children[i]
	if p := c.queues[i].Capacity; p != nil && *p == 0 && i != c.root {
		for _, n := range children {
			if *c.queues[n].Capacity != 0 {
				c.fault(n, "capacity_pct", "%s: under a parent of 0 %% (%q) all children have 0 %%", c.queues[n].Capacity, c.queues[i].Name)
			}
		}
		return
	}
	// What has a fault in its name or place may belong here or not: the sum is wrong only if it is wrong in both cases.
	var sure, all Percent
	var parts []string
	for _, n := range children {
		q := &c.queues[n]
		all += *q.Capacity
		if c.byName[q.Name] == n {
			sure += *q.Capacity
		}
		parts = append(parts, fmt.Sprintf("%s %s", q.Name, q.Capacity))
	}
	for n := range c.queues {
		if p := c.queues[n].Capacity; c.lost[n] == i && p != nil && proper(p) {
			all += *p
		}
	}
	if sure == Hundred || all == Hundred {
		return
	}
	const most = 8
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	c.fault(children[0], "capacity_pct", "the children of %q sum to %s %%, not to 100 %% (%s)", c.queues[i].Name, sure, strings.Join(parts, ", "))
}
