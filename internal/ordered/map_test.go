package ordered_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/ordered"
)

func keysOf[V any](m *ordered.Map[int, V]) []int {
	var keys []int
	for k := range m.All() {
		keys = append(keys, k)
	}
	return keys
}

func TestZeroMapIsEmpty(t *testing.T) {
	var m ordered.Map[string, int]
	if m.Len() != 0 {
		t.Errorf("Len() = %d, want 0", m.Len())
	}
	if v, ok := m.Get("a"); ok || v != 0 {
		t.Errorf(`Get("a") = %d, %t, want 0, false`, v, ok)
	}
	if m.Delete("a") {
		t.Error(`Delete("a") = true on an empty map`)
	}
	if k, v, ok := m.First(); ok || k != "" || v != 0 {
		t.Errorf("First() = %q, %d, %t, want nothing", k, v, ok)
	}
	for k, v := range m.All() {
		t.Errorf("All() yielded %q, %d", k, v)
	}
}

func TestSetReplacesTheValue(t *testing.T) {
	var m ordered.Map[string, int]
	m.Set("a", 1)
	m.Set("a", 2)
	if v, ok := m.Get("a"); v != 2 || !ok || m.Len() != 1 {
		t.Errorf(`Get("a") = %d, %t, Len() = %d, want 2, true, 1`, v, ok, m.Len())
	}
}

// TestAgainstModel compares the map, after every operation, with a built-in map
// whose keys are sorted.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m ordered.Map[int, int]
		model := map[int]int{}
		key := rapid.IntRange(0, 30)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				m.Set(k, v)
				model[k] = v
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, want := model[k]
				delete(model, k)
				if got := m.Delete(k); got != want {
					t.Fatalf("Delete(%d) = %t, want %t", k, got, want)
				}
			},
			"": func(t *rapid.T) {
				want := slices.Sorted(maps.Keys(model))
				if got := keysOf(&m); !slices.Equal(got, want) {
					t.Fatalf("All() visits %v, want %v", got, want)
				}
				for k, v := range m.All() {
					if got, ok := m.Get(k); !ok || got != v || v != model[k] {
						t.Fatalf("key %d: All() gives %d, Get %d, %t, want %d", k, v, got, ok, model[k])
					}
				}
				if m.Len() != len(model) {
					t.Fatalf("Len() = %d, want %d", m.Len(), len(model))
				}
				if k, v, ok := m.First(); ok != (len(want) > 0) || ok && (k != want[0] || v != model[k]) {
					t.Fatalf("First() = %d, %d, %t, keys %v", k, v, ok, want)
				}
			},
		})
	})
}

func TestAllStops(t *testing.T) {
	var m ordered.Map[int, int]
	for _, k := range []int{3, 1, 2} {
		m.Set(k, k)
	}
	var seen []int
	for k := range m.All() {
		seen = append(seen, k)
		if k == 2 {
			break
		}
	}
	if want := []int{1, 2}; !slices.Equal(seen, want) {
		t.Errorf("visited %v, want %v", seen, want)
	}
}

func TestAllWhileTheMapChanges(t *testing.T) {
	for _, test := range []struct {
		name string
		at   int // the key at which change is called
		do   func(m *ordered.Map[int, string])
		want []int
	}{
		{"delete the present key", 20, func(m *ordered.Map[int, string]) { m.Delete(20) }, []int{10, 20, 30, 40}},
		{"delete what was visited", 20, func(m *ordered.Map[int, string]) { m.Delete(10) }, []int{10, 20, 30, 40}},
		{"delete what comes", 20, func(m *ordered.Map[int, string]) { m.Delete(30) }, []int{10, 20, 40}},
		{"delete all", 20, func(m *ordered.Map[int, string]) {
			for _, k := range []int{10, 20, 30, 40} {
				m.Delete(k)
			}
		}, []int{10, 20}},
		{"set what comes", 20, func(m *ordered.Map[int, string]) { m.Set(25, "") }, []int{10, 20, 25, 30, 40}},
		{"set behind", 20, func(m *ordered.Map[int, string]) { m.Set(5, "") }, []int{10, 20, 30, 40}},
		{"replace the present key", 20, func(m *ordered.Map[int, string]) {
			m.Delete(20)
			m.Set(20, "again")
			m.Set(15, "")
		}, []int{10, 20, 30, 40}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m ordered.Map[int, string]
			for _, k := range []int{40, 10, 30, 20} {
				m.Set(k, "")
			}
			var seen []int
			for k := range m.All() {
				seen = append(seen, k)
				if k == test.at {
					test.do(&m)
				}
			}
			if !slices.Equal(seen, test.want) {
				t.Errorf("visited %v, want %v", seen, test.want)
			}
		})
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	var m ordered.Map[int, int]
	for k := range 100 {
		m.Set(k, k)
	}
	sum := 0
	allocs := testing.AllocsPerRun(100, func() {
		for k, v := range m.All() {
			w, _ := m.Get(k)
			sum += v + w
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations to read a map, want 0 (sum %d)", allocs, sum)
	}
}

func BenchmarkSetDelete(b *testing.B) {
	keys := rand.New(rand.NewPCG(1, 2)).Perm(4096)
	var m ordered.Map[int, int]
	for _, k := range keys {
		m.Set(k, k)
	}
	for i := 0; b.Loop(); i++ {
		k := keys[i%len(keys)]
		m.Delete(k)
		m.Set(k, i)
	}
}
