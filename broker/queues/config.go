// Package queues is the tree of queues and the shapes of containers as operators configure them: what is wrong with a
// configuration, what it is to the scheduler, and what a new one changes. It knows neither services nor containers.
//
// The package is pure.
package queues

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// Config is a tree of queues, in order of definition, and the shapes of containers.
type Config struct {
	Queues []protocol.Queue
	Shapes protocol.Shapes
}

// Default is the configuration of a fabric that was told nothing: one leaf below the root, for everything.
func Default() Config {
	return Config{Queues: []protocol.Queue{{Name: "root"}, {Name: "default", Parent: "root"}}}
}

// Names gives the dimensions that the minima and maxima of queues name, sorted.
func (c Config) Names() []string {
	named := map[string]bool{}
	for _, q := range c.Queues {
		for _, amounts := range []protocol.Amounts{q.Min, q.Max} {
			for name := range amounts { // order does not matter: fills a map
				named[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// Dimensions finds the dimension that an amount is of; ok is false where there is none of that name.
type Dimensions func(name string) (d resource.Dimension, ok bool)

// standard are the dimensions that every fabric has.
func standard(name string) (d resource.Dimension, ok bool) {
	i := slices.Index(protocol.Dimensions(), name) // in the order of the constants, a test says so
	return resource.Dimension(max(i, 0)), i >= 0
}

// space makes room for all dimensions that the configuration names, and says which it could not.
func (c Config) space() (resource.Space, Dimensions) {
	space := resource.Standard()
	for _, name := range c.Names() {
		if _, ok := standard(name); !ok {
			if more, _, err := space.With(name); err == nil {
				space = more
			}
		}
	}
	return space, In(space)
}

// In finds the dimensions of a space that begins with the standard ones.
func In(space resource.Space) Dimensions {
	return func(name string) (resource.Dimension, bool) {
		if d, ok := standard(name); ok {
			return d, true
		}
		d, ok := space.Dimension(name)
		return d, ok && int(d) >= resource.Dimensions
	}
}

// Check says everything that is wrong with the configuration, in order of place; what concerns no queue comes last.
func (c Config) Check() []sched.Fault {
	space, dimensions := c.space()
	list, unread := convert(c.Queues, dimensions)
	faults := slices.Clone(unread)
	for _, f := range sched.CheckQueues(space, list) {
		known := slices.ContainsFunc(unread, func(g sched.Fault) bool { return g.Queue == f.Queue && g.Field == f.Field })
		if !known { // the field has a value of our own where it could not be read
			faults = append(faults, f)
		}
	}
	if len(c.Queues) > protocol.MaxQueues {
		faults = append(faults, sched.Fault{Queue: -1, Problem: fmt.Sprintf("%d queues, at most %d are allowed", len(c.Queues), protocol.MaxQueues)})
	}
	slices.SortStableFunc(faults, func(a, b sched.Fault) int { return place(a, len(c.Queues)) - place(b, len(c.Queues)) })
	return append(faults, c.checkShapes()...)
}

func place(f sched.Fault, end int) int {
	if f.Queue < 0 {
		return end
	}
	return f.Queue
}

func (c Config) checkShapes() (faults []sched.Fault) {
	fault := func(field, format string, args ...any) {
		faults = append(faults, sched.Fault{Queue: -1, Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if len(c.Shapes) > protocol.MaxQueues {
		fault("shapes", "%d of them, at most %d are allowed", len(c.Shapes), protocol.MaxQueues)
		return faults
	}
	for _, name := range slices.Sorted(maps.Keys(c.Shapes)) {
		switch err := c.Shapes[name].Check(); {
		case !protocol.ValidName(name):
			fault("shapes."+name, "%q is not the name of a shape: it has 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", name)
		case err != nil:
			fault("shapes."+name, "%v", err)
		case c.Shapes[name].IsZero():
			fault("shapes."+name, "it is nothing at all; a shape is of some cpu, for example")
		}
	}
	return faults
}

// Err gives the faults as one error, each in a line of its own that begins with its place; nil where there are none.
func Err(list []protocol.Queue, faults []sched.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	var lines []string
	for _, f := range faults {
		lines = append(lines, Line(list, f))
	}
	return protocol.Errorf(protocol.CodeInvalid, "apply queues", "%s", strings.Join(lines, "\n"))
}

// Line gives a fault with its place, as "queues[3].capacity_pct (queue risk): …".
func Line(list []protocol.Queue, f sched.Fault) string {
	at := cmp.Or(f.Field, "queues")
	if f.Queue >= 0 {
		at = strings.TrimSuffix(fmt.Sprintf("queues[%d].%s", f.Queue, f.Field), ".")
		if name := list[f.Queue].Name; name != "" {
			at += fmt.Sprintf(" (queue %.70s)", name)
		}
	}
	return at + ": " + f.Problem
}

// Tree gives the queues as the scheduler knows them. The configuration has no faults; what is of a dimension that there is
// not is an error all the same.
func (c Config) Tree(dimensions Dimensions) ([]sched.Queue, error) {
	list, faults := convert(c.Queues, dimensions)
	return list, Err(c.Queues, faults)
}

// improper is a percentage that cannot be, for one that could not be read: what depends on it is not judged then.
const improper sched.Percent = -1

// convert gives the queues as the scheduler knows them, and what of them could not be read.
func convert(list []protocol.Queue, dimensions Dimensions) (all []sched.Queue, faults []sched.Fault) {
	for i := range list {
		q := &list[i]
		fault := func(field string, err error) {
			faults = append(faults, sched.Fault{Queue: i, Field: field, Problem: err.Error()})
		}
		percent := func(field string, text protocol.Decimal) *sched.Percent {
			if text == "" {
				return nil
			}
			p, err := sched.ParsePercent(string(text))
			if err != nil {
				fault(field, err)
				p = improper
			}
			return &p
		}
		vector := func(field string, amounts protocol.Amounts, left int64) *resource.Vector {
			if len(amounts) == 0 {
				return nil
			}
			v, err := vectorOf(amounts, left, dimensions)
			if err != nil {
				fault(field, err)
			}
			return &v
		}
		if q.Name != "" && !protocol.ValidName(q.Name) {
			fault("name", fmt.Errorf("%.70q is not the name of a queue: it has 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", q.Name))
		}
		all = append(all, sched.Queue{
			Name: q.Name, Parent: q.Parent, Capacity: percent("capacity_pct", q.Capacity), Weight: q.Weight,
			Min: vector("min", q.Min, 0), MaxPercent: percent("max_pct", q.MaxPercent), Max: vector("max", q.Max, sched.Unlimited),
			Priority: q.Priority, Policy: q.Policy, UserLimit: percent("user_limit_pct", q.UserLimit), Reserve: q.Reserve,
		})
	}
	return all, faults
}

// vectorOf gives the amounts as a vector; a dimension that they do not name has left.
func vectorOf(amounts protocol.Amounts, left int64, dimensions Dimensions) (v resource.Vector, err error) {
	for d := range v {
		v[d] = left
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		d, ok := dimensions(name)
		if !ok {
			unknown = append(unknown, name)
			continue
		}
		v[d] = min(amounts[name], sched.Unlimited-1) // the last of all has a meaning of its own
	}
	if len(unknown) > 0 {
		return v, errors.New(strings.Join(unknown, ", ") + ": there is no such resource, and no room for another one")
	}
	return v, nil
}
