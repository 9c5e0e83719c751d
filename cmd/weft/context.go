package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newContext(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "context", Short: "Name the brokers of several clusters, and choose among them",
		Long: `Name the brokers of several clusters, and choose among them. A command asks the broker of --broker, else of --context,
else of WEFT_BROKER, else of WEFT_CONTEXT, else of the context that "weft context use" has chosen, else the one of this
machine. Programs that use the client package know WEFT_BROKER only: see weft context show --help. The contexts are in weft/config.yaml in $XDG_CONFIG_HOME or ~/.config, or in the file that WEFT_CONFIG names.`,
	})
	cmd.AddCommand(newContextList(a), newContextUse(a), newContextSet(a), newContextDelete(a), newContextShow(a))
	return cmd
}

// contextInfo is what is shown of a context.
type contextInfo struct {
	Name    string `json:"name"`
	Broker  string `json:"broker"`
	Current bool   `json:"current,omitempty"`
}

func contextColumns() []column[contextInfo] {
	return []column[contextInfo]{
		{"CONTEXT", false, func(c contextInfo) string { return c.Name }},
		{"BROKER", false, func(c contextInfo) string { return c.Broker }},
		{"CURRENT", false, func(c contextInfo) string {
			if c.Current {
				return "yes"
			}
			return ""
		}},
	}
}

func newContextList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the contexts", Args: takes(),
		RunE: func(*cobra.Command, []string) error {
			f, err := a.contexts().read()
			if err != nil {
				return err
			}
			var all []contextInfo
			for _, name := range f.names() {
				all = append(all, contextInfo{name, f.Contexts[name].Broker, name == f.Current})
			}
			if err := a.checkForm(); err != nil {
				return err
			}
			return showList(a, "contexts", all, contextColumns())
		},
	}
	a.outputFlag(cmd)
	return cmd
}

func newContextUse(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Choose the context of the commands that follow", Args: takes("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts("now in use: context "+args[0], func(f *contextFile) error {
				_, err := f.get(args[0])
				f.Current = args[0]
				return err
			})
		},
	}
}

func newContextSet(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "set NAME ENDPOINTS", Short: "Make a context of the control endpoints of a broker, or change one",
		Example: "  weft context set lab tcp://lab-head:7700\n  weft context use lab",
		Args:    takes("NAME", "ENDPOINTS"),
		RunE: func(_ *cobra.Command, args []string) error {
			if !protocol.ValidName(args[0]) {
				return badInput("context %q: a name is 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", args[0])
			}
			if _, err := protocol.ParseEndpoints(args[1]); err != nil {
				return badInput("context %s: %w", args[0], err)
			}
			return a.changeContexts(fmt.Sprintf("context %s: %s", args[0], args[1]), func(f *contextFile) error {
				if f.Contexts == nil {
					f.Contexts = map[string]contextEntry{}
				}
				f.Contexts[args[0]] = contextEntry{Broker: args[1]}
				return nil
			})
		},
	}
}

func newContextDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a context", Args: takes("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			inUse := false
			err := a.changeContexts("deleted: context "+args[0], func(f *contextFile) error {
				_, err := f.get(args[0])
				delete(f.Contexts, args[0])
				if inUse = f.Current == args[0]; inUse {
					f.Current = ""
				}
				return err
			})
			if err == nil && inUse {
				_, err = fmt.Fprintf(a.out, "no context is in use now: commands ask %s, unless %s or a flag says otherwise\n",
					defaultEndpoint(), brokerVariable)
			}
			return err
		},
	}
}

func newContextShow(a *app) *cobra.Command {
	var export bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show which broker commands ask, and why", Args: takes(),
		Long: `Show which broker commands ask, and why. With --export it is printed as a line for a shell, by which programs that use the
client package ask the same broker:

  eval "$(weft context show --export)"`,
		RunE: func(*cobra.Command, []string) error {
			if export {
				_, err := fmt.Fprintf(a.out, "export %s=%s\n", brokerVariable, quote(a.broker))
				return err
			}
			return printPairs(a.out, []pair{{"broker", a.broker}, {"by", a.brokerFrom}, {"file", a.contexts().path()}})
		},
	}
	a.brokerFlag(cmd)
	cmd.Flags().BoolVar(&export, "export", false, "print a line for a shell that hands the broker to programs, in WEFT_BROKER")
	return cmd
}

// changeContexts changes the file, and says what was done.
func (a *app) changeContexts(done string, change func(*contextFile) error) error {
	f, err := a.contexts().read()
	if err != nil {
		return err
	}
	if err := change(&f); err != nil {
		return err
	}
	if err := a.contexts().write(f); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, done)
	return err
}
