package manager

// Describe tells what the core is at.
func (c *Core) Describe() string { return describe(c) }

// Left says what of tasks and credit is left in the core when all is over, "" for nothing.
func (c *Core) Left() string { return left(c) + owing(c) }
