package instance

import (
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Receive takes a message that came over a line: its frame of records, valid only during the call, and its payload
// frames, one reference each, which the engine takes over. Inline payloads
// of tasks are copied; those of many tasks share memory, which is theirs for good.
func (e *Engine) Receive(now time.Time, line Line, frame []byte, payloads []protocol.Handle) {
	in := intake{engine: e, now: now, line: line, payloads: payloads}
	in.frame(frame)
	for _, h := range in.payloads {
		e.lines.at(line).node.Release(h)
	}
	e.advance(now)
}

// intake is one message being taken in.
type intake struct {
	engine   *Engine
	now      time.Time
	line     Line
	payloads []protocol.Handle // that no record has taken yet
}

func (in *intake) frame(frame []byte) {
	e := in.engine
	w := e.lines.at(in.line)
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil || !w.live() || h.Epoch < e.lines.epoch {
		return // not of weft, or of a line or a reign that is over: whoever sent it will hear of that by REHELLO
	}
	if h.Sequence.Count() == 0 {
		in.bare(rest)
		return
	}
	if h.Epoch > e.lines.epoch {
		e.adopt(in.now, h.Epoch)
		if !w.live() {
			return
		}
	}
	if !w.link.Up() {
		in.open(h, rest)
		return
	}
	switch w.link.Receive(h, len(frame)) {
	case link.Ignore:
		return
	case link.Gap:
		w.greetAnew(in.now)
		return
	case link.Fresh:
	}
	w.heard = in.now
	in.records(rest)
}

// bare takes a frame outside of any conversation: a request to say HELLO, or a refusal of it.
func (in *intake) bare(rest []byte) {
	e := in.engine
	w := e.lines.at(in.line)
	var rec protocol.Record
	reader := protocol.NewReader(rest)
	if ok, err := reader.Next(&rec); !ok || err != nil {
		return
	}
	switch rec.Kind { //nolint:exhaustive // nothing else is said outside of a conversation
	case protocol.KindRehello:
		if w.link.Up() || w.greetAt.IsZero() {
			w.greetAnew(in.now)
		}
	case protocol.KindError:
		in.refused(&rec)
	}
}

// refused takes the answer to a HELLO that is not a WELCOME.
func (in *intake) refused(rec *protocol.Record) {
	e := in.engine
	w := e.lines.at(in.line)
	var refusal protocol.Error
	if protocol.Unmarshal(rec.Kind, rec.Payload, &refusal) != nil {
		return
	}
	if in.line == Control {
		if !refusal.Code.Retryable() {
			e.life.blame(&refusal)
			e.move(in.now, Rejected)
		}
		return
	}
	// The loop does not know this instance. The control loop may know better, and refer it elsewhere.
	w.link.Lost()
	if w.greetAt.IsZero() {
		w.greetSoon(in.now)
	}
	if in.now.Sub(w.heard) >= w.timeout {
		e.life.blame(&refusal)
		e.move(in.now, Rejected)
		return
	}
	if c := e.lines.at(Control); !w.refused && c.link.Up() {
		c.greetAnew(in.now)
	}
	w.refused = true
}

// open takes the first frame of a conversation, which begins with the WELCOME.
func (in *intake) open(h protocol.Header, rest []byte) {
	e := in.engine
	w := e.lines.at(in.line)
	var rec protocol.Record
	reader := protocol.NewReader(rest)
	if ok, err := reader.Next(&rec); !ok || err != nil {
		return
	}
	if rec.Kind == protocol.KindError {
		in.refused(&rec)
		return
	}
	var welcome protocol.Welcome
	if rec.Kind != protocol.KindWelcome || protocol.Unmarshal(rec.Kind, rec.Payload, &welcome) != nil ||
		!w.link.Opened(h, welcome) {
		return
	}
	w.welcomed(in.now, welcome)
	e.lines.hurry(in.now, welcome.Heartbeat)
	if in.line == Data && !welcome.Resumed {
		if w.opened {
			e.newEra()
		}
		if e.life.state == Draining && !planted.Is(planted.DrainNotRepeated) {
			w.link.Append(protocol.KindDrain, 0, 0, nil)
		}
	}
	w.opened, w.refused = true, false
	for {
		if ok, err := reader.Next(&rec); !ok || err != nil {
			return
		}
		in.record(&rec)
	}
}

// records takes the records of a frame of an open conversation.
func (in *intake) records(rest []byte) {
	var rec protocol.Record
	reader := protocol.NewReader(rest)
	for {
		if in.line == Data {
			in.plain(&reader)
		}
		ok, err := reader.Next(&rec)
		if !ok || err != nil {
			return // the rest of a malformed frame is lost, and its tasks with it: a defect of the broker
		}
		in.record(&rec)
	}
}

// plain takes the plain tasks that come next, those of one session at a time.
func (in *intake) plain(reader *protocol.Reader) {
	begin := reader.Rest()
	session, _, _, _, ok := reader.PlainDispatch()
	for ok {
		run, n, next := session, 0, reader.Rest()
		for end := next; ok && session == run; n++ {
			next = end
			session, _, _, _, ok = reader.PlainDispatch()
			end = reader.Rest()
		}
		in.engine.roster.dispatchRun(run, begin[:len(begin)-len(next)], n)
		begin = next
	}
}

func (in *intake) record(rec *protocol.Record) {
	e := in.engine
	var handle protocol.Handle
	if rec.External && len(in.payloads) > 0 {
		handle, in.payloads = in.payloads[0], in.payloads[1:]
	}
	if in.line == Data && rec.Kind == protocol.KindDispatch {
		if rec.External == (handle != 0) {
			e.roster.dispatch(in.now, rec, handle)
		}
		return
	}
	e.lines.at(in.line).node.Release(handle)
	if in.line == Control {
		in.control(rec)
	} else {
		in.data(rec)
	}
}

// control takes a record of the control line.
func (in *intake) control(rec *protocol.Record) {
	e := in.engine
	switch rec.Kind { //nolint:exhaustive // an instance is told nothing else on its control line
	case protocol.KindRefer:
		var refer protocol.Refer
		if protocol.Unmarshal(rec.Kind, rec.Payload, &refer) == nil {
			e.referred(in.now, refer)
		}
	case protocol.KindBye:
		e.lines.at(in.line).bye(in.now)
	}
}

// data takes a record of the data line that is no task.
func (in *intake) data(rec *protocol.Record) {
	e := in.engine
	switch rec.Kind { //nolint:exhaustive // a manager tells an instance nothing else
	case protocol.KindBind:
		var body protocol.Bind
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			e.lines.at(Data).link.Append(protocol.KindRefused, rec.Session, 0, protocol.Marshal(protocol.AsError(err, "bind")))
			return
		}
		body.Session = rec.Session
		e.roster.bind(body)
	case protocol.KindUnbind:
		e.roster.unbind(rec.Session)
	case protocol.KindRecall:
		e.roster.recall(rec.Session, rec.Task)
	case protocol.KindAbort:
		why := &protocol.Error{}
		if protocol.Unmarshal(rec.Kind, rec.Payload, why) == nil {
			e.roster.abort(rec.Session, rec.Task, why)
		}
	case protocol.KindPartialGrant:
		var body protocol.PartialGrant
		if protocol.Unmarshal(rec.Kind, rec.Payload, &body) == nil {
			e.roster.granted(rec.Session, rec.Task, body.Bytes)
		}
	case protocol.KindDone, protocol.KindSessionData, protocol.KindError:
		e.requests.answered(rec)
	case protocol.KindLeave:
		if why := (&protocol.Error{}); len(rec.Payload) > 0 && protocol.Unmarshal(protocol.KindError, rec.Payload, why) == nil {
			e.dismissed(in.now, why)
		} else {
			e.move(in.now, Leave)
		}
	case protocol.KindBye:
		e.lines.at(in.line).bye(in.now)
	}
}
