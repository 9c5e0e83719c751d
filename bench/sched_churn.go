package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const (
	arrivalSize = 4 // requests with which a service comes back
	spareNames  = 2 // services of a leaf that have not come yet when the churn begins
)

// runChurn fills the cluster, and then measures how it goes on: requests that have containers end by chance, one that has
// ended comes again as a new one of another service in the same queue, and the scheduler hands out what is free. What is
// wanted in all stays the same.
func (m *schedMeasurement) runChurn(ctx context.Context) error {
	if err := m.fill(ctx); err != nil {
		return err
	}
	m.pass.LeastUse, m.pass.JainLeast = 1, 1
	if err := m.start(); err != nil {
		return err
	}
	samples, due := 0, sampleEvery
	for {
		if err := m.endSome(); err != nil {
			return err
		}
		m.last = time.Since(m.epoch)
		for m.decide() {
		}
		if m.pass.Decisions < due && time.Since(m.epoch)-m.began < time.Second {
			continue
		}
		m.stop()
		due = m.pass.Decisions + sampleEvery
		samples++
		if err := m.sample(); err != nil {
			return err
		}
		if m.pass.Elapsed.Seconds() >= m.seconds || ctx.Err() != nil {
			break
		}
		m.resume()
	}
	m.end()
	m.pass.Jain /= float64(max(samples, 1))
	m.pass.Use /= float64(max(samples, 1))
	return ctx.Err()
}

// fill places all that can be placed, makes room for what a churn keeps, and forgets what was measured meanwhile.
func (m *schedMeasurement) fill(ctx context.Context) error {
	m.load.makeRoom()
	m.running = make([]int32, 0, len(m.load.requests))
	begin := time.Now()
	m.last = time.Since(m.epoch)
	for m.decide() {
		if m.pass.Decisions%sampleEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	m.pass.Fill, m.pass.Filled = time.Since(begin), m.pass.Decisions
	m.pass.Decisions, m.pass.Vain = 0, 0
	m.latency.Reset()
	m.vain.Reset()
	m.load.count()
	m.arriving, m.spare = make([][]int32, len(m.load.queues)), make([][]int32, len(m.load.queues))
	for i, q := range m.load.queues {
		if !q.leaf {
			continue
		}
		m.arriving[i], m.spare[i] = make([]int32, 0, 4*arrivalSize), make([]int32, 0, 8*arrivalSize)
	}
	for i := range len(m.load.services) {
		v := m.load.services[i]
		if len(m.spare[v.queue]) == spareNames {
			continue
		}
		v.live, v.Name = 0, fmt.Sprintf("s%d", len(m.load.services)+1)
		m.load.services = append(m.load.services, v)
		m.spare[v.queue] = append(m.spare[v.queue], int32(len(m.load.services)-1)) //nolint:gosec // there are not that many
	}
	return nil
}

// endSome ends requests with a batch of containers, or a few more.
func (m *schedMeasurement) endSome() error {
	for end := m.pass.Releases + m.batch; m.pass.Releases < end && len(m.running) > 0; {
		i := m.rng.IntN(len(m.running))
		request := m.running[i]
		last := len(m.running) - 1
		m.running[i] = m.running[last]
		m.running = m.running[:last]
		r := &m.load.requests[request]
		m.load.scheduler.Want(r.id, 0)
		for _, c := range r.containers[:r.held] {
			m.load.scheduler.Release(c)
		}
		m.pass.Releases += int(r.held)
		r.want, r.held = 0, 0
		m.load.changes(int(request))
		if err := m.ended(request); err != nil {
			return err
		}
	}
	return nil
}

// ended has a request that has ended, and perhaps its service, come again.
func (m *schedMeasurement) ended(request int32) error {
	b := m.load
	v := b.requests[request].service
	at := b.services[v].queue
	if b.services[v].live--; b.services[v].live == 0 {
		b.scheduler.RemoveService(b.services[v].Name)
		m.spare[at] = append(m.spare[at], v)
	}
	m.arriving[at] = append(m.arriving[at], request)
	if len(m.arriving[at]) < arrivalSize || len(m.spare[at]) == 0 {
		return nil
	}
	last := len(m.spare[at]) - 1
	next := m.spare[at][last]
	m.spare[at] = m.spare[at][:last]
	if err := b.begin(next); err != nil {
		return err
	}
	for _, r := range m.arriving[at] {
		if err := b.submit(int(r), next); err != nil {
			return err
		}
		m.pass.Submitted++
	}
	m.arriving[at] = m.arriving[at][:0]
	return nil
}

// sample looks at use and fairness, and at what decisions allocate when nothing else does, outside of the measured time.
func (m *schedMeasurement) sample() error {
	_, use := m.load.scarcest()
	m.pass.Use += use
	m.pass.LeastUse = min(m.pass.LeastUse, use)
	jain := m.load.fairness()
	m.pass.JainLeast = min(m.pass.JainLeast, jain)
	m.pass.Jain += jain
	if err := m.endSome(); err != nil {
		return err
	}
	runtime.ReadMemStats(&m.memory)
	m.pass.Alone.Allocs -= m.memory.Mallocs
	for {
		p, ok := m.load.scheduler.Next()
		if !ok {
			break
		}
		m.pass.Alone.Decisions++
		m.note(p)
	}
	runtime.ReadMemStats(&m.memory)
	m.pass.Alone.Allocs += m.memory.Mallocs
	return nil
}
