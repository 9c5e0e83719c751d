package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/internal/nearest"
)

// app is what all commands share: the process's surroundings, replaced in tests, and the flags of the client commands.
type app struct {
	in          io.Reader
	out, errOut io.Writer
	getenv      func(string) string
	now         func() time.Time
	dial        func(ctx context.Context, endpoints string) (operator, error)

	broker, context, form string
	watch                 bool
	interval              time.Duration

	origins    map[string]string // where the value of each flag of the command comes from
	brokerFrom string            // where broker does
	status     int               // what a command that has said all there is to say exits with
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv, now: time.Now, dial: dialBroker}
}

// run executes the command line and returns what to exit with. It prints the error, if there is one.
func run(ctx context.Context, args []string, a *app) int {
	root := newRoot(a)
	root.SetArgs(append([]string{}, args...)) // not nil: cobra would take the process's own
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(a.errOut, a.paint(a.errOut, red, "weft:"), err) //nolint:errcheck // there is nobody else to tell
		return exitCode(err)
	}
	return a.status
}

func newRoot(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "weft",
		Short: "A compute fabric: hand the heavy parts of a program to a cluster",
		Long: `weft runs the compute-heavy parts of a program as services on a cluster of unlike machines.

  weft dev                            a broker and an agent on this machine, to try it out
  weft broker                         the daemon of a management node
  weft agent --broker tcp://HOST      the daemon of a compute node
  weft ping                           does it work, and how fast is it
  weft exec gzip -k {} ::: *.log      run any command on the cluster, once for each argument

` + exitHelp,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.settle(cmd) },
	})
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return badInput("%w (see: %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(newBroker(a), newAgent(a), newDev(a), newService(a), newSession(a), newTask(a), newEnvironment(a), newNode(a), newQueue(a), newSched(a), newStatus(a), newExplain(a), newVersion(a),
		newContext(a), newPing(a), newExec(a), newServe())
	for _, topic := range helpTopics() {
		root.AddCommand(&cobra.Command{Use: topic.name, Short: topic.short, Long: topic.text})
	}
	a.completeAll(root)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			group(c)
		}
	}
	return root
}

// topic is a text that "weft help NAME" shows.
type topic struct{ name, short, text string }

func helpTopics() []topic {
	return []topic{
		{"exit-codes", "What weft exits with", exitHelp},
		{"variables", "The environment variables that stand for flags", variablesHelp},
		{"config-file", "The configuration file of weft broker and weft agent", configHelp},
	}
}

// group makes cmd a parent of commands: alone it prints its help, and any argument is a command that does not exist.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		names, nested := commandsOf(cmd)
		if near, ok := nested[args[0]]; ok {
			return badInput("%sunknown command %q: did you mean %s?", groupPrefix(cmd), args[0], strings.Join(near, " or "))
		}
		if near, ok := nearest.Of(args[0], names); ok {
			return badInput("%sunknown command %q: did you mean %q?", groupPrefix(cmd), args[0], near)
		}
		return badInput("%sunknown command %q: there are %s", groupPrefix(cmd), args[0], strings.Join(names, ", "))
	}
	return cmd
}

// groupPrefix begins an error about a group of commands; what all errors begin with is enough for the first.
func groupPrefix(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	return cmd.CommandPath() + ": "
}

// commandsOf gives the names of the commands of a group, and of those below them their paths in quotes.
func commandsOf(group *cobra.Command) (names []string, nested map[string][]string) {
	nested = map[string][]string{}
	for _, c := range group.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		names = append(names, c.Name())
		for _, below := range c.Commands() {
			if below.IsAvailableCommand() && c.Name() != "completion" {
				nested[below.Name()] = append(nested[below.Name()], fmt.Sprintf("%q", c.Name()+" "+below.Name()))
			}
		}
	}
	return names, nested
}

// takes checks the arguments of a command: exactly those named.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return badInput("%s: %s is missing (see: %s --help)", cmd.CommandPath(), names[len(args)], cmd.CommandPath())
		case len(args) > len(names):
			return badInput("%s: %q is too much (see: %s --help)", cmd.CommandPath(), args[len(names)], cmd.CommandPath())
		default:
			return nil
		}
	}
}

// takesSome is [takes] of one argument that may be repeated.
func takesSome(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return takes(name)(cmd, args)
		}
		return nil
	}
}
