package sched_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched"
)

// conforming is a policy under the conformance suite: the same checks for all, with what the policy alone decides as an
// answer of its own.
type conforming struct {
	policy string
	// The order in which A and B, of weight 1 and 2, get 3 unit containers each.
	weighed string
	// Who gets the place that a container of B gives back while A, B and C all want more; A and B held 2, C holds 1.
	returned string
	// The same order as weighed when A and B are of different users, who may hold half of a leaf of 4 each.
	users string
}

// Policies that are not in the table fail the suite.
var conformingPolicies = []conforming{
	{PolicyFIFO, "A A A B B B", "A", "A A A B"},
	{PolicyCapacity, "A A A B B B", "A", "A A B B"},
	{PolicyFair, "A B B A B A", "B", "A B B A"},
}

func TestPolicies(t *testing.T) {
	var names []string
	for _, c := range conformingPolicies {
		names = append(names, c.policy)
		for name, check := range map[string]func(conforming, *testing.T){
			"weighs":                                          conforming.weighs,
			"respects users":                                  conforming.respectsUsers,
			"goes by submission among equals":                 conforming.goesBySubmission,
			"gives the same order each time":                  conforming.repeats,
			"places all that fits":                            conforming.placesAll,
			"lets the next one try where one is blocked":      conforming.blockedLetsPass,
			"keeps the place of the head where it is told to": conforming.reserves,
			"puts the priority of requests first":             conforming.prefersPriority,
			"passes over who wants nothing":                   conforming.passesOver,
			"gives again what is given back":                  conforming.givesAgain,
			"forgets who has left":                            conforming.forgets,
			"takes over from another policy":                  conforming.takesOver,
		} {
			t.Run(c.policy+" "+name, func(t *testing.T) { check(c, t) })
		}
	}
	if !slices.Equal(names, Policies()) {
		t.Errorf("the suite has %v, but there are %v", names, Policies())
	}
}

// leaf is one leaf with a node of so many units, and services that want units there.
func (c conforming) leaf(t *testing.T, units int64, reserve bool, services ...string) small {
	t.Helper()
	s := newSmall(t, []string{"unit"}, c.queues(reserve)...)
	s.node("n", units)
	for _, name := range services {
		s.service(Service{Name: name, Queue: "leaf"})
	}
	return s
}

func (c conforming) queues(reserve bool) []Queue {
	return []Queue{{Name: "root"}, {Name: "leaf", Parent: "root", Policy: c.policy, Reserve: reserve}}
}

func (c conforming) weighs(t *testing.T) {
	s := c.leaf(t, 6, false)
	for i, name := range []string{"A", "B"} {
		s.service(Service{Name: name, Queue: "leaf", Weight: float64(i + 1)})
		s.want(name, 3, 1)
	}
	if got := s.order(all); got != c.weighed {
		t.Errorf("the order is %s, not %s", got, c.weighed)
	}
}

func (c conforming) respectsUsers(t *testing.T) {
	s := c.leaf(t, 4, false)
	queues := c.queues(false)
	if half := Percent(50 * 1e9); c.policy == PolicyCapacity {
		queues[1].UserLimit = &half
	}
	if err := s.SetQueues(queues); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"A", "B"} {
		s.service(Service{Name: name, Queue: "leaf", Weight: float64(i + 1), User: "of " + name})
		s.want(name, 3, 1)
	}
	if got := s.order(all); got != c.users {
		t.Errorf("the order is %s, not %s", got, c.users)
	}
}

func (c conforming) goesBySubmission(t *testing.T) {
	s := c.leaf(t, 9, false, "Z", "M", "A")
	for _, name := range []string{"A", "M", "Z"} { // who asks first does not matter
		s.want(name, 1, 1)
	}
	if got := s.order(all); got != "Z M A" {
		t.Errorf("the order is %s", got)
	}
}

func (c conforming) repeats(t *testing.T) {
	run := func() string {
		s := c.leaf(t, 50, false)
		for i := range 20 {
			name := fmt.Sprint("s", i*7%20)
			s.service(Service{Name: name, Queue: "leaf", Weight: float64(i%3 + 1), User: fmt.Sprint(i % 4)})
			s.want(name+"/a", 3, int64(i%2+1))
			s.want(name+"/b", 2, 1)
		}
		return s.order(all)
	}
	first := run()
	for range 5 {
		if again := run(); again != first {
			t.Fatalf("%s, and then\n%s", first, again)
		}
	}
}

