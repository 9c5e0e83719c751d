package sched

// bits is a set of classes of requests by their bit.
type bits [4]uint64

// manyClasses is the bit that all classes share for which there was no bit of their own left.
const manyClasses = 4*64 - 1

func (b *bits) set(i uint8)   { b[i/64] |= 1 << (i % 64) }
func (b *bits) clear(i uint8) { b[i/64] &^= 1 << (i % 64) }

// and is what both sets have.
func (b *bits) and(o *bits) bits {
	return bits{b[0] & o[0], b[1] & o[1], b[2] & o[2], b[3] & o[3]}
}

// beyond says whether b and o have something in common that less has not.
func (b *bits) beyond(o, less *bits) bool {
	return b[0]&o[0]&^less[0]|b[1]&o[1]&^less[1]|b[2]&o[2]&^less[2]|b[3]&o[3]&^less[3] != 0
}

// counts says how many members a set has of each bit; the set is its second half.
type counts struct {
	of  [4 * 64]uint32
	has bits
}

// add counts one more of bit i, and says whether it is the first.
func (c *counts) add(i uint8) bool {
	c.of[i]++
	if c.of[i] > 1 {
		return false
	}
	c.has.set(i)
	return true
}

// drop counts one less of bit i, and says whether it was the last.
func (c *counts) drop(i uint8) bool {
	c.of[i]--
	if c.of[i] > 0 {
		return false
	}
	c.has.clear(i)
	return true
}
