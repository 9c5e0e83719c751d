package main

import (
	"fmt"
	"time"
)

// memorySample is what processes occupied at one time.
type memorySample struct {
	At    time.Duration `json:"at_ns"` // since the load began
	Bytes []int64       `json:"bytes"` // of each process, resident
}

// sampleMemory asks for all processes.
func sampleMemory(at time.Duration, list []process) (memorySample, error) {
	s := memorySample{At: at, Bytes: make([]int64, len(list))}
	for i, p := range list {
		m, err := memoryOf(p.pid)
		if err != nil {
			return s, fmt.Errorf("%s: %w", p.name, err)
		}
		s.Bytes[i] = m.now
	}
	return s, nil
}

// trend compares what a process occupied early with what it occupied in the end.
type trend struct {
	Name  string `json:"name"`
	Base  int64  `json:"base_bytes"` // the most of the time that is as long as the warm-up, after it
	Last  int64  `json:"last_bytes"` // the most of as long a time at the end
	Limit int64  `json:"limit_bytes"`
}

// grows says that more is occupied in the end than may be.
func (t trend) grows() bool { return t.Last > t.Limit }

// slack is by how much memory may be more in the end: it breathes with the load.
type slack struct {
	part  float64
	bytes int64
}

func (s slack) limit(base int64) int64 { return base + max(int64(s.part*float64(base)), s.bytes) }

// trends compares the samples of each process, and of all together.
func trends(samples []memorySample, list []process, warm, end time.Duration, s slack) ([]trend, error) {
	all := make([]trend, len(list)+1)
	var early, late int
	for _, sample := range samples {
		base, last := sample.At >= warm && sample.At < 2*warm, sample.At >= end-warm
		if base {
			early++
		}
		if last {
			late++
		}
		var sum int64
		for i := range all {
			bytes := sum
			if i < len(list) {
				bytes = sample.Bytes[i]
				sum += bytes
			}
			if base {
				all[i].Base = max(all[i].Base, bytes)
			}
			if last {
				all[i].Last = max(all[i].Last, bytes)
			}
		}
	}
	if early == 0 || late == 0 {
		return nil, fmt.Errorf("the memory was looked at %d times after the warm-up and %d times at the end: --every must be less than --warm", early, late)
	}
	for i := range all {
		all[i].Name = "all together"
		if i < len(list) {
			all[i].Name = list[i].name
		}
		all[i].Limit = s.limit(all[i].Base)
	}
	return all, nil
}
