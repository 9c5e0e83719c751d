// Package catalogue keeps the registered services (SPEC S3): by name and version, the newest of a name being the one
// that was registered last. It holds them in memory; what makes them outlive the broker are the records that the
// control loop writes for every change.
//
// The package is pure. A [Catalogue] belongs to one core.
package catalogue

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// Entry is one version of a service. It must not be changed.
type Entry struct {
	Service    protocol.Service // with its defaults filled in
	Registered time.Time
}

// Key is the name by which pages are ordered: name@version.
func (e *Entry) Key() string { return Key(e.Service.Name, e.Service.Version) }

// Key makes the key of a version of a service.
func Key(name, version string) string { return name + "@" + version }

// Catalogue holds the services. The zero Catalogue is empty and ready for use.
type Catalogue struct {
	entries ordered.Map[string, *Entry]
	names   ordered.Map[string, []*Entry] // versions in the order of their registration
}

// Len is the number of versions of services.
func (c *Catalogue) Len() int { return c.entries.Len() }

// Add registers a service, its defaults filled in. The same content once more is of no effect: added is false. Other
// content under a known name and version is refused with CodeAlreadyExists, a wrong field with CodeInvalid.
func (c *Catalogue) Add(now time.Time, s protocol.Service) (e *Entry, added bool, err error) {
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		return nil, false, err
	}
	if have, ok := c.entries.Get(Key(s.Name, s.Version)); ok {
		if bytes.Equal(protocol.Marshal(have.Service), protocol.Marshal(s)) {
			return have, false, nil
		}
		return nil, false, protocol.Errorf(protocol.CodeAlreadyExists, "register",
			"version %s of service %s is registered with other content: register it under a new version, or deregister it first",
			s.Version, s.Name)
	}
	e = &Entry{Service: s, Registered: now}
	c.entries.Set(e.Key(), e)
	versions, _ := c.names.Get(s.Name)
	c.names.Set(s.Name, append(versions, e))
	return e, true, nil
}

// Get finds a version of a service, the newest when version is empty. The error is a *protocol.Error with
// CodeUnknownService that names what is registered and looks most alike.
func (c *Catalogue) Get(name, version string) (*Entry, error) {
	versions, ok := c.names.Get(name)
	if !ok {
		return nil, c.unknown(name)
	}
	if version == "" {
		return versions[len(versions)-1], nil
	}
	if e, ok := c.entries.Get(Key(name, version)); ok {
		return e, nil
	}
	have := make([]string, len(versions))
	for i, e := range versions {
		have[i] = e.Service.Version
	}
	return nil, protocol.Errorf(protocol.CodeUnknownService, "service "+name,
		"version %q is not registered; registered: %s", version, strings.Join(have, ", "))
}

// Find gives the versions that ref names, in the order of their registration: all of them when its version is empty.
func (c *Catalogue) Find(ref protocol.ServiceRef) ([]*Entry, error) {
	if ref.Version != "" {
		e, err := c.Get(ref.Name, ref.Version)
		if err != nil {
			return nil, err
		}
		return []*Entry{e}, nil
	}
	versions, ok := c.names.Get(ref.Name)
	if !ok {
		return nil, c.unknown(ref.Name)
	}
	return slices.Clone(versions), nil
}

// Remove deregisters a version of a service; one that is not there is of no effect.
func (c *Catalogue) Remove(e *Entry) {
	name := e.Service.Name
	if !c.entries.Delete(e.Key()) {
		return
	}
	versions, _ := c.names.Get(name)
	versions = slices.DeleteFunc(slices.Clone(versions), func(v *Entry) bool { return v.Key() == e.Key() })
	if len(versions) == 0 {
		c.names.Delete(name)
	} else {
		c.names.Set(name, versions)
	}
}

// Page calls yield with the entries whose key is above after and that match, in the order of their keys, until it
// returns false. Name, when given, is the exact name; every word of words must be part of the name or the function, or
// be a tag.
func (c *Catalogue) Page(after, name, words string, yield func(*Entry) bool) {
	wanted := strings.Fields(strings.ToLower(words))
	for key, e := range c.entries.All() {
		if key <= after || name != "" && e.Service.Name != name || !e.matches(wanted) {
			continue
		}
		if !yield(e) {
			return
		}
	}
}

func (e *Entry) matches(words []string) bool {
	function := strings.ToLower(e.Service.Function)
	for _, w := range words {
		if !strings.Contains(e.Service.Name, w) && !strings.Contains(function, w) &&
			!slices.ContainsFunc(e.Service.Tags, func(t string) bool { return strings.ToLower(t) == w }) {
			return false
		}
	}
	return true
}

// nearest is how many names an error offers.
const nearest = 3

func (c *Catalogue) unknown(name string) error {
	type candidate struct {
		name string
		far  int
	}
	var list []candidate
	for known := range c.names.All() {
		list = append(list, candidate{known, distance(name, known)})
	}
	if len(list) == 0 {
		return protocol.Errorf(protocol.CodeUnknownService, "service "+name, "it is not registered, and no other service is: weft service register FILE")
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.far, b.far) })
	list = list[:min(len(list), nearest)]
	names := make([]string, len(list))
	for i, l := range list {
		names[i] = l.name
	}
	return protocol.Errorf(protocol.CodeUnknownService, "service "+name, "it is not registered; the nearest that are: %s", strings.Join(names, ", "))
}

// distance is the number of letters to insert, delete or replace on the way from a to b; names are at most 63 bytes,
// and what is longer is cut.
func distance(a, b string) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	var row [longest + 1]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
