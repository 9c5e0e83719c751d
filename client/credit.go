package client

import (
	"sync/atomic"

	engine "github.com/weft-fabric/weft/internal/engine/client"
)

// Results that nobody has taken count against the client's credit for results, and when it is spent the broker sends no
// more. But somebody may be waiting for one that is behind those that were sent. So while anybody waits for a task, or for
// a session to be closed, results that lie here are told as consumed before they are.

// account counts what was consumed of one conversation's results, for the driver to tell the engine.
type account struct {
	client *Client
	source engine.Source
	step   int64
	bytes  atomic.Int64 // consumed, and not told to the engine
	wanted atomic.Int64 // how many of them the engine wants to be told of at once, when it is less than step

	// Guarded by the client's mu.
	held  int64 // of results of tasks, here and not taken
	early int64 // of held, told as consumed
}

// account gives the account of a result, nil for one without bytes.
func (c *Client) account(done *engine.Completion) *account {
	if done.Size == 0 {
		return nil
	}
	if len(c.accounts) > 0 && c.accounts[0].source == done.Source { // there is one for each manager loop
		return c.accounts[0]
	}
	return accountFor(c, done.Source)
}

// accountFor gives the account of what comes by a conversation.
func accountFor(c *Client, source engine.Source) *account {
	for _, a := range c.accounts {
		if a.source == source {
			return a
		}
	}
	live := c.accounts[:0]
	for _, a := range c.accounts {
		if _, lives := c.eng.Wanted(a.source); lives {
			live = append(live, a)
		}
	}
	clear(c.accounts[len(live):])
	a := &account{client: c, source: source, step: min(1<<20, c.cfg.resultCredit/4)}
	wanted, _ := c.eng.Wanted(source)
	a.wanted.Store(wanted)
	c.accounts = append(live, a)
	return a
}

// hold notes the result of a task that is here and not taken. The caller holds the client's mu.
func (a *account) hold(n int64) {
	if a != nil {
		a.held += n
	}
}

// release notes that a result that was held is taken, and gives how much of it has not been told as consumed. The caller
// holds the client's mu.
func (a *account) release(n int64) int64 {
	if a == nil {
		return 0
	}
	told := min(n, a.early)
	a.held -= n
	a.early -= told
	return n - told
}

// add notes that n bytes were taken by the application.
func (a *account) add(n int64) {
	if a == nil {
		return
	}
	now := a.bytes.Add(n) // before wanted is read: report stores it, and reads bytes then
	if enough := min(a.step, a.wanted.Load()); now >= enough && now-n < enough {
		a.client.mu.Lock()
		ring := a.client.poke()
		a.client.mu.Unlock()
		if ring {
			a.client.wake.Ring()
		}
	}
}

// report tells the engine what was consumed. The caller holds the client's mu.
func (a *account) report() {
	eng := a.client.eng
	for {
		if n := a.bytes.Swap(0); n > 0 {
			eng.Consumed(a.source, n)
		}
		wanted, _ := eng.Wanted(a.source)
		a.wanted.Store(wanted)
		if n := a.bytes.Load(); n < a.step && n < wanted { // what was added before the store did not see it
			return
		}
	}
}

// spent says whether results that nobody has taken keep a good part of the credit.
func (a *account) spent() bool { return a.held-a.early >= a.client.cfg.resultCredit/2 }

// block notes that somebody waits for something that is behind results, and says whether the caller must ring once it has
// given mu back. The caller holds mu; c.blocked-- ends it.
func (c *Client) block() (ring bool) {
	c.blocked++
	for _, a := range c.accounts {
		if a.spent() {
			return c.poke()
		}
	}
	return false
}

// relieve tells results that lie here as consumed when somebody waits for what is behind them, and says whether it did.
// The caller holds mu.
func (c *Client) relieve() (told bool) {
	if c.blocked == 0 {
		return false
	}
	for _, a := range c.accounts {
		if a.spent() {
			c.eng.Consumed(a.source, a.held-a.early)
			a.early = a.held
			told = true
		}
	}
	return told
}

// full says whether results that nobody has taken fill a good part of the credit. The caller holds mu.
func (c *Client) full() bool {
	var held int64
	for _, a := range c.accounts {
		held += a.held
	}
	return held >= c.cfg.resultCredit/2
}