func (c conforming) placesAll(t *testing.T) {
	s := c.leaf(t, 10, false, "A", "B", "C")
	for _, name := range []string{"A", "B", "C"} {
		s.want(name, 4, 1)
	}
	got := strings.Fields(s.order(all))
	if len(got) != 10 {
		t.Errorf("%d of 10 places are taken", len(got))
	}
	for _, name := range []string{"A", "B", "C"} {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(x string) bool { return x != name })); n > 4 {
			t.Errorf("%s has %d, and wants 4", name, n)
		}
	}
}

func (c conforming) blockedLetsPass(t *testing.T) {
	s := c.leaf(t, 4, false, "A", "B")
	s.want("A/large", 1, 5)
	s.want("A/small", 1, 1)
	s.want("B", 1, 2)
	if got := s.order(all); got != "A/small B" {
		t.Errorf("the order is %q", got)
	}
}

func (c conforming) reserves(t *testing.T) {
	s := c.leaf(t, 4, true, "A", "B")
	s.want("B", 4, 1)
	s.order(2)
	s.want("A", 1, 3) // in front by submission, and by what it holds
	if got := s.order(all); got != "" {
		t.Errorf("%s goes in front of the head of the line", got)
	}
	s.Want("A", 0)
	if got := s.order(all); got != "B B" {
		t.Errorf("the order is %q when the head has gone", got)
	}
}

func (c conforming) prefersPriority(t *testing.T) {
	s := c.leaf(t, 9, false, "A")
	for i, priority := range []int{0, 2, -1, 2} {
		s.request(Request{ID: fmt.Sprint("r", i), Service: "A", Capacity: vectorOf([]int64{1}), Priority: priority}, 1)
	}
	if got := s.order(all); got != "r1 r3 r0 r2" {
		t.Errorf("the order is %s", got)
	}
}

func (c conforming) passesOver(t *testing.T) {
	s := c.leaf(t, 9, true, "A", "B")
	s.want("B", 2, 1)
	if got := s.order(all); got != "B B" {
		t.Errorf("the order is %q while A wants nothing", got)
	}
	s.want("A", 1, 1)
	if got := s.order(all); got != "A" {
		t.Errorf("the order is %q when it wants one", got)
	}
}

func (c conforming) givesAgain(t *testing.T) {
	s := c.leaf(t, 5, false, "A", "B", "C")
	held := make(map[string]Container)
	for _, want := range []struct {
		name  string
		count int
	}{{"A", 2}, {"B", 2}, {"C", 1}} {
		s.want(want.name, want.count, 1)
		for range want.count {
			p, _ := s.Next()
			held[p.Service] = p.Container
		}
	}
	for _, name := range []string{"A", "B", "C"} {
		s.Want(name, 9)
	}
	if got := s.order(all); got != "" {
		t.Fatalf("%s are placed, but all is taken", got)
	}
	s.Release(held["B"])
	if got := s.order(all); got != c.returned {
		t.Errorf("it goes to %q, not to %q", got, c.returned)
	}
}

func (c conforming) forgets(t *testing.T) {
	s := c.leaf(t, 4, true, "A", "B")
	s.want("A", 4, 1)
	s.order(2)
	s.want("A/large", 1, 9)
	s.want("B", 4, 1)
	s.RemoveService("A")
	if got := s.order(all); got != "B B B B" {
		t.Errorf("the order is %q when A has left", got)
	}
}

func (c conforming) takesOver(t *testing.T) {
	for _, before := range Policies() {
		s := conforming{policy: before}.leaf(t, 12, false)
		for i, name := range []string{"A", "B"} {
			s.service(Service{Name: name, Queue: "leaf", Weight: float64(i + 1)})
			s.want(name+"/gone", 3, 1)
		}
		var held []Container
		for p, ok := s.Next(); ok; p, ok = s.Next() {
			held = append(held, p.Container)
		}
		for _, name := range []string{"A", "B"} {
			s.Want(name+"/gone", 0)
		}
		for _, id := range held {
			s.Release(id)
		}
		for _, name := range []string{"A", "B"} {
			s.want(name, 3, 1)
		}
		if err := s.SetQueues(c.queues(false)); err != nil {
			t.Fatal(err)
		}
		if got := s.order(all); got != c.weighed {
			t.Errorf("after %s the order is %s, not %s", before, got, c.weighed)
		}
	}
}
