// Package hosted lets an instance of a service live inside another program's process, instead of in one of its own. Who
// runs it there, a launcher, puts into the context of worker.Serve what a process would have by other means: the
// identity from its agent, and that it can be killed.
package hosted

import "context"

// key finds an Instance in a context.
type key struct{}

// Instance is what an instance has from the launcher in whose process it is.
type Instance struct {
	// Identity is what the agent says of the instance, as in launcher.Spec.
	Identity []byte
	// Killed is closed when the instance is killed: from then on it says nothing to the broker, as a process that is
	// gone, and what still runs of it is left alone.
	Killed <-chan struct{}
}

// With gives a context for worker.Serve to run that instance in. When it ends the instance drains, as a process does on
// SIGTERM.
func With(ctx context.Context, i Instance) context.Context { return context.WithValue(ctx, key{}, i) }

// From gives the instance of the context, and whether there is one.
func From(ctx context.Context) (Instance, bool) {
	i, ok := ctx.Value(key{}).(Instance)
	return i, ok
}
