package sim

import "github.com/weft-fabric/weft/protocol"

// content is what a payload says: of a task its number and what its hook is to do, of a result what was made of it. A
// payload frame of any size is simulated by its content alone.
type content uint64

// payloads is the table of payload frames of one simulated process: what each says, and how many references there are.
// A handle bears its slot's generation, so that one that is used after its release is noticed.
type payloads struct {
	w     *World
	name  string
	slots []payload
	free  []uint32
	live  int
}

type payload struct {
	content    content
	size       uint32
	references int32
	generation uint8
}

const handleBits = 24

// add makes a frame with one reference.
func (p *payloads) add(c content, size uint32) protocol.Handle {
	var i uint32
	if n := len(p.free); n > 0 {
		i = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		p.slots = append(p.slots, payload{})
		i = uint32(len(p.slots) - 1)
	}
	s := &p.slots[i]
	s.content, s.size, s.references = c, size, 1
	p.live++
	if p.w.tracing {
		p.w.trace("%s: payload frame %#x comes", p.name, uint32(s.generation)<<handleBits|(i+1))
	}
	return uint32(s.generation)<<handleBits | (i + 1)
}

// held gives the slot of a handle that is held; a handle that is not is a defect of a core.
func (p *payloads) held(h protocol.Handle, what string) *payload {
	i := h&(1<<handleBits-1) - 1
	if i < uint32(len(p.slots)) {
		if s := &p.slots[i]; s.references > 0 && s.generation == uint8(h>>handleBits) {
			return s
		}
	}
	p.w.fail("handle", "%s %ss payload frame %#x, which it does not hold", p.name, what, h)
	return nil
}

func (p *payloads) retain(h protocol.Handle) {
	if s := p.held(h, "retain"); s != nil {
		s.references++
		if p.w.tracing {
			p.w.trace("%s: payload frame %#x has %d references", p.name, h, s.references)
		}
	}
}

func (p *payloads) release(h protocol.Handle) {
	s := p.held(h, "release")
	if s == nil {
		return
	}
	if p.w.tracing {
		p.w.trace("%s: payload frame %#x has %d references", p.name, h, s.references-1)
	}
	if s.references--; s.references > 0 {
		return
	}
	p.live--
	s.generation++
	p.free = append(p.free, h&(1<<handleBits-1)-1)
}

func (p *payloads) releaseAll(handles []protocol.Handle) {
	for _, h := range handles {
		p.release(h)
	}
}
