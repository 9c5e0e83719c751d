package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Colours of a terminal.
const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
	// clearScreen puts the cursor into the first corner and empties the screen below it.
	clearScreen = "\x1b[H\x1b[J"
)

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours says whether w is coloured: a terminal, and nobody asked for none.
func (a *app) colours(w io.Writer) bool { return isTerminal(w) && a.getenv("NO_COLOR") == "" }

// paint gives text in a colour, if w has colours.
func (a *app) paint(w io.Writer, colour, text string) string {
	if !a.colours(w) {
		return text
	}
	return colour + text + plain
}
