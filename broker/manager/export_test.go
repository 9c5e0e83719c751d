package manager

// Check holds the core against what must always be true.
func (c *Core) Check(t fataler) { check(t, c) }

// Describe tells what the core is at.
func (c *Core) Describe() string { return describe(c) }

// Left says what of tasks and credit is left in the core when all is over, "" for nothing.
func (c *Core) Left() string { return left(c) + owing(c) }
