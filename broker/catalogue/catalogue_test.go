package catalogue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/protocol"
)

var start = time.Unix(1000, 0)

func service(name, version string) protocol.Service {
	return protocol.Service{Name: name, Version: version}
}

func mustAdd(t *testing.T, c *Catalogue, s protocol.Service) *Entry {
	t.Helper()
	e, added, err := c.Add(start, s)
	if err != nil || !added {
		t.Fatalf("add %s: %v, %v", s.Name, added, err)
	}
	return e
}

func TestVersionsStandSideBySide(t *testing.T) {
	var c Catalogue
	if c.Default("price") != nil {
		t.Error("nothing has a default version")
	}
	mustAdd(t, &c, service("price", "2.0.0-rc1"))
	if e, err := c.Get("price", ""); err != nil || e.Service.Version != "2.0.0-rc1" {
		t.Fatalf("%+v, %v: a pre-release is the default when there is nothing else", e, err)
	}
	mustAdd(t, &c, service("price", "1.10"))
	mustAdd(t, &c, service("price", "1.9"))
	e, err := c.Get("price", "")
	if err != nil || e.Service.Version != "1.10" || c.Default("price") != e {
		t.Fatalf("%+v, %v", e, err)
	}
	e, err = c.Get("price", "1.9")
	if err != nil || e.Key() != "price@1.9" || !e.Registered.Equal(start) {
		t.Fatalf("%+v, %v", e, err)
	}
	def := c.Default("price")
	c.Remove(def)
	c.Remove(def)
	if e, err := c.Get("price", ""); err != nil || e.Service.Version != "1.9" || c.Len() != 2 {
		t.Fatalf("after the default left: %+v, %v, %d", e, err, c.Len())
	}
	_, err = c.Get("price", "7")
	if protocol.CodeOf(err) != protocol.CodeUnknownService || !strings.Contains(err.Error(), "1.9, 2.0.0-rc1") {
		t.Fatal(err)
	}
}

func TestSameContentIsTheSameAndOtherContentIsRefused(t *testing.T) {
	var c Catalogue
	first := mustAdd(t, &c, protocol.Service{Name: "price", Slots: 1})
	e, added, err := c.Add(start.Add(time.Hour), protocol.Service{Name: "price", Version: "1"})
	if err != nil || added || e != first {
		t.Fatalf("%v, %v: a default is the same as what it stands for", added, err)
	}
	_, _, err = c.Add(start, protocol.Service{Name: "price", Slots: 2})
	if protocol.CodeOf(err) != protocol.CodeAlreadyExists || !strings.Contains(err.Error(), "deregister") {
		t.Fatal(err)
	}
	_, _, err = c.Add(start, protocol.Service{Name: "Price"})
	if protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), `"Price"`) {
		t.Fatal(err)
	}
	if c.Len() != 1 {
		t.Errorf("%d entries", c.Len())
	}
}

func TestUnknownNamesTheNearest(t *testing.T) {
	var c Catalogue
	_, err := c.Get("price", "")
	if protocol.CodeOf(err) != protocol.CodeUnknownService || !strings.Contains(err.Error(), "no other service") {
		t.Fatal(err)
	}
	for _, name := range []string{"wordfreq", "mandelbrot", "price", "prize", "weather"} {
		mustAdd(t, &c, service(name, ""))
	}
	_, err = c.Get("pricee", "")
	if !strings.HasSuffix(err.Error(), "price, prize, weather") {
		t.Fatal(err)
	}
	if _, err := c.Get(strings.Repeat("x", 1000), ""); protocol.CodeOf(err) != protocol.CodeUnknownService {
		t.Fatal(err)
	}
	if _, err := c.Find(protocol.ServiceRef{Name: "word"}); protocol.CodeOf(err) != protocol.CodeUnknownService {
		t.Fatal(err)
	}
}

func TestFindGivesOneOrAllVersions(t *testing.T) {
	var c Catalogue
	mustAdd(t, &c, service("a", "2"))
	mustAdd(t, &c, service("a", "1"))
	all, err := c.Find(protocol.ServiceRef{Name: "a"})
	if err != nil || len(all) != 2 || all[0].Key() != "a@1" {
		t.Fatalf("%v, %v", all, err)
	}
	one, err := c.Find(protocol.ServiceRef{Name: "a", Version: "1"})
	if err != nil || len(one) != 1 || one[0].Key() != "a@1" {
		t.Fatalf("%v, %v", one, err)
	}
	if _, err := c.Find(protocol.ServiceRef{Name: "a", Version: "3"}); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnknownService}) {
		t.Fatal(err)
	}
}
