package control

import (
	"time"

	"github.com/weft-fabric/weft/protocol/link"
)

// Core is the control loop's state machine. Make it with [New].
type Core struct {
	cfg      Config
	node     *link.Node
	nextBeat time.Time
}

// New makes the core of a broker that knows nothing yet. An error names the field of the configuration.
func New(cfg Config) (*Core, error) {
	return &Core{cfg: cfg, node: link.NewNode(cfg.Epoch, cfg.Incarnation)}, nil
}

// Step takes one event.
func (c *Core) Step(now time.Time, ev Event) {}

// Tick does what is due.
func (c *Core) Tick(now time.Time) {}

// Take appends what is to be done to out and says whether there was anything.
func (c *Core) Take(out *Batch) bool { return false }
