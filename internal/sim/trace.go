package sim

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// trace writes a line about what happens. Callers look at World.tracing first: formatting costs more than a step.
func (w *World) trace(format string, args ...any) {
	w.options.Trace(fmt.Sprintf("%6d %12v  ", w.total, time.Duration(w.at)) + fmt.Sprintf(format, args...))
}

// traceFrame writes what a frame says.
func (w *World) traceFrame(c *conn, dir uint8, records []byte) {
	from, to := c.d.actor.name, c.r.name
	arrow := "->"
	if dir == toDealer {
		arrow = "<-"
	}
	h, rest, err := protocol.ParseHeader(records)
	if err != nil {
		w.trace("%s %s %s: %v", from, arrow, to, err)
		return
	}
	var b strings.Builder
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for {
		ok, err := r.Next(&rec)
		if !ok || err != nil {
			break
		}
		fmt.Fprintf(&b, " %v", rec.Kind)
		switch {
		case rec.Kind == protocol.KindDispatch || rec.Kind == protocol.KindRecall || rec.Kind == protocol.KindRecalled:
			fmt.Fprintf(&b, "(s%d %d.%d)", rec.Session, rec.Task>>32, uint32(rec.Task))
		case rec.Kind == protocol.KindTask || rec.Kind == protocol.KindResult || rec.Kind == protocol.KindFailure:
			fmt.Fprintf(&b, "(s%d %v)", rec.Session, protocol.TaskID(rec.Task))
		case rec.Session != 0:
			fmt.Fprintf(&b, "(s%d)", rec.Session)
		case rec.Task != 0:
			fmt.Fprintf(&b, "(%d)", rec.Task)
		}
	}
	if text := b.String(); (text == "" || text == " NodeStatus") && !w.options.Beats {
		return
	}
	lost := ""
	if c.dead {
		lost = " (goes nowhere)"
	}
	w.trace("%s %s %s  %d/%d acks %d/%d%s%s", from, arrow, to, h.Sequence.Conversation(), h.Sequence.Count(),
		h.Acked.Conversation(), h.Acked.Count(), b.String(), lost)
}

// spell writes the field of an order or a note that is set.
func spell(v any) string {
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		if f := s.Field(i); !f.IsNil() {
			switch v := f.Interface().(type) {
			case *session.Moved:
				return fmt.Sprintf("Moved %d", v.Manager)
			case *session.Adopt:
				return "Adopt"
			default:
				return fmt.Sprintf("%s %+v", s.Type().Field(i).Name, f.Elem().Interface())
			}
		}
	}
	return ""
}
