package resource_test

import (
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/sched/resource"
)

func vectors(top int64) *rapid.Generator[Vector] {
	return rapid.Custom(func(t *rapid.T) Vector {
		var v Vector
		for d := range v {
			v[d] = rapid.Int64Range(0, top).Draw(t, Dimension(d).String())
		}
		return v
	})
}

func TestWhatFitsCanBeTakenOutAndPutBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room, v := vectors(10).Draw(t, "room"), vectors(10).Draw(t, "v")
		left := room.Sub(v)
		if v.Fits(room) == left.Negative() {
			t.Fatalf("%v fits %v: %v, but %v is left", v, room, v.Fits(room), left)
		}
		if left.Add(v) != room {
			t.Fatalf("%v less and plus %v is %v", room, v, left.Add(v))
		}
		if d, short := v.Short(room); short && v[d] <= room[d] {
			t.Fatalf("%v is said to be short in %v of %v", room, d, v)
		}
		if m := room.Max(v); !v.Fits(m) || !room.Fits(m) {
			t.Fatalf("the greater of %v and %v holds not both: %v", room, v, m)
		}
	})
}

func TestNothingFitsEvenWhereLessThanNothingIsFree(t *testing.T) {
	if !(Vector{}).Fits(Vector{CPU: -5}) {
		t.Error("nothing does not fit")
	}
	if (Vector{CPU: 1}).Fits(Vector{CPU: 0}) {
		t.Error("something fits into nothing")
	}
}

func TestShareIsTheDominantOne(t *testing.T) {
	whole := Vector{CPU: 9000, Memory: 18}
	for _, tt := range []struct {
		v    Vector
		want float64
	}{
		{Vector{}, 0},
		{Vector{CPU: 1000, Memory: 4}, 4.0 / 18},
		{Vector{CPU: 3000, Memory: 1}, 1.0 / 3},
		{Vector{GPU: 7}, 0},
	} {
		if got := tt.v.Share(whole); got != tt.want {
			t.Errorf("share of %v is %v, want %v", tt.v, got, tt.want)
		}
	}
}

func TestStringIsForPeople(t *testing.T) {
	for _, tt := range []struct {
		v    Vector
		want string
	}{
		{Vector{}, "nothing"},
		{Vector{CPU: 1500, Memory: 64 << 20}, "cpu 1.5, memory 64 MiB"},
		{Vector{CPU: 1000, GPU: 2}, "cpu 1, gpu 2"},
		{Vector{CPU: 10, Memory: 1000}, "cpu 0.01, memory 1000 B"},
		{Vector{CPU: 10_000, Network: 1 << 30, DiskIO: 3 << 10}, "cpu 10, network 1 GiB/s, disk io 3 KiB/s"},
	} {
		if got := tt.v.String(); got != tt.want {
			t.Errorf("%v, want %v", got, tt.want)
		}
	}
	if got := Dimension(9).String(); got != "dimension 9" {
		t.Error(got)
	}
}
