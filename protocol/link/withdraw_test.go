package link

import (
	"bytes"
	"slices"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// TestWithdraw takes back records that have not left; those that have stay as they are.
func TestWithdraw(t *testing.T) {
	p := newPair(t)
	options := &protocol.TaskOptions{Priority: 1}
	id := func(n uint64) protocol.TaskID { return protocol.NewTaskID(n, 0) }
	f, kept := AppendTask(p.a, 3, id(1), []byte("kept"), nil)
	_, first := AppendTask(p.a, 3, id(2), []byte("back"), nil)
	_, second := AppendTask(p.a, 3, id(3), []byte("back as well"), options)
	plain := AppendTaskExternal(p.a, 3, id(4), 9000, 5, nil)
	third := AppendTaskExternal(p.a, 3, id(5), 9000, 6, options)
	mark := Last(p.a)
	f.Hold()
	if f.Left() || mark.Left() {
		t.Fatal("a frame has left that nobody took")
	}
	if string(f.At(kept, 4)) != "kept" || string(f.At(second, 4)) != "back" {
		t.Errorf("the payloads are %q, %q", f.At(kept, 4), f.At(second, 4))
	}
	if !f.Withdraw(first) || !f.Withdraw(second) || !mark.Withdraw(third) {
		t.Fatal("a record that has not left cannot be withdrawn")
	}
	sent := leave(p.a)
	if !f.Left() || !mark.Left() || f.Withdraw(kept) || mark.Withdraw(plain) {
		t.Error("a record that has left can be withdrawn")
	}
	_, rest, err := protocol.ParseHeader(sent[0])
	if err != nil {
		t.Fatal(err)
	}
	var tasks []uint64
	credits := 0
	r := protocol.NewReader(rest)
	for rec := (protocol.Record{}); ; {
		ok, err := r.Next(&rec)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		switch rec.Kind {
		case protocol.KindTask:
			tasks = append(tasks, rec.Task)
		case protocol.KindCredit:
			if credits++; rec.Task != 0 || rec.Session != 0 {
				t.Errorf("withdrawn: %+v", rec)
			}
		default:
			t.Errorf("got %v", rec.Kind)
		}
	}
	if want := []uint64{uint64(id(1)), uint64(id(4))}; !slices.Equal(tasks, want) || credits != 3 {
		t.Errorf("tasks %v arrive, and %d withdrawn ones; want %v and 3", tasks, credits, want)
	}
	if !bytes.Contains(sent[0], []byte("kept")) {
		t.Error("the payload that stays does not arrive")
	}
	f.Drop()
}

// TestWithdrawWhatIsSentAgain: what a conversation that is resumed finds missing may be withdrawn, what it does not find
// missing has arrived.
func TestWithdrawWhatIsSentAgain(t *testing.T) {
	for _, lost := range []bool{true, false} {
		p := newPair(t)
		f, off := AppendTask(p.a, 3, 1<<24, []byte("x"), nil)
		f.Hold()
		AppendTaskExternal(p.a, 3, 2<<24, 9000, 5, nil)
		mark := Last(p.a)
		sent := leave(p.a)
		if !lost {
			p.take(p.b, sent)
		}
		p.a.Lost()
		if f.Withdraw(off) || !mark.Left() {
			t.Error("it is not known whether it has arrived, and it is withdrawn")
		}
		p.a.Greet(protocol.Hello{})
		p.open(true)
		if f.Left() == lost || mark.Left() == lost || f.Withdraw(off) != lost {
			t.Errorf("lost: %t; left: %t and %t", lost, f.Left(), mark.Left())
		}
		f.Drop()
	}
}

// TestNoMark: of a frame that nobody named nothing is known.
func TestNoMark(t *testing.T) {
	if m := (Mark{}); !m.Left() || m.Withdraw(0) {
		t.Error("a frame that is not there has not left, or is withdrawn")
	}
}
