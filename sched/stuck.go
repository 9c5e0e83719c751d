package sched

import "slices"

// stuck is the parked lines for which there is room, but not where their requests may be: each is woken by what becomes free
// there. What has left is taken out when its list is looked through.
type stuck struct {
	byNode map[string][]*line
	byRack map[string][]*line
	others []*line // that may be anywhere, but where they are already or before others had their turn
}

// add has a line woken.
func (s *stuck) add(l *line) {
	if l.listed {
		return
	}
	l.listed = true
	switch {
	case l.key.relaxed: // what it prefers is no must
		s.others = append(s.others, l)
	case l.key.node != "":
		if s.byNode == nil {
			s.byNode = make(map[string][]*line)
		}
		s.byNode[l.key.node] = append(s.byNode[l.key.node], l)
	case l.key.rack != "":
		if s.byRack == nil {
			s.byRack = make(map[string][]*line)
		}
		s.byRack[l.key.rack] = append(s.byRack[l.key.rack], l)
	default:
		s.others = append(s.others, l)
	}
}

// freed wakes the lines that may be on the node.
func (s *stuck) freed(n *node, c *cluster) {
	if n.band == nil {
		return
	}
	if list := s.byNode[n.Name]; len(list) > 0 {
		s.byNode[n.Name] = wake(list, n, c)
	}
	if list := s.byRack[n.Rack]; len(list) > 0 {
		s.byRack[n.Rack] = wake(list, n, c)
	}
	if len(s.others) > 0 {
		s.others = wake(s.others, n, c)
	}
}

func wake(list []*line, n *node, c *cluster) []*line {
	return slices.DeleteFunc(list, func(l *line) bool {
		if l.shelf == absent || l.held != noPlace {
			l.listed = false
			return true
		}
		if r := l.waiting.top(); !r.class.admits(n, c) || !r.may(n) {
			return false
		}
		l.listed = false
		l.leaf.lift(l)
		l.leaf.queue.touch()
		return true
	})
}
