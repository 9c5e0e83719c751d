package protocol

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A plain record has an inline payload, and no last element but the task id of a [KindDispatch]. Nearly all records of
// tasks and results are plain and come in runs of one kind and session: what is here reads and writes them in fewer steps
// than [Reader.Next] and [AppendRecord], and in the same form.

// PlainHead is the first eight bytes of the records of a run: 0x94 | kind | 0xce session u32 | 0xcf, or with 0x95 first
// for [KindDispatch]. Make it with [NewPlainHead].
type PlainHead uint64

// All of a head but the session, and what of it is the session.
const (
	plainArray   = 0x94
	plainRest    = 0xce<<16 | 0xcf<<56
	plainMask    = 0xff<<56 | 1<<24 - 1
	plainSession = 24
)

// NewPlainHead makes the head of plain records of a kind and session.
func NewPlainHead(kind Kind, session uint32) PlainHead {
	h := plainForm(kind) | uint64(bits.ReverseBytes32(session))<<plainSession
	return PlainHead(h)
}

// plainForm is the head of a kind without session.
func plainForm(kind Kind) uint64 {
	array := uint64(plainArray)
	if kind == KindDispatch {
		array++
	}
	return plainRest | uint64(kind)<<8 | array
}

// AppendPlain appends a plain record of any kind but [KindDispatch], as [AppendRecord] does; of that kind, all but its
// last element.
func AppendPlain(b []byte, head PlainHead, task uint64, payload []byte) []byte {
	n, m := len(b), len(b)+recordHead+len(payload)
	if m > cap(b) {
		b = slices.Grow(b, m-n)
	}
	b = b[:m]
	h := b[n:m:m]
	_ = h[recordHead-1]
	binary.LittleEndian.PutUint64(h, uint64(head))
	binary.BigEndian.PutUint64(h[8:], task)
	h[16] = 0xc6
	binary.BigEndian.PutUint32(h[17:], uint32(len(payload)))
	copy(h[recordHead:], payload)
	return b
}

// dispatchTail is the length of the last element of a plain [KindDispatch]: 0xcf id u64.
const dispatchTail = 1 + 8

// AppendPlainDispatch appends a [KindDispatch] that says nothing but the client's id of the task, as [AppendDispatch] does.
func AppendPlainDispatch(b []byte, head PlainHead, task uint64, payload []byte, id TaskID) []byte {
	b = append(AppendPlain(b, head, task, payload), 0xcf, 0, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint64(b[len(b)-8:], uint64(id))
	return b
}

// Plain takes the next record if it is plain and of that kind, which is not [KindDispatch]. Otherwise it stays where it is
// and says no: [Reader.Next] tells what comes next, if anything. The payload points into the frame.
func (r *Reader) Plain(kind Kind) (session uint32, task uint64, payload []byte, ok bool) {
	b := r.records[r.next:]
	if len(b) < recordHead {
		return 0, 0, nil, false
	}
	head := binary.LittleEndian.Uint64(b)
	size := uint64(binary.BigEndian.Uint32(b[17:]))
	if head&plainMask != plainForm(kind) || b[16] != 0xc6 || size > uint64(len(b)-recordHead) {
		return 0, 0, nil, false
	}
	end := recordHead + int(size)
	r.payload = r.next + recordHead
	r.next += end
	return bits.ReverseBytes32(uint32(head >> plainSession)), binary.BigEndian.Uint64(b[8:]), b[recordHead:end:end], true
}

// PlainDispatch is [Reader.Plain] for a [KindDispatch], of which id is the client's id of the task.
func (r *Reader) PlainDispatch() (session uint32, task uint64, payload []byte, id TaskID, ok bool) {
	b := r.records[r.next:]
	if len(b) < recordHead {
		return 0, 0, nil, 0, false
	}
	head := binary.LittleEndian.Uint64(b)
	size := uint64(binary.BigEndian.Uint32(b[17:]))
	if head&plainMask != plainForm(KindDispatch) || b[16] != 0xc6 || size+dispatchTail > uint64(len(b)-recordHead) {
		return 0, 0, nil, 0, false
	}
	end := recordHead + int(size)
	tail := b[end:]
	if tail[0] != 0xcf {
		return 0, 0, nil, 0, false
	}
	r.payload = r.next + recordHead
	r.next += end + dispatchTail
	return bits.ReverseBytes32(uint32(head >> plainSession)), binary.BigEndian.Uint64(b[8:]), b[recordHead:end:end],
		TaskID(binary.BigEndian.Uint64(tail[1:])), true
}
