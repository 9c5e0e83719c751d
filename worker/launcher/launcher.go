// Package launcher is the seam between an agent and whatever runs containers on its node: plain processes
// (launcher/process), nothing at all (launcher/fake, for tests). Every implementation passes the suite of
// launcher/launchertest.
//
// A launcher decides nothing: it starts what it is told to start, says how it ended and leaves nothing behind.
package launcher

import (
	"context"
	"time"
)

// Names of the environment variables that every container finds. A Spec cannot set them.
const (
	// EnvOwner holds the owner mark: what an agent that starts again finds leftovers by.
	EnvOwner = "WEFT_OWNER"
	// EnvContainer holds the container's id.
	EnvContainer = "WEFT_CONTAINER"
	// EnvIdentityFD holds the number of the descriptor to read the identity from; it is set when there is one.
	EnvIdentityFD = "WEFT_IDENTITY_FD"
)

const (
	// IdentityFD is the descriptor that a container reads its identity from.
	IdentityFD = 3
	// MaxIdentity is the largest identity in bytes.
	MaxIdentity = 1 << 20
	// OutputLines is how many of a container's last lines of output are kept for Output and Exit.
	OutputLines = 50
	// OutputBytes bounds those lines together, in bytes.
	OutputBytes = 16 << 10
)

// Launcher starts containers. It is safe for concurrent use.
type Launcher interface {
	// Start starts a container. It returns once the process runs, or an error that says why it cannot: a *SpecError
	// for a bad spec, a *StartError for a command that cannot be run (ErrMissing, ErrNotExecutable, ErrPlatform),
	// ErrDuplicate while a container with the same id lives, ErrClosed after Close. The context bounds the start
	// only, never the container's life.
	Start(ctx context.Context, spec Spec) (Container, error)
	// Reap kills and forgets whatever an earlier launcher with the same owner mark left running, and returns what
	// it found once all of it is gone. Containers of this launcher are not touched. The error names what could not
	// be killed; what was found is returned all the same.
	Reap(ctx context.Context) ([]Leftover, error)
	// Close kills every container, waits until all are gone and frees the launcher. It may be called again.
	Close() error
}

// Container is one started container. It is safe for concurrent use.
type Container interface {
	// ID is the id that the Spec gave.
	ID() string
	// PID is the process id of the container's first process.
	PID() int
	// Stop asks the container to end (SIGTERM to all of its process group) and kills it when the grace is over. It
	// returns at once. Further calls send no further signal, and can only shorten the grace; without grace, Stop is
	// Kill.
	Stop(grace time.Duration)
	// Kill ends the container now. It returns at once, and may be called at any time.
	Kill()
	// Done is closed when the container and everything it started is gone.
	Done() <-chan struct{}
	// Exit says how the container ended. Before Done it is the zero value.
	Exit() Exit
	// Output returns the last lines of what the container wrote to its standard output and error, oldest first: at
	// most OutputLines lines and OutputBytes bytes.
	Output() []string
}

// Leftover is a process of an earlier launcher that Reap found and killed.
type Leftover struct {
	// ContainerID is the container it belonged to.
	ContainerID string
	// PID is the process id it had.
	PID int
	// Command is its command line, shortened.
	Command string
}
