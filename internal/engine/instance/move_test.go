package instance

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// moveManager hands the instance's conversation over to another loop of the broker, which refers the instance there.
func (w *world) moveManager() {
	w.cut(Data)
	d := w.ends[Data]
	d.node.Detach(d.link)
	d.node = link.NewNode(d.node.Epoch, d.node.Incarnation)
	d.node.Attach(d.link)
	w.moves++
	w.refer(refer + "-" + string(rune('a'+w.moves%20)))
}

func TestFollowsItsManager(t *testing.T) {
	w := serving(t, Config{Slots: 2}, 1)
	for task := range uint64(4) {
		w.dispatch(1, task+1, "x")
	}
	w.begin() // 1 and 2
	w.finish(0, nil)
	w.take() // the result of 1 arrives, and is not acknowledged
	w.cut(Data)
	w.finish(0, nil) // that of 2 is said to nobody
	w.moveManager()
	w.tell(protocol.KindRecall, 1, 4, nil)
	w.pump()
	if got := w.ends[Data].dialed; got == refer || got == "" {
		t.Fatalf("the data line leads to %q", got)
	}
	if len(w.cancels) > 0 || w.all || len(w.e.roster.sessions) != 1 {
		t.Fatalf("%d contexts were ended, %d sessions are held; the instance was only to dial", len(w.cancels), len(w.e.roster.sessions))
	}
	w.run(nil)
	var got []uint64
	for _, s := range w.heard() {
		switch s.kind { //nolint:exhaustive // others would be too many
		case protocol.KindResult:
			got = append(got, s.task)
		case protocol.KindRecalled:
			got = append(got, 100+s.task)
		}
	}
	slices.Sort(got)
	if want := []uint64{1, 2, 3, 104}; !slices.Equal(got, want) {
		t.Fatalf("answers %v, want %v (+100: recalled)", got, want)
	}
}

// TestFollowsToStrangers refers an instance to a manager that does not know of its conversation.
func TestFollowsToStrangers(t *testing.T) {
	w := serving(t, Config{}, 1)
	w.dispatch(1, 1, "x")
	w.begin()
	w.renew(Data)
	w.refer(refer + "-other")
	w.pump()
	if len(w.cancels) != 1 {
		t.Fatalf("%d contexts were ended, want that of the session", len(w.cancels))
	}
	w.finish(0, nil)
	w.run(nil)
	w.want("after a manager that is another", said{kind: protocol.KindHello})
	if n := len(w.e.roster.sessions); n != 0 {
		t.Fatalf("%d sessions are held", n)
	}
}

// TestDrainsAcrossAMove moves the manager of an instance that is asked to end.
func TestDrainsAcrossAMove(t *testing.T) {
	w := serving(t, Config{}, 1)
	w.dispatch(1, 1, "x")
	w.begin()
	w.e.Stop(w.now)
	w.moveManager()
	w.pass(time.Second)
	w.finish(0, nil)
	w.want("draining", said{kind: protocol.KindDrain}, said{kind: protocol.KindHello}, said{kind: protocol.KindResult, session: 1, task: 1, body: "x"})
	w.tell(protocol.KindUnbind, 1, 0, nil)
	w.tell(protocol.KindLeave, 0, 0, nil)
	w.run(nil)
	w.pass(time.Second)
	if w.e.State() != Ended || w.e.Err() != nil {
		t.Fatalf("state %v, %v; want ended in order", w.e.State(), w.e.Err())
	}
}
