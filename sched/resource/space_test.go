package resource_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched/resource"
)

func TestASpaceNamesItsDimensions(t *testing.T) {
	s := Standard()
	if s.Len() != Dimensions || s.Name(Memory) != "memory" || s.Format(CPU, 1500) != "1.5" {
		t.Fatalf("%v", s.Names())
	}
	more, d, err := s.With("fpga")
	if err != nil || d != Dimension(Dimensions) || more.Name(d) != "fpga" || s.Len() != Dimensions {
		t.Fatalf("%v, %v, %v", more.Names(), d, err)
	}
	amounts := Vector{CPU: 500}
	amounts[d] = 2
	if got := more.Words(amounts); got != "cpu 0.5, fpga 2" {
		t.Error(got)
	}
	if got, ok := more.Dimension("fpga"); !ok || got != d {
		t.Error(got, ok)
	}
	if _, ok := s.Dimension("fpga"); ok {
		t.Error("the space it was made from has the new one too")
	}
	own, err := NewSpace("mem", "cpu")
	if err != nil || own.Format(0, 1<<20) != "1048576" || own.Words(Vector{}) != "nothing" {
		t.Error(own, err)
	}
}

func TestASpaceRefuses(t *testing.T) {
	var many []string
	for i := range MaxDimensions + 1 {
		many = append(many, fmt.Sprint("d", i))
	}
	for want, names := range map[string][]string{
		`[1]: "cpu" is named twice`:    {"cpu", "cpu"},
		"[0]: a dimension has a name":  {""},
		`"d16" is one dimension too m`: many,
	} {
		if _, err := NewSpace(names...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", names, err, want)
		}
	}
	if _, err := NewSpace(many[:MaxDimensions]...); err != nil {
		t.Error(err)
	}
}
