package client

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
)

// TestEveryTaskFinishesOnce submits tasks to sessions while the network loses what is on its connections, the broker
// repeats results, moves sessions, and is replaced by another that knows nothing. When all is quiet again, every task
// has had its own result exactly once, and nothing is left over.
func TestEveryTaskFinishesOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		sessions := []*Session{w.open(), w.open()}
		sent := map[*Session]map[protocol.TaskID][]byte{}
		for _, s := range sessions {
			sent[s] = map[protocol.TaskID][]byte{}
		}
		var sources []Completion // not consumed yet
		consume := func() {
			for _, c := range w.order[len(sources):] {
				sources = append(sources, c)
				w.e.Consumed(c.Source, int64(c.Size))
			}
			w.pump()
		}
		hosted := func() *hosted {
			n := w.numbers()
			if len(n) == 0 {
				return nil
			}
			return w.broker.sessions[rapid.SampledFrom(n).Draw(rt, "session")]
		}
		wireOf := func(can func(*wire) bool) *wire {
			var all []*wire
			for _, l := range w.lines {
				if can(l) {
					all = append(all, l)
				}
			}
			if len(all) == 0 {
				return nil
			}
			return all[rapid.IntRange(0, len(all)-1).Draw(rt, "wire")]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"submit": func(rt *rapid.T) {
				s := sessions[rapid.IntRange(0, 1).Draw(rt, "of")]
				size := rapid.SampledFrom([]int{0, 16, 5000, 9000, 40_000}).Draw(rt, "size")
				for range rapid.IntRange(1, 12).Draw(rt, "tasks") {
					if !w.e.Room(s, size) {
						return
					}
					payload := bytes.Repeat([]byte{byte(len(sent[s]))}, size)
					sent[s][w.submit(s, payload)] = payload
				}
			},
			"up": func(*rapid.T) {
				if l := wireOf(func(l *wire) bool { return len(l.out) > 0 && !l.dead }); l != nil {
					w.up(l)
				}
			},
			"down": func(*rapid.T) {
				if l := wireOf(func(l *wire) bool { return len(l.in) > 0 && !l.dead }); l != nil {
					w.down(l)
				}
			},
			"carry": func(*rapid.T) { // all that is on connections that work
				for _, l := range slices.Clone(w.lines) {
					for len(l.out) > 0 && !l.dead {
						w.up(l)
					}
					for len(l.in) > 0 && !l.dead {
						w.down(l)
					}
				}
			},
			"answer": func(rt *rapid.T) {
				if s := hosted(); s != nil && !s.closed && len(s.queue) > 0 {
					w.broker.answer(s, rapid.IntRange(0, len(s.queue)-1).Draw(rt, "task"), false)
					w.route()
				}
			},
			"repeat": func(rt *rapid.T) {
				if s := hosted(); s != nil && !s.closed && len(s.done) > 0 {
					w.broker.result(s, s.done[rapid.IntRange(0, len(s.done)-1).Draw(rt, "task")], false)
					w.route()
				}
			},
			"cut": func(*rapid.T) {
				if l := wireOf(func(l *wire) bool { return !l.dead }); l != nil {
					w.cut(l)
				}
			},
			"vanish": func(*rapid.T) {
				if l := wireOf(func(l *wire) bool { return !l.dead }); l != nil {
					w.kill(l)
				}
			},
			"revive": func(*rapid.T) {
				if l := wireOf(func(l *wire) bool { return l.dead }); l != nil {
					w.revive(l)
				}
			},
			"time": func(rt *rapid.T) {
				w.step(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
				w.broker.beat()
				w.route()
			},
			"consume": func(*rapid.T) { consume() },
			"replace": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "chance") == 0 {
					w.restart()
				}
			},
			"move": func(*rapid.T) {
				// A session moves when it has nothing at the loop that it leaves, as the broker sees it.
				if s := hosted(); s != nil && !s.closed && len(s.queue) == 0 && len(s.done) == 0 {
					w.broker.refer(s, map[string]string{"loop-0": "loop-1", "loop-1": "loop-0"}[s.at])
					w.route()
				}
			},
		})
		for _, l := range w.lines {
			if l.dead {
				w.revive(l)
			}
		}
		for range 20 {
			w.run(time.Second)
			w.answerAll()
		}
		consume()
		w.settle()
		rt.Log(w.dump())
		for _, s := range sessions {
			for id, payload := range sent[s] {
				w.expect(s, id, payload)
			}
			if s.tasks != 0 || s.bytes != 0 || len(w.done[s]) != len(sent[s]) {
				rt.Fatalf("%d tasks with %d bytes are left; %d of %d finished", s.tasks, s.bytes, len(w.done[s]), len(sent[s]))
			}
		}
		checkNothingLeft(rt, w)
	})
}

// checkNothingLeft expects that the engine holds nothing for tasks that are finished.
func checkNothingLeft(rt *rapid.T, w *world) {
	w.run(3 * time.Second) // acknowledgements
	if n := w.e.Outstanding(); n != 0 || len(w.e.free) != len(w.e.slots) {
		rt.Fatalf("%d outstanding, %d of %d slots free", n, len(w.e.free), len(w.e.slots))
	}
	for _, c := range w.e.conns {
		if c.control || c.phase != up {
			continue
		}
		e := w.broker.routers[c.endpoint].ends[42]
		if c.consumed != e.sent || e.sent-e.consumed >= 2048 {
			rt.Fatalf("%s: sent %d bytes of results, consumed %d, told %d", c.endpoint, e.sent, c.consumed, e.consumed)
		}
	}
	if len(w.refs) != 0 {
		rt.Fatalf("%d payloads are still held", len(w.refs))
	}
}
