// Package embed is a whole fabric in one process, for tests and first steps: the real broker, the real agent, and
// services whose instances are goroutines instead of processes. Nothing has to be installed, built or cleared away.
//
//	f, err := embed.Start(embed.Service("square", newSquare))
//	defer f.Stop()
//	c, err := f.Dial(ctx)
//
// In a test [Test] does the three, and clears away at the test's end. Fabrics do not know of each other: a process may
// have any number of them, one after the other or at once, as in tests that run in parallel.
//
// What is different from a fabric of processes: instances share the process's memory, environment and standard output;
// a panic in a goroutine that a hook started ends the program; [Fabric.Kill] cannot end the hook that runs, and leaves
// it alone until it returns. A panic in a hook is what it is elsewhere: it fails the task, and the instance is replaced.
package embed
