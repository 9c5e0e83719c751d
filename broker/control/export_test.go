package control

import "github.com/weft-fabric/weft/protocol"

// HadBefore is how many clients that had a session are remembered.
func HadBefore(c *Core, number protocol.SessionNumber) int {
	s, ok := c.sessions.open.Get(number)
	if !ok {
		return -1
	}
	return len(s.tenure.before)
}

// SliceSteps bounds the steps of a slice of a pass.
const SliceSteps = sliceSteps

// LastSlice is how many steps the last slice took.
func LastSlice(c *Core) int { return c.pass.steps }

// Containers is how many containers there are.
func Containers(c *Core) int { return c.crew.fleet.Len() }
