package client

import (
	"context"
	"time"
)

// spinner decides for how long a lonely Call looks for its answer without sleeping: that keeps a core awake, which
// shortens a round trip by a fifth where nothing else does. Where looks are in vain, because tasks take longer or others
// need the processors, the next Calls sleep at once; after each vain look there are twice as many of them, up to 64.
// It belongs to whoever leads.
type spinner struct {
	most time.Duration
	vain int // looks in a row
	skip int // Calls that are to sleep at once
}

// next is for how long the next Call looks.
func (s *spinner) next() time.Duration {
	if s.skip > 0 {
		s.skip--
		return 0
	}
	return s.most
}

// learn takes whether a look has brought the answer.
func (s *spinner) learn(found bool) {
	if found {
		s.vain = 0
		return
	}
	s.vain = min(s.vain+1, 6)
	s.skip = 1 << s.vain
}

// idle says that nobody waits for anything. The caller holds mu.
func (c *Client) idle() bool { return c.eng.Quiet() && len(c.callbacks)+len(c.heavy) == 0 }

// leadFor drives the sockets on the caller's own thread until t is finished, ctx has ended or the client is closed, and
// gives them back. The caller has set driver to lead.
func (c *Client) leadFor(ctx context.Context, t *Task) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, c.wake.Ring)
		defer stop()
	}
	spin := c.spinner.next()
	for first := true; !t.isReady() && ctx.Err() == nil; first = false {
		c.turn(spin)
		if first && spin > 0 {
			c.spinner.learn(t.isReady())
		}
		spin = 0 // what the first look did not bring is not near
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.intake.rouse()
	c.lastLead = time.Now()
	if c.idle() && c.intake.close() {
		c.driver = free
		return
	}
	c.driver = owner
	c.wasCall = false
	c.intake.open(!c.closed)
	c.kick.ring()
}
