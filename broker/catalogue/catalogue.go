// Package catalogue keeps the registered services by name and version, and finds them by name, by tag and by
// the words of their function. It holds them in memory; what makes them outlive the broker are the records that the
// control loop writes for every change.
//
// The package is pure. A [Catalogue] belongs to one core.
package catalogue

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// Entry is one version of a service. It must not be changed.
type Entry struct {
	Service    protocol.Service // with its defaults filled in
	Registered time.Time

	version version
	index   index
}

// Key is the name by which pages are ordered: name@version.
func (e *Entry) Key() string { return Key(e.Service.Name, e.Service.Version) }

// Key makes the key of a version of a service.
func Key(name, version string) string { return name + "@" + version }

// Catalogue holds the services. The zero Catalogue is empty and ready for use.
type Catalogue struct {
	names ordered.Map[string, []*Entry] // versions in their order
	count int
}

// Len is the number of versions of services.
func (c *Catalogue) Len() int { return c.count }

// all iterates over all versions of all services, in the order of names and versions.
func (c *Catalogue) all(yield func(*Entry) bool) {
	for _, versions := range c.names.All() {
		for _, e := range versions {
			if !yield(e) {
				return
			}
		}
	}
}

// All iterates over all versions of all services, in the order of names and versions.
func (c *Catalogue) All() iter.Seq[*Entry] { return c.all }

// find gives a version of a service, nil when it is not there.
func find(versions []*Entry, version string) *Entry {
	for _, e := range versions {
		if e.Service.Version == version {
			return e
		}
	}
	return nil
}

// Add registers a service, its defaults filled in. The same content once more is of no effect: added is false. Other
// content under a known name and version is refused with CodeAlreadyExists, a wrong field with CodeInvalid.
func (c *Catalogue) Add(now time.Time, s protocol.Service) (e *Entry, added bool, err error) {
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		return nil, false, err
	}
	versions, _ := c.names.Get(s.Name)
	if have := find(versions, s.Version); have != nil {
		if bytes.Equal(protocol.Marshal(have.Service), protocol.Marshal(s)) {
			return have, false, nil
		}
		return nil, false, protocol.Errorf(protocol.CodeAlreadyExists, "register",
			"version %s of service %s is registered with other content: register it under a new version, or deregister it first",
			s.Version, s.Name)
	}
	e = &Entry{Service: s, Registered: now, version: parseVersion(s.Version), index: newIndex(&s)}
	at, _ := slices.BinarySearchFunc(versions, e, func(a, b *Entry) int { return a.version.compare(b.version) })
	c.names.Set(s.Name, slices.Insert(slices.Clone(versions), at, e))
	c.count++
	return e, true, nil
}

// Default is the version of a service that those get who name none: the highest that is no pre-release, or the highest of
// all when all are. It is nil for a name that is not registered.
func (c *Catalogue) Default(name string) *Entry {
	versions, _ := c.names.Get(name)
	for _, e := range slices.Backward(versions) {
		if e.version.pre == nil {
			return e
		}
	}
	if len(versions) == 0 {
		return nil
	}
	return versions[len(versions)-1]
}

// Get finds a version of a service, the default one when version is empty. The error is a *protocol.Error with
// CodeUnknownService that names what is registered and looks most alike.
func (c *Catalogue) Get(name, version string) (*Entry, error) {
	versions, ok := c.names.Get(name)
	if !ok {
		return nil, c.unknown(name)
	}
	if version == "" {
		return c.Default(name), nil
	}
	if e := find(versions, version); e != nil {
		return e, nil
	}
	have := make([]string, len(versions))
	for i, e := range versions {
		have[i] = e.Service.Version
	}
	return nil, protocol.Errorf(protocol.CodeUnknownService, "service "+name,
		"version %q is not registered; registered: %s", version, strings.Join(have, ", "))
}

// Find gives the versions that ref names, in their order: all of them when its version is empty.
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
	versions, _ := c.names.Get(name)
	if !slices.Contains(versions, e) {
		return
	}
	c.count--
	versions = slices.DeleteFunc(slices.Clone(versions), func(v *Entry) bool { return v == e })
	if len(versions) == 0 {
		c.names.Delete(name)
	} else {
		c.names.Set(name, versions)
	}
}

func (c *Catalogue) unknown(name string) error {
	near := nearest.Few(name, func(yield func(string) bool) {
		for known := range c.names.All() {
			if !yield(known) {
				return
			}
		}
	})
	if len(near) == 0 {
		return protocol.Errorf(protocol.CodeUnknownService, "service "+name, "it is not registered, and no other service is: weft service register FILE")
	}
	return protocol.Errorf(protocol.CodeUnknownService, "service "+name, "it is not registered; the nearest that are: %s", strings.Join(near, ", "))
}
