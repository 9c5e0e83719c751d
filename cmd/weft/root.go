package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is what all commands share: the process's surroundings, replaced in tests, and the flags of the client commands.
type app struct {
	out, errOut io.Writer
	getenv      func(string) string
	now         func() time.Time
	dial        func(ctx context.Context, endpoints string) (operator, error)

	broker string
	form   string
}

func newApp() *app {
	return &app{out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv, now: time.Now, dial: dialBroker}
}

// run executes the command line and returns what to exit with. It prints the error, if there is one.
func run(ctx context.Context, args []string, a *app) int {
	root := newRoot(a)
	root.SetArgs(append([]string{}, args...)) // not nil: cobra would take the process's own
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(a.errOut, "weft:", err) //nolint:errcheck // there is nobody else to tell
	}
	return exitCode(err)
}

func newRoot(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "weft",
		Short: "A compute fabric: hand the heavy parts of a program to a cluster",
		Long: `weft runs the compute-heavy parts of a program as services on a cluster of unlike machines.

  weft dev                            a broker and an agent on this machine, to try it out
  weft broker                         the daemon of a management node
  weft agent --broker tcp://HOST      the daemon of a compute node

` + exitHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return badInput("%w (see: %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(newBroker(a), newAgent(a), newDev(a), newService(a), newSession(a), newNode(a), newVersion(a))
	return root
}

// group makes cmd a parent of commands: alone it prints its help, and any argument is a command that does not exist.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		if near, ok := nearest(args[0], names); ok {
			return badInput("%s: unknown command %q: did you mean %q?", cmd.CommandPath(), args[0], near)
		}
		return badInput("%s: unknown command %q: there are %s", cmd.CommandPath(), args[0], strings.Join(names, ", "))
	}
	return cmd
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
