package link

import "slices"

// Detach takes a link of an acceptor off its node, for [Node.Attach] to put it on another one of the same process, epoch
// and incarnation. Its conversation goes on there: it is down until the other end says HELLO again, and nothing of it is
// lost. Until Attach, which may be called by another goroutine, the link must not be used, and neither must its frames:
// the shell has to have called [Frame.Sent] for every frame that Take has given of it.
func (n *Node) Detach(l *Link) {
	l.Lost()
	if l.dirty {
		l.dirty = false
		n.dirty = slices.DeleteFunc(n.dirty, func(d *Link) bool { return d == l })
	}
	n.out = slices.DeleteFunc(n.out, func(f *Frame) bool {
		if f.link != l {
			return false
		}
		f.Drop() // only greetings wait there between two calls of Take, and this one is overtaken
		return true
	})
	n.kept -= l.bytes
	l.node = nil
}

// Attach takes over a link that was taken off another node.
func (n *Node) Attach(l *Link) {
	l.node = n
	n.kept += l.bytes
}
