package protocol

import (
	"testing"
	"time"
)

func TestOptionsOfATask(t *testing.T) {
	for _, o := range []TaskOptions{
		{},
		{Timeout: time.Second},
		{Priority: -128},
		{Priority: 127},
		{Timeout: time.Minute, AtMost: true},
		{Timeout: time.Hour, Run: time.Minute, Priority: 1, Attempts: 100, HostLosses: 200, Backoff: time.Millisecond, MaxBackoff: time.Second, AtMost: true},
	} {
		b := AppendTask(nil, 7, NewTaskID(1, 2), []byte("payload"), &o)
		b = AppendTaskExternal(b, 7, NewTaskID(2, 3), 9000, &o)
		got, err := readAll(b)
		if err != nil || len(got) != 2 || string(got[0].Payload) != "payload" || !got[1].External || got[1].Size != 9000 {
			t.Fatalf("%+v: %+v, %v", o, got, err)
		}
		for i := range got {
			if p, ok := got[i].Options(); !ok || p != o {
				t.Errorf("%+v came back as %+v, %t", o, p, ok)
			}
			if (o == TaskOptions{}) != (got[i].Ext == nil) {
				t.Errorf("%+v has the last element % x", o, got[i].Ext)
			}
		}
	}
	short := TaskOptions{Timeout: 1}
	rec := Record{Ext: short.append(nil)}
	if o, ok := rec.Options(); !ok || o.Timeout != time.Microsecond {
		t.Errorf("a nanosecond became %v: it must not become none", o.Timeout)
	}
	for _, bad := range [][]byte{{0xc0}, {0x81}, {0x81, 1}, {0x81, 0xa1, 'k', 1}} {
		if o, ok := (&Record{Ext: bad}).Options(); ok {
			t.Errorf("% x is read as %+v", bad, o)
		}
	}
	if o, ok := (&Record{Ext: []byte{0x82, 99, 0x91, 1, 3, 0xcd, 0x03, 0xe8}}).Options(); !ok || o.Priority != 127 {
		t.Errorf("a key of a later day, and a priority of 1000: %+v, %t", o, ok)
	}
}

func TestHowATaskIsToBeExecuted(t *testing.T) {
	for _, x := range []Execution{
		{ID: 5, Attempt: 1},
		{ID: 5, Attempt: 2},
		{ID: NewTaskID(MaxTaskSequence, MaxTaskSlot), Attempt: 255, Timeout: time.Second, Run: time.Hour, Watch: true},
		{ID: 5, Attempt: 1, Watch: true},
	} {
		got, err := readAll(AppendDispatch(nil, 1, 2, []byte("p"), &x))
		if err != nil || len(got) != 1 {
			t.Fatal(err)
		}
		if y, ok := got[0].Execution(); !ok || y != x {
			t.Errorf("%+v came back as %+v, %t", x, y, ok)
		}
	}
}

func TestPartsAreNumbered(t *testing.T) {
	b := AppendNumbered(nil, KindPartial, 1, 2, []byte("part"), 3, 1<<31)
	b = AppendNumberedExternal(b, KindResult, 1, 2, 9000, 3, 7)
	got, err := readAll(AppendRecord(b, KindResult, 1, 2, []byte("plain")))
	if err != nil || len(got) != 3 || string(got[0].Payload) != "part" || !got[1].External || got[1].Size != 9000 {
		t.Fatalf("%+v, %v", got, err)
	}
	if attempt, number, ok := got[0].Numbered(); !ok || attempt != 3 || number != 1<<31 {
		t.Errorf("attempt %d, number %d, %t", attempt, number, ok)
	}
	if attempt, number, ok := got[1].Numbered(); !ok || attempt != 3 || number != 7 {
		t.Errorf("attempt %d, number %d, %t", attempt, number, ok)
	}
	if _, _, ok := got[2].Numbered(); ok {
		t.Error("a record without a last element has a number")
	}
	if w := PartialWeight(0); w <= 0 {
		t.Errorf("an empty part weighs %d: it would be free", w)
	}
}
