package builtin

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
	"github.com/weft-fabric/weft/worker/launcher"
)

// commandFormat numbers what client and instance of [Exec] say to each other. It grows with a change that an older
// instance would misunderstand.
const commandFormat = 1

// Setting is what all commands of a session of [Exec] have in common. It travels as the parameters of the session.
type Setting struct {
	Format int      // set by Parameters
	Dir    string   // working folder
	Env    []string // environment variables, KEY=VALUE, besides those of the instance
	Limit  int      // bytes of output that are kept of one command
}

// Parameters gives s as it travels.
func (s Setting) Parameters() ([]byte, error) {
	s.Format = commandFormat
	return msgpack.Marshal(s)
}

// Command is one task of [Exec].
type Command struct {
	Args  []string // the program and its arguments
	Input []byte   // standard input
}

// Outcome is how a command ended.
type Outcome struct {
	Code    int    // exit code, as a shell gives it: 128 and the signal's number, 126 and 127 for one that could not be started
	Out     []byte // standard output
	Err     []byte // standard error
	Lost    int64  // bytes of output beyond the limit, which were not kept
	Problem string // what was wrong with the command other than its exit code
	Node    string // that it ran on
}

// What a command that could not be started exits with, as in a shell.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignal        = 128
)

// command is the service.
type command struct {
	worker.Service
	node string
}

func newExec() *command {
	c := &command{}
	c.Service = worker.Stateful(c.bind, c.exec)
	return c
}

// OnCreateService learns on which node it is.
func (c *command) OnCreateService(_ context.Context, s *worker.ServiceContext) error {
	c.node = s.Node
	return nil
}

func (c *command) bind(_ context.Context, s *worker.SessionContext) (Setting, error) {
	var v Setting
	if err := msgpack.Unmarshal(s.Parameters(), &v); err != nil {
		return v, protocol.Errorf(protocol.CodeInvalid, Exec, "parameters: %v", err)
	}
	if v.Format != commandFormat {
		return v, protocol.Errorf(protocol.CodeVersion, Exec, "format %d; the weft on node %s has format %d: "+
			"update the older one", v.Format, c.node, commandFormat)
	}
	v.Env = slices.Concat(commandEnv(os.Environ()), v.Env, marks(os.Environ()))
	return v, nil
}

// commandEnv is what commands inherit of the environment of an instance.
func commandEnv(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		return strings.HasPrefix(v, launcher.EnvIdentityFD+"=")
	})
}

// marks are the variables by which an agent finds what a container has left. Nobody may change them.
func marks(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		return !strings.HasPrefix(v, launcher.EnvOwner+"=") && !strings.HasPrefix(v, launcher.EnvContainer+"=")
	})
}

func (c *command) exec(ctx context.Context, s Setting, t Command) (Outcome, error) {
	if ctx.Err() != nil { // it may run elsewhere
		return Outcome{}, worker.Retry(fmt.Errorf("the instance ends: %w", ctx.Err()))
	}
	if len(t.Args) == 0 {
		return Outcome{}, worker.Permanent(protocol.Errorf(protocol.CodeInvalid, Exec, "no program is named"))
	}
	o := s.run(ctx, t)
	o.Node = c.node
	if ctx.Err() != nil {
		return o, worker.Permanent(protocol.Errorf(protocol.CodeIndeterminate, Exec,
			"the instance on node %s was ended while the command ran, and the command with it", c.node))
	}
	return o, nil
}
