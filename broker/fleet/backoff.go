package fleet

import (
	"fmt"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// How long a service waits before its next start, once it has died [PatientDeaths] times without a result in between.
const (
	PatientDeaths = 3
	FirstDelay    = time.Second
	LastDelay     = time.Minute
)

// Backoff says when a service whose containers die may start the next one. The zero Backoff has seen no death.
type Backoff struct {
	deaths int
	until  time.Time
}

// Died notes that a container died out of turn.
func (b *Backoff) Died(now time.Time) {
	b.deaths++
	if b.deaths < PatientDeaths {
		return
	}
	delay := LastDelay
	if over := b.deaths - PatientDeaths; over < 6 { // 1 s << 6 is above a minute
		delay = FirstDelay << over
	}
	b.until = now.Add(delay)
}

// Delivered notes a result: what died before is forgiven.
func (b *Backoff) Delivered() { *b = Backoff{} }

// Deaths is how many there were since the last result.
func (b *Backoff) Deaths() int { return b.deaths }

// Holds says whether the next start has to wait, and until when.
func (b *Backoff) Holds(now time.Time) (until time.Time, waits bool) {
	return b.until, now.Before(b.until)
}

// lastLines is how many lines of output a reason repeats.
const lastLines = 3

// telling gives the lines of an output that say most: the last, and before those the one with the message of a panic,
// which its stack follows.
func telling(output []string) []string {
	last := output[max(len(output)-lastLines, 0):]
	for i, line := range output[:len(output)-len(last)] {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return append([]string{output[i], "…"}, last...)
		}
	}
	return last
}

// Why says in words why a container is gone: what its agent told, and the last lines of its output.
func Why(s *protocol.ContainerState) string {
	var why string
	switch {
	case s.Error != nil:
		why = s.Error.Error()
	case s.Signal != "":
		why = "ended by signal " + s.Signal
	default:
		why = fmt.Sprintf("ended with exit code %d", s.Code)
	}
	if s.Reason != "" {
		why += " (" + s.Reason + ")"
	}
	if out := telling(s.Output); len(out) > 0 {
		why += "; its last output: " + strings.Join(out, " | ")
	}
	return why
}
