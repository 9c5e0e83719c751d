package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/weft-fabric/weft/bench/party"
)

// collections is what the garbage collector of a process has done since it was last asked for.
type collections struct {
	Count   int64         `json:"count"`
	Longest time.Duration `json:"longest"` // for which one collection has stopped the process, in all
	Heap    int64         `json:"heap"`    // bytes of it that are in use now, garbage included
}

// add adds what was done later.
func (c *collections) add(later collections) {
	c.Count += later.Count
	c.Longest = max(c.Longest, later.Longest)
	c.Heap = max(c.Heap, later.Heap)
}

// gcWatch watches the garbage collector of this process.
type gcWatch struct{ seen int64 }

// heapInUse is the metric of objects on the heap.
const heapInUse = "/memory/classes/heap/objects:bytes"

// look says what was done since the last look. It fails when that is more than the runtime remembers.
func (g *gcWatch) look() (collections, error) {
	var s debug.GCStats
	debug.ReadGCStats(&s)
	c := collections{Count: s.NumGC - g.seen}
	g.seen = s.NumGC
	if c.Count > int64(len(s.Pause)) {
		return c, fmt.Errorf("%d collections since the last look, the runtime remembers %d", c.Count, len(s.Pause))
	}
	for _, pause := range s.Pause[:c.Count] { // the latest comes first
		c.Longest = max(c.Longest, pause)
	}
	sample := []metrics.Sample{{Name: heapInUse}}
	metrics.Read(sample)
	c.Heap = int64(sample[0].Value.Uint64()) //nolint:gosec // a heap has less than 2^63 bytes
	return c, nil
}

// obey tells what the collector has done.
func (g *gcWatch) obey(_ context.Context, o party.Order) (party.Answer, error) {
	if o.Do != "collections" {
		return party.Answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
	c, err := g.look()
	if err != nil {
		return party.Answer{}, err
	}
	report, err := json.Marshal(c)
	return party.Answer{Report: report}, err
}

// collectionsOf asks a party that watches its collector.
func collectionsOf(ctx context.Context, p *party.Process) (c collections, err error) {
	ctx, stop := within(ctx, 0)
	defer stop()
	a, err := p.Ask(ctx, party.Order{Do: "collections"})
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(a.Report, &c); err != nil {
		return c, fmt.Errorf("read the collections of %s: %w", p.Name(), err)
	}
	return c, nil
}
