package admin

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/protocol"
)

//go:generate go test -count=1 -run=^TestReference$ . -rewrite

var rewrite = flag.Bool("rewrite", false, "write docs/http.md anew")

// Every command of the control connection is a resource, and what a route sets is there to be set.
func TestRoutesAreWhole(t *testing.T) {
	var kinds []protocol.Kind
	for _, r := range routes() {
		kinds = append(kinds, r.kind)
		at := r.method + " " + r.path
		body := protocol.NewBody(r.kind)
		names := r.wildcards()
		for _, f := range append(fields(r.query), fields(r.fixed)...) {
			name, _, _ := strings.Cut(f, "=")
			names = append(names, name)
		}
		for i, name := range names {
			f, ok := field(body, name)
			if !ok {
				t.Errorf("%s: %v has no field %s", at, r.kind, name)
				continue
			}
			text := "1"
			if f.Kind() == reflect.String {
				text = "x"
			}
			if err := set(body, at, name, text); err != nil || slices.Contains(names[:i], name) {
				t.Errorf("%s: %s cannot be set, or twice: %v", at, name, err)
			}
		}
		if r.one && r.thing == "" || r.thing != "" && len(r.wildcards()) == 0 {
			t.Errorf("%s: what it is is not said", at)
		}
		if r.doc == "" || (r.method == get) == changes(r.kind) {
			t.Errorf("%s: %v, %q", at, r.kind, r.doc)
		}
	}
	for _, k := range control.Commands() {
		if !slices.Contains(kinds, k) {
			t.Errorf("%v is no resource of HTTP: give it a line in routes", k)
		}
	}
}

// changes says whether a request changes something: what a page of another site may ask for must not.
func changes(k protocol.Kind) bool {
	name := k.String()
	return !strings.HasPrefix(name, "List") && !strings.HasPrefix(name, "Get") && name != "Explain"
}

// measured gives the part of docs/http.md that follows from the metrics.
func measured(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| metric | | |\n| --- | --- | --- |\n")
	s := newServer(&fakeBroker{census: someCensus(), asked: someQueues, loops: []Loop{{Name: "control"}}})
	all, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if !strings.HasPrefix(m.GetName(), "weft_") {
			continue
		}
		var labels []string
		for _, l := range m.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		name := m.GetName()
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.ToLower(m.GetType().String()), m.GetHelp())
	}
	return b.String()
}

// reference gives the part of docs/http.md that follows from the routes.
func reference() string {
	var b strings.Builder
	b.WriteString("| resource | | query | request |\n| --- | --- | --- | --- |\n")
	for _, c := range Commands() {
		query := ""
		for _, q := range c.Query {
			query += " `" + q + "`"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s |%s | %s |\n", c.Method, c.Path, c.Doc, query, c.Request)
	}
	b.WriteString("\n| status | code |\n| --- | --- |\n")
	by := map[int][]string{}
	var statuses []int
	for _, c := range protocol.Codes() {
		s := statusOf(c)
		if by[s] == nil {
			statuses = append(statuses, s)
		}
		by[s] = append(by[s], fmt.Sprintf("%d %v", c, c))
	}
	slices.Sort(statuses)
	for _, s := range statuses {
		fmt.Fprintf(&b, "| %d | %s |\n", s, strings.Join(by[s], ", "))
	}
	return b.String()
}

// What docs/http.md says of the metrics, the resources and of codes is so.
func TestReference(t *testing.T) {
	const file, end = "../../docs/http.md", "<!-- end -->\n"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(was)
	for begin, part := range map[string]string{"<!-- metrics -->\n\n": measured(t), "<!-- resources -->\n\n": reference()} {
		head, rest, ok := strings.Cut(text, begin)
		_, tail, ended := strings.Cut(rest, end)
		if !ok || !ended {
			t.Fatalf("%s has no place for %s", file, begin)
		}
		text = head + begin + part + "\n" + end + tail
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if string(was) != text {
		t.Errorf("%s is not what it should be (make generate)", file)
	}
}
