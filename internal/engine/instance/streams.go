package instance

import (
	"math"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// progressEvery is how often the manager is told at most how far a task has come.
const progressEvery = 100 * time.Millisecond

// Stream is what a task says while it runs: parts of its result, and how far it has come. A task that says nothing has
// none.
type Stream struct {
	// Shell belongs to the shell.
	Shell any

	session protocol.SessionNumber
	task    uint64
	number  uint32             // of the next part
	out     int64              // weight of the parts that were sent and not granted anew
	waits   bool               // somebody was told to wait
	next    time.Time          // when progress may be told again
	pending *protocol.Progress // to be told then, or before the task's end
}

// stream gives the stream of a task that runs.
func (r *roster) stream(job *Job) *Stream {
	if job.stream == nil {
		job.stream = &Stream{session: job.Session.Bind.Session, task: job.task}
		r.streams = append(r.streams, job.stream)
	}
	return job.stream
}

// Emit sends a part of the result of a task that runs, which is copied. When the window of the task is spent nothing is
// sent, and wait is what [Batch.Granted] will name when it is time to try again. A *protocol.Error of CodeUnavailable says
// that the manager that gave the task out is gone.
func Emit(e *Engine, job *Job, part []byte) (wait *Stream, err error) {
	r := &e.roster
	if !r.hears(job.era) {
		return nil, protocol.Errorf(protocol.CodeUnavailable, "emit", "the session manager of task %v is gone: nobody waits for its result", job.ID)
	}
	s := r.stream(job)
	if s.out >= protocol.PartialWindow {
		s.waits = true
		return s, nil
	}
	link.AppendNumbered(r.manager.link, protocol.KindPartial, s.session, s.task, part, job.Attempt, s.number)
	s.number++
	s.out += protocol.PartialWeight(len(part))
	return nil, nil
}

// Progress tells how far a task that runs has come: at once, or when it was told lately, a little later or with the task's
// end, and then the last word only. It says whether there is something to be done: a frame to leave, or a timer.
func Progress(e *Engine, now time.Time, job *Job, percent float64, text string) bool {
	r := &e.roster
	if !r.hears(job.era) {
		return false
	}
	if !(percent > 0) { // not a number either
		percent = 0
	}
	if len(text) > protocol.MaxText {
		text = strings.ToValidUTF8(text[:protocol.MaxText], "")
	}
	p := protocol.Progress{Percent: math.Min(percent, 100), Text: text, Attempt: int(job.Attempt)}
	s := r.stream(job)
	news := s.pending == nil
	s.pending = &p
	if !now.Before(s.next) {
		r.tellProgress(now, s)
	}
	return news
}

// tellProgress tells the manager what is pending.
func (r *roster) tellProgress(now time.Time, s *Stream) {
	r.manager.link.Append(protocol.KindProgress, s.session, s.task, protocol.Marshal(s.pending))
	s.pending, s.next = nil, now.Add(progressEvery)
}

// tellDue tells the progress whose time has come.
func (r *roster) tellDue(now time.Time) {
	for _, s := range r.streams {
		if s.pending != nil && !now.Before(s.next) {
			r.tellProgress(now, s)
		}
	}
}

// progressDue is when [roster.tellDue] is next to be called; zero: nothing is pending.
func (r *roster) progressDue() (at time.Time) {
	for _, s := range r.streams {
		if s.pending != nil {
			at = sooner(at, s.next)
		}
	}
	return at
}

// granted takes the manager's word that it has passed parts on.
func (r *roster) granted(session protocol.SessionNumber, task uint64, n int64) {
	for _, s := range r.streams {
		if s.task != task || s.session != session {
			continue
		}
		s.out -= min(max(n, 0), s.out)
		if s.waits && s.out < protocol.PartialWindow {
			r.wakeStream(s)
		}
		return
	}
}

func (r *roster) wakeStream(s *Stream) {
	if s.waits {
		s.waits = false
		r.woken = append(r.woken, s)
	}
}

// closeStream ends the stream of a task that has ended, with the last word of its progress where somebody hears it.
func (r *roster) closeStream(job *Job) {
	s := job.stream
	job.stream = nil
	if s.pending != nil && r.hears(job.era) {
		r.tellProgress(time.Time{}, s)
	}
	r.wakeStream(s)
	for i := range r.streams {
		if r.streams[i] == s {
			r.streams = append(r.streams[:i], r.streams[i+1:]...)
			return
		}
	}
}

// closeStreams ends all streams, since the manager is no more: who waits is told to try again, and finds that out.
func (r *roster) closeStreams() {
	for _, s := range r.streams {
		r.wakeStream(s)
	}
	r.streams = nil
}
