package link

import "github.com/weft-fabric/weft/protocol"

// Run appends plain records of one kind and session to a link, in fewer steps than [Link.Append]. Between [NewRun] and
// [Run.End] nothing else may be appended to the link, nor may it be asked for anything.
type Run struct {
	link  *Link
	frame *Frame
	bytes []byte // of frame, with what was added since
	head  protocol.PlainHead
}

// NewRun begins a run of records of that kind and session.
func NewRun(l *Link, kind protocol.Kind, session uint32) Run {
	f := l.room(0, 0)
	return Run{link: l, frame: f, bytes: f.bytes, head: protocol.NewPlainHead(kind, session)}
}

// Add adds a record of any kind but [protocol.KindDispatch]. It gives the frame that has it and where its payload begins
// there, for [Frame.At].
func (r *Run) Add(task uint64, payload []byte) (*Frame, int) {
	if cap(r.bytes)-len(r.bytes) < protocol.RecordSize(len(payload)) || len(r.bytes) >= protocol.CutFrame {
		r.turn(len(payload))
	}
	r.bytes = protocol.AppendPlain(r.bytes, r.head, task, payload)
	return r.frame, len(r.bytes) - len(payload)
}

// AddDispatch adds a [protocol.KindDispatch] that says nothing but the client's id of the task.
func (r *Run) AddDispatch(task uint64, payload []byte, id protocol.TaskID) {
	if cap(r.bytes)-len(r.bytes) < protocol.RecordSize(len(payload))+lastElement || len(r.bytes) >= protocol.CutFrame {
		r.turn(len(payload))
	}
	r.bytes = protocol.AppendPlainDispatch(r.bytes, r.head, task, payload, id)
}

// turn goes on with more memory, or with the next frame.
func (r *Run) turn(payload int) {
	r.End()
	r.frame = r.link.room(0, payload)
	r.bytes = r.frame.bytes
}

// End ends the run: what was added is in the link.
func (r *Run) End() {
	f := r.frame
	size := len(f.bytes)
	f.bytes = r.bytes
	f.weigh(size, 0)
}

// AppendEncoded appends records to a link that are encoded as [protocol.AppendPlain] does, and have together far less than a
// frame.
func AppendEncoded(l *Link, records []byte) {
	f := l.room(0, len(records))
	size := len(f.bytes)
	f.bytes = append(f.bytes, records...)
	f.weigh(size, 0)
}
