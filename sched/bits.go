package sched

// classBits is how many classes of requests have a bit of their own.
const classBits = 8 * 64

// manyClasses is the bit that all classes share for which there was no bit of their own left.
const manyClasses = classBits - 1

// bits is a set of classes of requests by their bit.
type bits [classBits / 64]uint64

func (b *bits) set(i uint16)   { b[i/64] |= 1 << (i % 64) }
func (b *bits) clear(i uint16) { b[i/64] &^= 1 << (i % 64) }

func (b *bits) has(i uint16) bool { return b[i/64]&(1<<(i%64)) != 0 }

// keep leaves in b what o has as well.
func (b *bits) keep(o *bits) {
	for i := range b {
		b[i] &= o[i]
	}
}

// join adds to b what o has.
func (b *bits) join(o *bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

// drop takes from b what o has.
func (b *bits) drop(o *bits) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// beyond says whether b and o have something in common that less has not.
func (b *bits) beyond(o, less *bits) bool {
	for i := range b {
		if b[i]&o[i]&^less[i] != 0 {
			return true
		}
	}
	return false
}

// counts says how many members a set has of each bit; the set is those of which there are any.
type counts struct {
	set bits
	of  [classBits]uint32
}

// add counts one more of bit i, and says whether it is the first.
func (c *counts) add(i uint16) bool {
	c.of[i]++
	if c.of[i] > 1 {
		return false
	}
	c.set.set(i)
	return true
}

// drop counts one less of bit i, and says whether it was the last.
func (c *counts) drop(i uint16) bool {
	c.of[i]--
	if c.of[i] > 0 {
		return false
	}
	c.set.clear(i)
	return true
}
