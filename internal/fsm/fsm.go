// Package fsm holds typed state tables in which nothing is left open: every pair
// of a state and an event is a transition or a refusal with its reason in words.
//
// States and events are small integers with names. A table is built once from its
// rules, checked as a whole, and never changes; it is safe for concurrent use, and
// asking it costs one index and no allocation. A test can walk a table, and a
// document can show it: what is drawn is what runs.
//
//	var lamp = fsm.Must(fsm.New(
//		[]State{Off, On, Broken},
//		[]Event{Press, Fall},
//		fsm.Move(Off, Press, On),
//		fsm.Move(On, Press, Off),
//		fsm.Move(Off, Fall, Broken),
//		fsm.Move(On, Fall, Broken),
//		fsm.RefuseRest[State, Event](Broken, "a broken lamp stays broken"),
//	))
package fsm

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Name is what states and events are: small integers that can say what they are
// called. Names end in documents and error messages; they must not be empty.
type Name interface {
	~uint8
	fmt.Stringer
}

// Table says what becomes of each state at each event. Build it with New; the zero
// Table knows no state and refuses everything.
type Table[S, E Name] struct {
	states []S
	events []E
	width  int       // the highest event + 1
	cells  []cell[S] // one for every pair, at state*width + event
}

// cell is the answer to one (state, event).
type cell[S Name] struct {
	kind kind
	next S
	why  string // of a refusal
}

type kind uint8

const (
	open kind = iota // no rule: New does not return a table that has one in use
	moves
	refuses
)

// Rule is one line of a table; Move, Refuse and RefuseRest make them.
type Rule[S, E Name] struct {
	kind kind
	from S
	on   E
	rest bool // instead of one event: all that no other rule names
	to   S
	why  string
}

// Move is the rule that in state from the event on leads to state to (which may be
// from itself: the event is welcome and changes nothing).
func Move[S, E Name](from S, on E, to S) Rule[S, E] {
	return Rule[S, E]{kind: moves, from: from, on: on, to: to}
}

// Refuse is the rule that in state from the event on is refused, because of why.
func Refuse[S, E Name](from S, on E, why string) Rule[S, E] {
	return Rule[S, E]{kind: refuses, from: from, on: on, why: why}
}

// RefuseRest is the rule that in state from every event without a rule of its own
// is refused, because of why.
func RefuseRest[S, E Name](from S, why string) Rule[S, E] {
	return Rule[S, E]{kind: refuses, from: from, rest: true, why: why}
}

