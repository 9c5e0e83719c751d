package catalogue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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

func TestNewestIsWhatWasRegisteredLast(t *testing.T) {
	var c Catalogue
	mustAdd(t, &c, service("price", "2"))
	mustAdd(t, &c, service("price", "10"))
	mustAdd(t, &c, service("price", "1"))
	if e, err := c.Get("price", ""); err != nil || e.Service.Version != "1" {
		t.Fatalf("%+v, %v", e, err)
	}
	e, err := c.Get("price", "10")
	if err != nil || e.Key() != "price@10" || !e.Registered.Equal(start) {
		t.Fatalf("%+v, %v", e, err)
	}
	newest, _ := c.Get("price", "")
	c.Remove(newest)
	c.Remove(newest)
	if e, err := c.Get("price", ""); err != nil || e.Service.Version != "10" {
		t.Fatalf("after the newest left: %+v, %v", e, err)
	}
	_, err = c.Get("price", "7")
	if protocol.CodeOf(err) != protocol.CodeUnknownService || !strings.Contains(err.Error(), "2, 10") {
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
	if err != nil || len(all) != 2 || all[0].Key() != "a@2" {
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

func keys(c *Catalogue, after, name, words string, limit int) (list []string) {
	c.Page(after, name, words, func(e *Entry) bool {
		list = append(list, e.Key())
		return len(list) < limit
	})
	return list
}

func TestSearchByNameTagAndFunction(t *testing.T) {
	var c Catalogue
	mustAdd(t, &c, protocol.Service{Name: "price", Function: "Prices a portfolio of options", Tags: []string{"Risk", "eod"}})
	mustAdd(t, &c, protocol.Service{Name: "wordfreq", Function: "counts words"})
	for _, tt := range []struct{ name, words, want string }{
		{"", "", "price@1 wordfreq@1"},
		{"price", "", "price@1"},
		{"pric", "", ""},
		{"", "pric", "price@1"},
		{"", "RISK portfolio", "price@1"},
		{"", "risk words", ""},
		{"", "ris", ""},
		{"", "count", "wordfreq@1"},
	} {
		if got := strings.Join(keys(&c, "", tt.name, tt.words, 10), " "); got != tt.want {
			t.Errorf("name %q, words %q: %q, want %q", tt.name, tt.words, got, tt.want)
		}
	}
}

func TestPagesTogetherAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Catalogue
		for range rapid.IntRange(0, 12).Draw(t, "services") {
			_, _, err := c.Add(start, service(rapid.StringMatching(`[a-c][.a-c-]?[a-c]`).Draw(t, "name"), rapid.StringMatching(`[1-3]`).Draw(t, "version")))
			if err != nil {
				t.Fatal(err)
			}
		}
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var got []string
		after := ""
		for {
			page := keys(&c, after, "", "", limit)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = page[len(page)-1]
		}
		if whole := keys(&c, "", "", "", 100); strings.Join(got, " ") != strings.Join(whole, " ") || len(whole) != c.Len() {
			t.Fatalf("pages %v, whole %v of %d", got, whole, c.Len())
		}
	})
}
