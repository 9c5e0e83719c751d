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