// New builds the table of the given states and events. It fails, naming every
// fault, when a pair has no rule or more than one, a rule names a state or event
// that is not listed, a refusal has no reason, a RefuseRest has nothing left to
// refuse, or a state or event is listed twice or has no name.
func New[S, E Name](states []S, events []E, rules ...Rule[S, E]) (*Table[S, E], error) {
	faults := append(checkNames("state", states), checkNames("event", events)...)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	t := &Table[S, E]{
		states: slices.Clone(states),
		events: slices.Clone(events),
		width:  int(slices.Max(events)) + 1,
	}
	t.cells = make([]cell[S], (int(slices.Max(states))+1)*t.width)
	for _, r := range rules {
		if !r.rest {
			faults = append(faults, t.add(r))
		}
	}
	for _, r := range rules {
		if r.rest {
			faults = append(faults, t.addRest(r))
		}
	}
	for c := range t.Cells() {
		if t.at(c.From, c.On).kind == open {
			faults = append(faults, fmt.Errorf("fsm: state %v has no rule for event %v", c.From, c.On))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return t, nil
}

// Must returns t, and panics when err is not nil. It is for tables that are written
// out in the source and so are right or wrong for good.
func Must[S, E Name](t *Table[S, E], err error) *Table[S, E] {
	if err != nil {
		panic(err)
	}
	return t
}

func checkNames[N Name](what string, list []N) []error {
	if len(list) == 0 {
		return []error{fmt.Errorf("fsm: a table needs at least one %s", what)}
	}
	var faults []error
	for i, n := range list {
		if n.String() == "" {
			faults = append(faults, fmt.Errorf("fsm: %s %d has no name", what, uint8(n)))
		}
		if slices.Contains(list[:i], n) {
			faults = append(faults, fmt.Errorf("fsm: %s %v is listed twice", what, n))
		}
	}
	return faults
}

// add enters a rule for one event.
func (t *Table[S, E]) add(r Rule[S, E]) error {
	switch {
	case !slices.Contains(t.states, r.from):
		return fmt.Errorf("fsm: rule for %v at %v: no such state %v", r.from, r.on, r.from)
	case !slices.Contains(t.events, r.on):
		return fmt.Errorf("fsm: rule for %v at %v: no such event %v", r.from, r.on, r.on)
	case r.kind == moves && !slices.Contains(t.states, r.to):
		return fmt.Errorf("fsm: rule for %v at %v: no such state %v", r.from, r.on, r.to)
	case r.kind == refuses && r.why == "":
		return fmt.Errorf("fsm: refusal of %v at %v has no reason", r.on, r.from)
	case t.at(r.from, r.on).kind != open:
		return fmt.Errorf("fsm: state %v has two rules for event %v", r.from, r.on)
	}
	*t.at(r.from, r.on) = cell[S]{kind: r.kind, next: r.to, why: r.why}
	return nil
}

// addRest enters a refusal for all events of a state that are still open.
func (t *Table[S, E]) addRest(r Rule[S, E]) error {
	if !slices.Contains(t.states, r.from) {
		return fmt.Errorf("fsm: refusal of the rest: no such state %v", r.from)
	}
	if r.why == "" {
		return fmt.Errorf("fsm: refusal of the rest at %v has no reason", r.from)
	}
	found := false
	for _, e := range t.events {
		if c := t.at(r.from, e); c.kind == open {
			*c = cell[S]{kind: refuses, why: r.why}
			found = true
		}
	}
	if !found {
		return fmt.Errorf("fsm: refusal of the rest at %v: every event has a rule already", r.from)
	}
	return nil
}

// at returns the cell of a pair that is in the lists.
func (t *Table[S, E]) at(s S, e E) *cell[S] { return &t.cells[int(s)*t.width+int(e)] }

// lookup returns the cell of any pair, an open one for what is not in the lists.
func (t *Table[S, E]) lookup(s S, e E) cell[S] {
	if i := int(s)*t.width + int(e); int(e) < t.width && i < len(t.cells) {
		return t.cells[i]
	}
	return cell[S]{}
}

// Next returns the state that follows s at the event e, and true; or s itself and
// false when the event is refused there (Refusal says why). It allocates nothing.
func (t *Table[S, E]) Next(s S, e E) (S, bool) {
	if c := t.lookup(s, e); c.kind == moves {
		return c.next, true
	}
	return s, false
}

// Refusal returns why the event e is refused in state s, or "" when it is not.
func (t *Table[S, E]) Refusal(s S, e E) string {
	switch c := t.lookup(s, e); c.kind {
	case moves:
		return ""
	case refuses:
		return c.why
	default:
		return fmt.Sprintf("the table does not know state %d at event %d", uint8(s), uint8(e))
	}
}

// Cell is one pair of a table, and its answer: To where the event is taken, or the
// reason why it is Refused.
type Cell[S, E Name] struct {
	From    S
	On      E
	To      S      // From itself when the event is refused
	Refused string // "" when the event is taken
}

// Cells iterates over every pair of the table, states in the order in which New
// had them and, in each, events likewise. It is for tests that walk a table.
func (t *Table[S, E]) Cells() iter.Seq[Cell[S, E]] {
	return func(yield func(Cell[S, E]) bool) {
		for _, s := range t.states {
			for _, e := range t.events {
				to, ok := t.Next(s, e)
				c := Cell[S, E]{From: s, On: e, To: to}
				if !ok {
					c.Refused = t.Refusal(s, e)
				}
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Reachable returns the states that can follow, by any events, from those given,
// and these themselves, in the order in which New had them. A state that is not
// reachable from where things begin is dead.
func (t *Table[S, E]) Reachable(from ...S) []S {
	var seen [256]bool
	work := slices.Clone(from)
	for len(work) > 0 {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		for _, e := range t.events {
			if to, ok := t.Next(s, e); ok {
				work = append(work, to)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(t.states), func(s S) bool { return !seen[s] })
}
