package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Where the value of a flag can come from.
const (
	byDefault  = "default"
	byFlag     = "flag"
	sharedMark = "weft-shared" // of a flag that means the same for every command
	hereMark   = "weft-here"   // of a flag that only the command line sets
)

const variablesHelp = `Every flag has an environment variable, which counts where the flag is not given:

  WEFT_ + the command + the flag, in capitals, with _ for - and for spaces

  weft broker --io-threads 2       WEFT_BROKER_IO_THREADS=2
  weft session list --all          WEFT_SESSION_LIST_ALL=true

The flags that mean the same for every command have no command in their names:

  --broker   WEFT_BROKER           --context  WEFT_CONTEXT
  --output   WEFT_OUTPUT           --watch    WEFT_WATCH
  --interval WEFT_INTERVAL

An empty variable is as none. Others that weft heeds:

  WEFT_CONFIG   the file with the contexts (default weft/config.yaml in $XDG_CONFIG_HOME or ~/.config)
  NO_COLOR      when it is not empty nothing is coloured; without a terminal nothing ever is`

// variableOf gives the name of the environment variable for a flag of a command: the one rule, as [variablesHelp] says it.
func variableOf(cmd *cobra.Command, f *pflag.Flag) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if len(f.Annotations[sharedMark]) > 0 {
		path = ""
	}
	name := strings.TrimSpace(path + " " + f.Name)
	return "WEFT_" + strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(name))
}

// share marks flags as meaning the same for every command.
func share(flags *pflag.FlagSet, names ...string) { mark(flags, sharedMark, names) }

// onlyHere marks flags as set by the command line alone.
func onlyHere(flags *pflag.FlagSet, names ...string) { mark(flags, hereMark, names) }

func mark(flags *pflag.FlagSet, as string, names []string) {
	for _, name := range names {
		f := flags.Lookup(name)
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[as] = []string{"true"}
	}
}

// settable says whether a flag has a value besides the command line's.
func settable(f *pflag.Flag) bool { return f.Name != "help" && len(f.Annotations[hereMark]) == 0 }

// settle gives the flags of a command that the command line leaves out their values: from their environment variables,
// else from the command's configuration file. a.origins says afterwards where each came from.
func (a *app) settle(cmd *cobra.Command) error {
	a.origins = map[string]string{}
	flags := cmd.Flags()
	var unset []*pflag.Flag
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			a.origins[f.Name] = byFlag
		} else {
			a.origins[f.Name] = byDefault
			unset = append(unset, f)
		}
	})
	for _, f := range unset {
		name := variableOf(cmd, f)
		value := a.getenv(name)
		if value == "" || !settable(f) {
			continue
		}
		if err := flags.Set(f.Name, value); err != nil {
			return badInput("%s=%q: %s", name, value, reason(err))
		}
		a.origins[f.Name] = name
	}
	if err := a.settleByFile(cmd); err != nil {
		return err
	}
	return a.settleBroker(cmd)
}

// where names a flag by where its value comes from: the flag, its variable, or file, line and key.
func (a *app) where(flag string) string {
	switch from := a.origins[flag]; from {
	case "", byFlag, byDefault:
		return "--" + flag
	default:
		if strings.HasPrefix(from, "WEFT_") {
			return from
		}
		return from + ": " + flag
	}
}

// reason gives why pflag refused a value, without its words about the flag.
func reason(err error) string {
	e, ok := err.(*pflag.InvalidValueError) //nolint:errorlint // pflag returns it as it is
	if !ok {
		return err.Error()
	}
	kinds := map[string]string{
		"int": "a whole number such as 4", "bool": "true or false", "duration": "a time such as 30s or 1m30s",
	}
	kind, known := kinds[e.GetFlag().Value.Type()]
	if !known {
		return fmt.Sprintf("not what --%s takes: %v", e.GetFlag().Name, e.Unwrap())
	}
	return "not " + kind
}
