package core

import "github.com/weft-fabric/weft/protocol"

// actions is what the shell is to do besides sending, until it is taken.
type actions struct {
	starts []protocol.StartContainer
	stops  []Stop
	notes  []Note
}

func (a *actions) note(kind NoteKind, endpoint, id, text string) {
	a.notes = append(a.notes, Note{Kind: kind, Broker: endpoint, Container: id, Text: text})
}

// take moves all of it to the end of out.
func (a *actions) take(out *Batch) {
	out.Starts = append(out.Starts, a.starts...)
	out.Stops = append(out.Stops, a.stops...)
	out.Notes = append(out.Notes, a.notes...)
	clear(a.starts)
	clear(a.stops)
	clear(a.notes)
	a.starts, a.stops, a.notes = a.starts[:0], a.stops[:0], a.notes[:0]
}
