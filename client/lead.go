package client

import (
	"context"
	"time"
)

// idle says that nobody waits for anything. The caller holds mu.
func (c *Client) idle() bool { return c.eng.Quiet() && len(c.callbacks)+len(c.heavy) == 0 }

// leadFor drives the sockets on the caller's own thread until t is finished, ctx has ended or the client is closed, and
// gives them back. The caller has set driver to lead.
func (c *Client) leadFor(ctx context.Context, t *Task) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, c.wake.Ring)
		defer stop()
	}
	spin := c.cfg.spin
	for !t.isReady() && ctx.Err() == nil {
		c.turn(spin)
		spin = 0 // what the first look did not bring is not near
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asleep = false
	c.lastLead = time.Now()
	if c.idle() {
		c.driver = free
		return
	}
	c.driver = owner
	c.wasCall = false
	c.kick.ring()
}
