package catalogue

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/weft-fabric/weft/protocol"
)

// maxWords is how many words a search may have.
const maxWords = 16

// What a word of a search counts by where it was found.
const (
	inFunction = 1 + iota
	inTag
	inName
	isName // it is the whole name
)

// Query says which versions of services are looked for; what is empty does not matter.
type Query struct {
	Name    string // exactly this, or a pattern in which * is any letters and ? is one
	Version string
	Tag     string // in any case
	Words   string // each of them in the name, a tag or the function: see docs/rfc, section 7.2
	After   string // the cursor of the last entry that was seen
}

// index is what an entry is searched by, in lower case.
type index struct {
	name, tags, function []string // words
	wholeTags            []string
}

func newIndex(s *protocol.Service) index {
	x := index{name: words(s.Name), function: words(s.Function)}
	for _, t := range s.Tags {
		x.wholeTags = append(x.wholeTags, strings.ToLower(t))
		x.tags = append(x.tags, words(t)...)
	}
	return x
}

// words divides a text into its words.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// stem takes an English ending off a word, if enough is left of it.
func stem(word string) string {
	for _, ending := range []string{"ing", "es", "ed", "s", "e"} {
		if s, ok := strings.CutSuffix(word, ending); ok && len(s) >= 3 {
			return s
		}
	}
	return word
}

// Search gives what is looked for: services in the order of their names and versions, or, when there are words, those
// that match best first. It calls yield with each and its cursor until that returns false. The error is a
// *protocol.Error with CodeInvalid.
func (c *Catalogue) Search(q Query, yield func(e *Entry, cursor string) bool) error {
	wanted := words(q.Words)
	if len(wanted) > maxWords {
		return protocol.Errorf(protocol.CodeInvalid, "list services", "words: %d of them, at most %d are taken", len(wanted), maxWords)
	}
	if len(wanted) > 0 {
		return c.ranked(q, wanted, yield)
	}
	name, v, _ := strings.Cut(q.After, "@")
	after := parseVersion(v)
	for e := range c.all {
		if q.After != "" && cmp.Or(cmp.Compare(e.Service.Name, name), e.version.compare(after)) <= 0 || !e.matches(&q) {
			continue
		}
		if !yield(e, e.Key()) {
			break
		}
	}
	return nil
}

// ranked searches by words: the highest rank first, and among equals as without words. A cursor is the rank and the key.
func (c *Catalogue) ranked(q Query, wanted []string, yield func(e *Entry, cursor string) bool) error {
	lowest, key, after := 0, "", version{}
	if q.After != "" {
		rank, rest, ok := strings.Cut(q.After, " ")
		n, err := strconv.Atoi(rank)
		name, v, isKey := strings.Cut(rest, "@")
		if !ok || err != nil || !isKey {
			return protocol.Errorf(protocol.CodeInvalid, "list services", "after: %q is not what a page of this search gave as next", q.After)
		}
		lowest, key, after = n, name, parseVersion(v)
	}
	type hit struct {
		*Entry
		rank int
	}
	var hits []hit
	for e := range c.all {
		if !e.matches(&q) {
			continue
		}
		rank := e.rank(wanted)
		if rank == 0 || q.After != "" && cmp.Or(cmp.Compare(lowest, rank), cmp.Compare(e.Service.Name, key), e.version.compare(after)) <= 0 {
			continue
		}
		hits = append(hits, hit{e, rank})
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.rank, a.rank) })
	for _, h := range hits {
		if !yield(h.Entry, fmt.Sprintf("%d %s", h.rank, h.Key())) {
			break
		}
	}
	return nil
}

// matches says whether all but the words are as the query says.
func (e *Entry) matches(q *Query) bool {
	return (q.Name == "" || like(q.Name, e.Service.Name)) && (q.Version == "" || q.Version == e.Service.Version) &&
		(q.Tag == "" || slices.Contains(e.index.wholeTags, strings.ToLower(q.Tag)))
}

// rank is how well the entry has all words; 0: it has not.
func (e *Entry) rank(wanted []string) (sum int) {
	for _, w := range wanted {
		n := e.rankOf(w)
		if n == 0 {
			return 0
		}
		sum += n
	}
	return sum
}

func (e *Entry) rankOf(word string) int {
	if word == e.Service.Name {
		return isName
	}
	s := stem(word)
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(have string) bool { return strings.HasPrefix(have, s) })
	}
	switch {
	case in(e.index.name):
		return inName
	case in(e.index.tags):
		return inTag
	case in(e.index.function):
		return inFunction
	}
	return 0
}

// like says whether a name matches a pattern in which * is any letters and ? is one.
func like(pattern, name string) bool {
	star, from := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // the last * takes one letter more
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
