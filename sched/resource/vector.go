// Package resource holds vectors of resources: what nodes have, what containers take.
//
// Values are plain numbers in the units of [Dimension]; the package is pure.
package resource

import (
	"fmt"
	"strings"
)

// Dimension is one resource that is measured and handed out.
type Dimension uint8

// The standard dimensions.
const (
	CPU     Dimension = iota // millicores
	GPU                      // devices
	Memory                   // bytes
	Network                  // bytes/s
	DiskIO                   // bytes/s

	// Dimensions is how many of them every [Space] of a fabric begins with.
	Dimensions = iota
)

// String gives the dimension's name as people read it.
func (d Dimension) String() string {
	switch d {
	case CPU:
		return "cpu"
	case GPU:
		return "gpu"
	case Memory:
		return "memory"
	case Network:
		return "network"
	case DiskIO:
		return "disk io"
	default:
		return fmt.Sprintf("dimension %d", uint8(d))
	}
}

// Vector is an amount of each resource, indexed by [Dimension]. The zero Vector is nothing at all.
type Vector [MaxDimensions]int64

// Add returns the sum of v and w.
func (v Vector) Add(w Vector) Vector {
	for d := range w {
		v[d] += w[d]
	}
	return v
}

// Sub returns v less w; dimensions may become negative.
func (v Vector) Sub(w Vector) Vector {
	for d := range w {
		v[d] -= w[d]
	}
	return v
}

// Max returns, in each dimension, the greater of v and w.
func (v Vector) Max(w Vector) Vector {
	for d := range w {
		v[d] = max(v[d], w[d])
	}
	return v
}

// Fits says whether v can be taken out of room without anything becoming negative. A dimension of which v takes
// nothing fits always.
func (v Vector) Fits(room Vector) bool {
	_, short := v.Short(room)
	return !short
}

// Short returns the first dimension in which v does not fit into room; ok is false when v fits.
func (v Vector) Short(room Vector) (d Dimension, ok bool) {
	for i, n := range v {
		if n > 0 && n > room[i] {
			return Dimension(i), true
		}
	}
	return 0, false
}

// Negative says whether any dimension is below nothing.
func (v Vector) Negative() bool {
	for _, n := range v {
		if n < 0 {
			return true
		}
	}
	return false
}

// Share is the largest part that v is of whole in any dimension: the dominant share. Dimensions that whole does not
// have do not count.
func (v Vector) Share(whole Vector) float64 {
	share := 0.0
	for d, n := range v {
		if whole[d] > 0 {
			share = max(share, float64(n)/float64(whole[d]))
		}
	}
	return share
}

// String gives what is not nothing, as "cpu 1.5, memory 64 MiB", or "nothing"; see [Space.Words].
func (v Vector) String() string { return Standard().Words(v) }

// Format writes an amount of the dimension for people: cores for cpu, devices for gpu, bytes or bytes/s with a binary
// unit when it is a whole number of it.
func (d Dimension) Format(n int64) string {
	switch d {
	case CPU:
		return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%03d", n/1000, abs(n%1000)), "0"), ".")
	case Memory:
		return bytes(n)
	case Network, DiskIO:
		return bytes(n) + "/s"
	default:
		return fmt.Sprint(n)
	}
}

func abs(n int64) int64 { return max(n, -n) }

func bytes(n int64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	u := 0
	for n != 0 && n%1024 == 0 && u < len(units)-1 {
		n, u = n/1024, u+1
	}
	return fmt.Sprintf("%d %s", n, units[u])
}
