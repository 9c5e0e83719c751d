package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseLoad(t *testing.T) {
	got, err := ParseLoad("nodes=20, queues=8,requests=300,dims=3,seed=18446744073709551615,shapes=0,use=1.5,blocked=0.25,unit=true")
	want := Load{Nodes: 20, Queues: 8, Requests: 300, Dims: 3, Seed: math.MaxUint64, Shapes: 0, Use: 1.5, Blocked: 0.25, Unit: true}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseLoad("nodes=20"); err != nil || got.Requests != DefaultLoad().Requests || got.Nodes != 20 {
		t.Errorf("%+v, %v", got, err)
	}
	for text, says := range map[string]string{
		"":                       "want key=value",
		"nodes":                  "want key=value",
		"node=3":                 `unknown key "node"; did you mean "nodes"?`,
		"colour=3":               "there are nodes, queues",
		"nodes=3,nodes=4":        "nodes is given twice",
		"nodes=0":                "nodes: 0 is not within 1 to 1000000",
		"queues=1e3":             `queues: "1e3" is not a whole number`,
		"requests=-1":            "requests: -1 is not",
		"dims=17":                "dims: 17 is not within 1 to 16",
		"seed=-1":                `seed: "-1" is not`,
		"shapes=-1":              "shapes: -1 is not",
		"use=NaN":                "use: NaN is not",
		"blocked=1.1":            "blocked: 1.1 is not within 0 to 1",
		"unit=perhaps":           `unit: "perhaps" is not true or false`,
		"requests=9999999999999": "requests: 9999999999999 is not within",
	} {
		if _, err := ParseLoad(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", text, err, says)
		}
	}
}

// loads are of all sorts; each is to be a scenario that could be run.
func loads() []Load {
	small := Load{Nodes: 90, Queues: 27, Requests: 2000, Dims: 5, Seed: 1, Shapes: 64, Use: 0.7}
	blocked := Load{Nodes: 50, Queues: 40, Requests: 1000, Dims: 5, Seed: 2, Shapes: 16, Use: 1.8, Blocked: 0.25}
	return []Load{
		small, blocked,
		{Nodes: 1, Queues: 1, Requests: 1, Dims: 1, Seed: 3, Shapes: 1, Use: 0.1},
		{Nodes: 40, Queues: 7, Requests: 500, Dims: 16, Seed: 4, Shapes: 0, Use: 0.5},
		{Nodes: 30, Queues: 100, Requests: 60, Dims: 2, Seed: 5, Shapes: 9, Use: 0.5, Blocked: 1},
		{Nodes: 30, Queues: 30, Requests: 3000, Dims: 5, Seed: 6, Shapes: 64, Use: 2, Unit: true},
	}
}

func TestEqualLoadsMakeEqualScenarios(t *testing.T) {
	for _, l := range loads() {
		if !reflect.DeepEqual(l.Document(), l.Document()) {
			t.Errorf("%+v: two scenarios differ", l)
		}
		other := l
		other.Seed++
		if l.Requests > 1 && reflect.DeepEqual(l.Document().Queues, other.Document().Queues) {
			t.Errorf("%+v: another seed makes the same queues", l)
		}
	}
}

func TestAScenarioSurvivesItsText(t *testing.T) {
	for _, l := range loads() {
		want := l.Document()
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Document
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: it reads back as another: %v", l, err)
		}
	}
}

func TestTheCluster(t *testing.T) {
	l := Load{Nodes: 10_000, Queues: 10, Requests: 10, Dims: 5, Seed: 1, Shapes: 64, Use: 0.7}
	sizes, racks, types, arches := map[int64]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, n := range l.Document().Cluster {
		sizes[n.Cap["cpu"]]++
		racks[n.Rack]++
		types[n.Type]++
		arches[n.Arch]++
		if (n.Type == "gpu") != (n.Cap["gpu"] > 0) {
			t.Fatalf("%+v", n)
		}
	}
	if len(sizes) != 3 || len(racks) != 250 || racks["rack-007"] != 40 || types["gpu"] != 1500 || len(arches) != 2 || arches["arm64"] < 1500 {
		t.Errorf("sizes %v, %d racks, types %v, architectures %v", sizes, len(racks), types, arches)
	}
}

func TestTheTreeIsNearACube(t *testing.T) {
	for queues, tops := range map[int]int{1000: 10, 10: 3, 1: 1, 27: 3, 100: 5} {
		l := DefaultLoad()
		l.Queues, l.Blocked = queues, 0.25
		d := l.Document()
		depth, children := map[string]int{"root": 0}, map[string]int{}
		for _, q := range d.Queues[1:] {
			depth[q.Name] = depth[q.Parent] + 1
			children[q.Parent]++
		}
		leaves, most := 0, 0
		for name, at := range depth {
			most = max(most, children[name])
			if children[name] > 0 {
				continue
			}
			leaves++
			if at != 3 {
				t.Errorf("%d leaves: %s is at level %d", queues, name, at)
			}
		}
		if leaves != queues || children["root"] != tops || most > tops {
			t.Errorf("%d leaves: there are %d, below %d, up to %d in one parent", queues, leaves, children["root"], most)
		}
	}
}

