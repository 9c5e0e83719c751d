package firstcome_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/platform"
	. "github.com/weft-fabric/weft/sched/firstcome"
	"github.com/weft-fabric/weft/sched/resource"
)

func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		f := NewFIFO()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return command(t, f, d) })
	})
}

func command(t *testing.T, f *FIFO, d *datadriven.TestData) string {
	t.Helper()
	has := func(key string) (s string) { d.MaybeScanArgs(t, key, &s); return s }
	number := func(key string) (n int) { d.MaybeScanArgs(t, key, &n); return n }
	first := func() string { return d.CmdArgs[0].Key }
	vector := resource.Vector{
		resource.CPU: int64(number("cpu")), resource.GPU: int64(number("gpu")), resource.Memory: int64(number("mem")),
	}
	switch d.Cmd {
	case "node":
		p, err := platform.Parse(has("platform"))
		if err != nil {
			p = platform.Platform{OS: "linux", Arch: "amd64"}
		}
		f.SetNode(Node{Name: first(), Rack: has("rack"), Type: has("type"), Platform: p, Capacity: vector})
	case "remove":
		f.RemoveNode(first())
	case "submit", "satisfiable":
		r := Request{
			ID: first(), Service: has("service"), Capacity: vector, Priority: number("priority"),
			Node: has("node"), Rack: has("rack"), NodeType: has("type"), Nodes: number("nodes"),
		}
		if r.Service == "" {
			r.Service = r.ID
		}
		for s := range strings.FieldsSeq(strings.ReplaceAll(has("platforms"), "+", " ")) {
			p, err := platform.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			r.Platforms = append(r.Platforms, p)
		}
		r.Except = strings.Fields(strings.ReplaceAll(has("except"), "+", " "))
		if d.Cmd == "submit" {
			f.Submit(r)
			return ""
		}
		if err := f.Satisfiable(r); err != nil {
			u, ok := errors.AsType[*Unsatisfiable](err)
			if !ok {
				t.Fatalf("%T", err)
			}
			return fmt.Sprintf("%v: %v\n", u.Barrier, err)
		}
		return "yes\n"
	case "want":
		f.Want(first(), number("count"))
	case "release":
		for _, a := range d.CmdArgs {
			var c Container
			if _, err := fmt.Sscan(a.Key, &c); err != nil {
				t.Fatal(err)
			}
			f.Release(c)
		}
	case "next":
		var b strings.Builder
		for {
			p, ok := f.Next()
			if !ok {
				return b.String()
			}
			fmt.Fprintf(&b, "%d: %s on %s\n", p.Container, p.Request, p.Node)
		}
	case "explain":
		why, full := f.Explain(first())
		if len(full) > 0 {
			why += "\nfull: " + strings.Join(full, " ")
		}
		return why + "\n"
	default:
		t.Fatalf("no command %q", d.Cmd)
	}
	return ""
}

func TestBarriersHaveNames(t *testing.T) {
	for b := NoBarrier; b <= Spread; b++ {
		if b.String() == "" || strings.HasPrefix(b.String(), "barrier") {
			t.Errorf("%d has no name", b)
		}
	}
	if got := Barrier(99).String(); got != "barrier 99" {
		t.Error(got)
	}
}

// model is what a scheduler promises, kept in the plainest way.
type model struct {
	nodes map[string]Node
	want  map[string]int
	need  map[string]Request
	live  map[Container]Placement
}

func (m *model) held(request string) (n int, on map[string]int) {
	on = make(map[string]int)
	for _, p := range m.live {
		if p.Request == request {
			n++
			on[p.Node]++
		}
	}
	return n, on
}

func (m *model) free(name string) resource.Vector {
	free := m.nodes[name].Capacity
	for _, p := range m.live {
		if p.Node == name {
			free = free.Sub(m.need[p.Request].Capacity)
		}
	}
	return free
}

func (m *model) fits(id, name string) bool {
	r := m.need[id]
	return (r.NodeType == "" || r.NodeType == m.nodes[name].Type) && r.Capacity.Fits(m.free(name))
}

func TestPlacementsKeepToTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFIFO()
		m := &model{map[string]Node{}, map[string]int{}, map[string]Request{}, map[Container]Placement{}}
		used := map[Container]bool{}
		names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		types := rapid.SampledFrom([]string{"cpu", "gpu"})
		amount := rapid.Custom(func(t *rapid.T) resource.Vector {
			return resource.Vector{resource.CPU: rapid.Int64Range(1, 4).Draw(t, "cpu"), resource.Memory: rapid.Int64Range(0, 3).Draw(t, "mem")}
		})
		t.Repeat(map[string]func(*rapid.T){
			"node": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if _, ok := m.nodes[name]; ok {
					f.RemoveNode(name)
					delete(m.nodes, name)
					for id, p := range m.live {
						if p.Node == name {
							delete(m.live, id)
						}
					}
					return
				}
				v := amount.Draw(t, "capacity")
				n := Node{Name: name, Type: types.Draw(t, "type"), Capacity: v.Add(v)}
				f.SetNode(n)
				m.nodes[name] = n
			},
			"want": func(t *rapid.T) {
				id := names.Draw(t, "request")
				if n, _ := m.held(id); m.want[id] == 0 && n == 0 {
					m.need[id] = Request{ID: id, Service: "s" + id, Capacity: amount.Draw(t, "needs"), Priority: rapid.IntRange(-1, 1).Draw(t, "priority")}
					if rapid.Bool().Draw(t, "typed") {
						r := m.need[id]
						r.NodeType = types.Draw(t, "type")
						m.need[id] = r
					}
				}
				f.Submit(m.need[id])
				m.want[id] = rapid.IntRange(0, 6).Draw(t, "count")
				f.Want(id, m.want[id])
			},
			"release": func(t *rapid.T) {
				for _, id := range sortedContainers(m.live) {
					if rapid.Bool().Draw(t, "this one") {
						f.Release(id)
						delete(m.live, id)
					}
				}
			},
			"": func(t *rapid.T) {
				for {
					p, ok := f.Next()
					if !ok {
						break
					}
					if used[p.Container] {
						t.Fatalf("container %d was given twice", p.Container)
					}
					used[p.Container] = true
					if n, _ := m.held(p.Request); n >= m.want[p.Request] {
						t.Fatalf("%+v: %d of %d were there", p, n, m.want[p.Request])
					}
					if _, ok := m.nodes[p.Node]; !ok || !m.fits(p.Request, p.Node) {
						t.Fatalf("%+v does not fit into %v", p, m.free(p.Node))
					}
					m.live[p.Container] = p
				}
				for id, want := range m.want {
					held, _ := m.held(id)
					for name := range m.nodes {
						if held < want && m.fits(id, name) {
							t.Fatalf("%s holds %d of %d and waits, and %s has room", id, held, want, name)
						}
					}
					if why, _ := f.Explain(id); (why == "") != (held >= want) {
						t.Fatalf("%s holds %d of %d: %q", id, held, want, why)
					}
					if len(m.nodes) > 0 && held > 0 && f.Satisfiable(m.need[id]) != nil {
						t.Fatalf("%s holds %d and is said to be unsatisfiable", id, held)
					}
				}
			},
		})
	})
}

func sortedContainers(live map[Container]Placement) []Container {
	var ids []Container
	for id := range live {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func TestContainersAreSpreadOverTheNodesAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFIFO()
		nodes := rapid.IntRange(1, 5).Draw(t, "nodes")
		for i := range nodes {
			f.SetNode(Node{Name: fmt.Sprint("n", i), Capacity: resource.Vector{resource.CPU: rapid.Int64Range(1, 9).Draw(t, "cpu")}})
		}
		r := Request{ID: "r", Service: "r", Capacity: resource.Vector{resource.CPU: 1}, Nodes: rapid.IntRange(1, 5).Draw(t, "least")}
		f.Submit(r)
		want := rapid.IntRange(r.Nodes, 12).Draw(t, "want")
		f.Want("r", want)
		on, held := map[string]int{}, 0
		for {
			p, ok := f.Next()
			if !ok {
				break
			}
			on[p.Node]++
			held++
		}
		if held == want && len(on) < r.Nodes {
			t.Fatalf("%d containers on %d nodes, at least %d are asked for", held, len(on), r.Nodes)
		}
		if err := f.Satisfiable(r); (err != nil) != (r.Nodes > nodes) {
			t.Fatalf("%d of %d nodes: %v", r.Nodes, nodes, err)
		}
	})
}

func TestSubmitAgainKeepsThePlace(t *testing.T) {
	f := NewFIFO()
	one := resource.Vector{resource.CPU: 1}
	first, second := Request{ID: "a", Service: "a", Capacity: one}, Request{ID: "b", Service: "b", Capacity: one}
	for _, r := range []Request{first, second, first} {
		f.Submit(r)
		f.Want(r.ID, 1)
	}
	f.SetNode(Node{Name: "n", Platform: platform.Platform{OS: "linux", Arch: "amd64"}, Capacity: one})
	if p, ok := f.Next(); !ok || p.Request != "a" {
		t.Errorf("placed %+v, %v; want the service that was submitted first", p, ok)
	}
}
