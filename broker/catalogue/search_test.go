package catalogue_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/protocol"
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// page gives the keys of a page, and the cursor of its last entry.
func page(t fataler, c *Catalogue, q Query, limit int) (list []string, next string) {
	t.Helper()
	err := c.Search(q, func(e *Entry, cursor string) bool {
		list = append(list, e.Key())
		next = cursor
		return len(list) < limit
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, next
}

func TestSearch(t *testing.T) {
	var c Catalogue
	mustAdd(t, &c, protocol.Service{Name: "price", Function: "Prices a portfolio of Options", Tags: []string{"Risk", "eod"}})
	mustAdd(t, &c, protocol.Service{Name: "price", Version: "2", Function: "Prices a portfolio of options", Tags: []string{"Risk", "end-of-day"}})
	mustAdd(t, &c, protocol.Service{Name: "price", Version: "10"})
	mustAdd(t, &c, protocol.Service{Name: "price-check", Function: "checks prices"})
	mustAdd(t, &c, protocol.Service{Name: "wordfreq", Function: "counting the words of a text", Tags: []string{"text"}})
	mustAdd(t, &c, protocol.Service{Name: "texts", Function: "Übersetzt"})
	for _, tt := range []struct {
		q    Query
		want string
	}{
		{Query{}, "price@1 price@2 price@10 price-check@1 texts@1 wordfreq@1"},
		{Query{Name: "price"}, "price@1 price@2 price@10"},
		{Query{Name: "pric"}, ""},
		{Query{Name: "pric*"}, "price@1 price@2 price@10 price-check@1"},
		{Query{Name: "*e?t*"}, "texts@1"},
		{Query{Name: "*check"}, "price-check@1"},
		{Query{Name: "?????"}, "price@1 price@2 price@10 texts@1"},
		{Query{Name: "price", Version: "2"}, "price@2"},
		{Query{Version: "10"}, "price@10"},
		{Query{Tag: "risk"}, "price@1 price@2"},
		{Query{Tag: "RIS"}, ""},
		{Query{Tag: "END-of-day"}, "price@2"},
		{Query{Words: "price"}, "price@1 price@2 price@10 price-check@1"},
		{Query{Words: "pricing"}, "price@1 price@2 price@10 price-check@1"},
		{Query{Words: "RISK portfolio"}, "price@1 price@2"},
		{Query{Words: "risk words"}, ""},
		{Query{Words: "end day"}, "price@2"},
		{Query{Words: "count"}, "wordfreq@1"},
		{Query{Words: "counts, text"}, "wordfreq@1"},
		{Query{Words: "text"}, "texts@1 wordfreq@1"}, // in the name before in a tag
		{Query{Words: "option", Name: "price*", Tag: "eod"}, "price@1"},
		{Query{Words: "übersetzen"}, ""},
		{Query{Words: "ÜBERSETZT"}, "texts@1"},
		{Query{Words: "ounting"}, ""},
		{Query{Words: "oes"}, ""}, // too little would be left of it for its stem
		{Query{Words: " ,; "}, "price@1 price@2 price@10 price-check@1 texts@1 wordfreq@1"},
		{Query{After: "price@2"}, "price@10 price-check@1 texts@1 wordfreq@1"},
		{Query{After: "price@9.5"}, "price@10 price-check@1 texts@1 wordfreq@1"}, // it need not be there any more
		{Query{Words: "text", After: "3 texts@1"}, "wordfreq@1"},
	} {
		got, _ := page(t, &c, tt.q, 100)
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.q, got, tt.want)
		}
	}
}

func TestBadSearches(t *testing.T) {
	var c Catalogue
	for _, q := range []Query{{Words: strings.Repeat("a ", 17)}, {Words: "a", After: "price@2"}, {Words: "a", After: "x price@2"}, {Words: "a", After: "3 price"}} {
		if err := c.Search(q, nil); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func drawCatalogue(t *rapid.T) *Catalogue {
	var c Catalogue
	word := rapid.SampledFrom([]string{"price", "risk", "count", "text", "fast"})
	for range rapid.IntRange(0, 12).Draw(t, "services") {
		_, _, err := c.Add(start, protocol.Service{
			Name: rapid.StringMatching(`(price|risk|[a-c])(-(fast|[a-c]))?`).Draw(t, "name"), Version: rapid.StringMatching(`[1-3](\.[0-9]{1,2})?(-rc)?`).Draw(t, "version"),
			Function: strings.Join(rapid.SliceOfN(word, 0, 3).Draw(t, "function"), " "), Tags: rapid.SliceOfN(word, 0, 2).Draw(t, "tags"),
		})
		if err != nil && protocol.CodeOf(err) != protocol.CodeAlreadyExists {
			t.Fatal(err)
		}
	}
	return &c
}

// Pages together are the whole, whatever is looked for and however they are cut.
func TestPagesTogetherAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalogue(t)
		q := Query{
			Name:  rapid.SampledFrom([]string{"", "*", "p*", "?"}).Draw(t, "pattern"),
			Words: rapid.SampledFrom([]string{"", "price", "risk fast", "t c"}).Draw(t, "words"),
		}
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		whole, _ := page(t, c, q, 1000)
		var got []string
		for {
			list, next := page(t, c, q, limit)
			if len(list) == 0 {
				break
			}
			got = append(got, list...)
			q.After = next
		}
		if !slices.Equal(got, whole) {
			t.Fatalf("pages %v, whole %v", got, whole)
		}
		if q.Words == "" && q.Name == "" && len(whole) != c.Len() {
			t.Fatalf("%d of %d", len(whole), c.Len())
		}
	})
}

// A word that a service has in its name ranks it no lower than one that has it in a tag or its function only.
func TestNamesComeFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalogue(t)
		last := 4
		err := c.Search(Query{Words: "price"}, func(e *Entry, _ string) bool {
			rank := 1
			switch s := e.Service; {
			case s.Name == "price":
				rank = 4
			case strings.Contains(s.Name, "price"):
				rank = 3
			case slices.Contains(s.Tags, "price"):
				rank = 2
			case !strings.Contains(s.Function, "price"):
				t.Fatalf("%s has no price in it", e.Key())
			}
			if rank > last {
				t.Fatalf("%s comes too late", e.Key())
			}
			last = rank
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
