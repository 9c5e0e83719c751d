// Package progress shows on a terminal how far something has come, how fast it goes and when it will be done. Elsewhere
// it shows nothing.
package progress

import (
	"bytes"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Bar is a progress bar, or nothing. Its methods are for one goroutine at a time.
type Bar struct {
	bar    *progressbar.ProgressBar // nil where there is no terminal
	screen *screen
}

// screen is a terminal that knows whether a bar is on it.
type screen struct {
	io.Writer
	drawn bool
}

// Write writes what a bar draws; what has no text takes it away.
func (s *screen) Write(b []byte) (int, error) {
	if len(bytes.TrimSpace(b)) > 0 {
		s.drawn = true
	}
	return s.Writer.Write(b)
}

// New makes a bar on w, if that is a terminal, that counts to total things. It begins with the first [Bar.Add].
func New(w io.Writer, things string, total int) *Bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &Bar{}
	}
	s := &screen{Writer: w}
	return &Bar{screen: s, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(s), progressbar.OptionSetDescription(things), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString(things), progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionSetWidth(20),
	)}
}

// Add notes that n more are done.
func (b *Bar) Add(n int) {
	if b.bar != nil {
		_ = b.bar.Add(n) // one that cannot be drawn does not matter
	}
}

// Total says how many there are, as far as is known; above 0, and more than are done.
func (b *Bar) Total(n int) {
	if b.bar != nil && n > 0 {
		b.bar.ChangeMax(n)
	}
}

// Hide takes the bar away until something is added, so that something else can be written.
func (b *Bar) Hide() {
	if b.bar != nil && b.screen.drawn {
		_ = b.bar.Clear()
		b.screen.drawn = false
	}
}

// Finish takes the bar away for good.
func (b *Bar) Finish() {
	if b.bar != nil {
		_ = b.bar.Exit()
		_ = b.bar.Clear()
	}
}