// The rules of the format: percentages of siblings sum to 100, and stand beside no weights; only what may have maxima has them.
func TestTheQueuesAreRight(t *testing.T) {
	styles, policies, priorities := map[string]bool{}, map[string]int{}, 0
	for _, l := range loads() {
		d := l.Document()
		percents, weights, blocked := map[string]float64{}, map[string]bool{}, 0
		for _, q := range d.Queues[1:] {
			if q.CapacityPct != "" {
				percent, err := q.CapacityPct.Float64()
				if err != nil || percent <= 0 {
					t.Errorf("%s: %v", q.Name, q.CapacityPct)
				}
				percents[q.Parent] += percent
				styles["percent"] = true
				if most, err := q.MaxPct.Float64(); q.MaxPct != "" && (err != nil || most < percent || most > 100) {
					t.Errorf("%s: %+v", q.Name, q)
				}
			} else if q.Weight != nil {
				weights[q.Parent] = true
				styles["weight"] = true
			}
			if q.Max != nil {
				blocked++
				if q.CapacityPct != "" {
					t.Errorf("%s has a percentage and a maximum below it", q.Name)
				}
			}
			if q.Priority > 0 {
				priorities++
			}
			policies[q.Policy]++
		}
		for parent, sum := range percents {
			if math.Abs(sum-100) > 1e-9 || weights[parent] {
				t.Errorf("children of %s: %v %%, weights beside: %v", parent, sum, weights[parent])
			}
		}
		if want := int(math.Round(l.Blocked * float64(l.Queues))); blocked != want {
			t.Errorf("%d queues are to be blocked, want %d", blocked, want)
		}
	}
	if len(styles) != 2 || priorities == 0 || policies["fifo"] == 0 || policies["fair"] == 0 || policies["capacity"] == 0 {
		t.Errorf("%v, %d priorities, policies %v", styles, priorities, policies)
	}
}

// All requests together take what they are to take of the scarcest dimension, and less of all others.
func TestTheRequestsFitTheCluster(t *testing.T) {
	for _, l := range loads() {
		d := l.Document()
		total, asked, vectors, requests := Amounts{}, Amounts{}, map[string]bool{}, map[string]bool{}
		for _, n := range d.Cluster {
			for name, amount := range n.Cap {
				total[name] += amount
			}
		}
		parents := map[string]bool{}
		for _, q := range d.Queues {
			parents[q.Parent] = true
		}
		for _, s := range d.Steps {
			if s.Op != "submit" {
				continue
			}
			if parents[s.Queue] || len(s.Requests) == 0 || !strings.HasPrefix(s.Service, "s") {
				t.Fatalf("%+v", s)
			}
			for _, r := range s.Requests {
				if requests[r.ID] || r.Count < 1 || r.Nodes > r.Count {
					t.Fatalf("%+v", r)
				}
				requests[r.ID], vectors[fmt.Sprint(r.Cap)] = true, true
				for name, amount := range r.Cap {
					asked[name] += amount * int64(r.Count)
				}
			}
		}
		scarcest := 0.0
		for name, amount := range asked {
			scarcest = max(scarcest, float64(amount)/float64(total[name]))
		}
		if len(requests) != l.Requests || math.Abs(scarcest-l.Use) > 0.02*l.Use {
			t.Errorf("%+v: %d requests take %.3f of the scarcest dimension", l, len(requests), scarcest)
		}
		if l.Unit && len(vectors) != 1 || l.Shapes == 0 && len(vectors) < l.Requests*9/10 || len(vectors) > max(l.Shapes, 1) && l.Shapes > 0 {
			t.Errorf("%+v: %d vectors", l, len(vectors))
		}
		ops := []string{d.Steps[len(d.Steps)-2].Op, d.Steps[len(d.Steps)-1].Op}
		if !slices.Equal(ops, []string{"schedule", "state"}) {
			t.Errorf("the steps end with %v", ops)
		}
	}
}

// The demand for gpus is never the one that is short: there is less of it than of gpus, and more than nothing.
func TestThereIsWorkForGPUs(t *testing.T) {
	for _, use := range []float64{0.7, 1.8} {
		l := Load{Nodes: 1000, Queues: 100, Requests: 10_000, Dims: 5, Seed: 1, Shapes: 64, Use: use}
		gpus := int64(0)
		for _, s := range l.Document().Steps {
			for _, r := range s.Requests {
				gpus += r.Cap["gpu"] * int64(r.Count)
			}
		}
		if gpus < 300 || gpus > 1000 {
			t.Errorf("use %v: %d gpus of 1200 are asked for", use, gpus)
		}
	}
}

func TestLoadIsReadAsItIsWritten(t *testing.T) {
	l := Load{Nodes: 2, Queues: 3, Requests: 4, Dims: 5, Seed: 6, Shapes: 7, Use: 0.125, Blocked: 0.5, Unit: true}
	if got, err := ParseLoad(l.String()); err != nil || got != l {
		t.Errorf("%s: %v, %v", l, got, err)
	}
}

// What is generated is right by the rules of scenarios, and a plan has all of it.
func TestAGeneratedScenarioIsRight(t *testing.T) {
	for _, l := range loads() {
		d := l.Document()
		plan, err := d.Plan()
		if err != nil {
			t.Errorf("%+v: %v", l, err)
			continue
		}
		requests, containers, want := 0, 0, 0
		for _, v := range plan.Services {
			requests += len(v.Requests)
			for _, r := range v.Requests {
				containers += r.Count
			}
		}
		for _, s := range d.Steps {
			for _, r := range s.Requests {
				want += r.Count
			}
		}
		if len(plan.Nodes) != l.Nodes || len(plan.Queues) != len(d.Queues) || requests != l.Requests || containers != want || plan.Space.Len() != l.Dims {
			t.Errorf("%+v: %d nodes, %d queues, %d requests of %d containers", l, len(plan.Nodes), len(plan.Queues), requests, containers)
		}
	}
}

func TestAPlanOfWhatIsNotRight(t *testing.T) {
	d := loads()[0].Document()
	d.Queues[1].Parent = "nowhere"
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "queues[1].parent") {
		t.Errorf("error %v", err)
	}
}
