package control

import (
	"unicode/utf8"

	"github.com/weft-fabric/weft/protocol"
)

// cut gives a text of a peer as it is kept and shown: of one above protocol.MaxText the beginning, so that nobody can make
// a list too large to be sent, or the broker grow by what is said to it.
func cut(text string) string {
	if len(text) <= protocol.MaxText {
		return text
	}
	const dots = "…"
	end := protocol.MaxText - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}

// cutError does the same with an error of a peer; nil stays nil.
func cutError(e *protocol.Error) *protocol.Error {
	if e == nil {
		return nil
	}
	short := *e
	short.Op, short.Msg = cut(e.Op), cut(e.Msg)
	return &short
}
