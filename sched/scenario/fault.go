package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a document.
type Fault struct {
	Place   string // such as steps[3].requests[0].cap; "" for the document as a whole
	Problem string // what is wrong, and what would be right
}

// Faults is the error for a document that is not right: all that is wrong with it, in the order of the sections.
type Faults []Fault

// mostFaults is how many faults an error lists.
const mostFaults = 50

// Error lists the faults, one a line.
func (f Faults) Error() string {
	var b strings.Builder
	for i, fault := range f {
		if i == mostFaults {
			fmt.Fprintf(&b, "\nand %d faults more", len(f)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		if fault.Place != "" {
			b.WriteString(fault.Place + ": ")
		}
		b.WriteString(fault.Problem)
	}
	return b.String()
}

// add notes a fault at a place.
func (f *Faults) add(place, problem string, args ...any) {
	*f = append(*f, Fault{place, fmt.Sprintf(problem, args...)})
}

// in says whether there is a fault at a place or below it.
func (f Faults) in(place string) bool {
	for _, fault := range f {
		if below, ok := strings.CutPrefix(fault.Place, place); ok && (below == "" || below[0] == '.' || below[0] == '[') {
			return true
		}
	}
	return false
}

// whole says whether there is a fault of the document as a whole.
func (f Faults) whole() bool {
	return slices.ContainsFunc(f, func(fault Fault) bool { return fault.Place == "" })
}

// names says whether the names that the elements of a section have at some keys can be relied on: whether there is no
// fault at one of these keys, at an element or at the section.
func (f Faults) names(section string, keys ...string) bool {
	return !slices.ContainsFunc(f, func(fault Fault) bool {
		element, key, nested := strings.Cut(fault.Place, ".")
		name, _, _ := strings.Cut(element, "[")
		return name == section && (!nested || slices.Contains(keys, key))
	})
}
