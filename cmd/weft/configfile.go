package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weft-fabric/weft/internal/nearest"
)

const configHelp = `weft broker and weft agent read the values of their flags from a YAML file, too:

  weft broker --config broker.yaml

  # broker.yaml: the names of flags without --, and their values
  listen: [tcp://127.0.0.1:7700]
  loops: 4

The file counts least: before it come the environment variables (weft help variables), and before those the flags. A key
that is no flag is an error. --check says whether all is as it has to be, and ends; --print-config prints the values that
count and where each comes from, in the form of such a file.`

// daemonConfig adds a configuration file to a daemon's command: --config, --check and --print-config. check looks at the
// values of the flags without doing anything.
func (a *app) daemonConfig(cmd *cobra.Command, check func() error) {
	var checks, prints bool
	flags := cmd.Flags()
	flags.String(configFlag, "", "YAML file with the values of flags that neither flags nor environment variables give")
	flags.BoolVar(&checks, "check", false, "say whether the configuration is right, and end")
	flags.BoolVar(&prints, "print-config", false, "print the values that count, and where each comes from, and end")
	onlyHere(flags, "check", "print-config")
	_ = cmd.MarkFlagFilename(configFlag, "yaml", "yml") // fails for a flag that is not there
	start := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if prints {
			if err := a.printConfig(cmd); err != nil {
				return err
			}
		}
		if checks {
			if err := check(); err != nil || prints {
				return err
			}
			_, err := fmt.Fprintln(a.out, "the configuration is right")
			return err
		}
		if prints {
			return nil
		}
		return start(cmd, args)
	}
}

const configFlag = "config"

// inFile says whether a configuration file may have the flag.
func inFile(f *pflag.Flag) bool { return settable(f) && f.Name != configFlag }

// settleByFile gives the flags that are still at their defaults what the configuration file says, if there is one.
func (a *app) settleByFile(cmd *cobra.Command) error {
	f := cmd.Flags().Lookup(configFlag)
	if f == nil || f.Value.String() == "" {
		return nil
	}
	path := f.Value.String()
	text, err := os.ReadFile(path)
	if err != nil {
		return badInput("--config: %w", err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return yamlError(path, err)
	}
	seen := map[string]int{}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType {
			continue
		}
		pairs, ok := entries(doc.Body)
		if !ok {
			return badInput("%s:%d: %q is not a mapping of keys to values", path, doc.Body.GetToken().Position.Line, doc.Body)
		}
		for _, kv := range pairs {
			key, line := scalar(kv.Key), kv.Key.GetToken().Position.Line
			if before, again := seen[key]; again {
				return badInput("%s:%d: %s: is there already, in line %d", path, line, key, before)
			}
			seen[key] = line
			if err := a.settleEntry(cmd.Flags(), path, key, line, kv.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleEntry takes one entry of a configuration file.
func (a *app) settleEntry(flags *pflag.FlagSet, path, key string, line int, n ast.Node) error {
	f := flags.Lookup(key)
	if f == nil || !inFile(f) {
		return unknownEntry(flags, path, key, line)
	}
	var values []string
	list, isList := n.(*ast.SequenceNode)
	slice, takesList := f.Value.(pflag.SliceValue)
	switch {
	case isList && !takesList:
		return badInput("%s:%d: %s: takes one value, not a list", path, line, key)
	case isList:
		for _, v := range list.Values {
			if _, ok := v.(ast.ScalarNode); !ok {
				return badInput("%s:%d: %s: %q is not a plain value", path, v.GetToken().Position.Line, key, v)
			}
			values = append(values, scalar(v))
		}
	default:
		if _, ok := n.(ast.ScalarNode); !ok || n.Type() == ast.NullType {
			return badInput("%s:%d: %s: %q is not a plain value", path, line, key, n)
		}
		values = []string{scalar(n)}
	}
	if a.origins[key] != byDefault { // it is checked all the same
		return nil
	}
	var err error
	if takesList {
		err = slice.Replace(values)
		f.Changed = true
	} else {
		err = flags.Set(key, values[0])
	}
	if err != nil {
		return badInput("%s:%d: %s: %q is %s", path, line, key, strings.Join(values, ","), reason(err))
	}
	a.origins[key] = fmt.Sprintf("%s:%d", path, line)
	return nil
}

func unknownEntry(flags *pflag.FlagSet, path, key string, line int) error {
	var valid []string
	flags.VisitAll(func(f *pflag.Flag) {
		if inFile(f) {
			valid = append(valid, f.Name)
		}
	})
	if near, ok := nearest.Of(strings.ReplaceAll(key, "_", "-"), valid); ok {
		return badInput("%s:%d: unknown key %q: did you mean %q?", path, line, key, near)
	}
	return badInput("%s:%d: unknown key %q: there are %s", path, line, key, strings.Join(valid, ", "))
}

// printConfig writes the values of a command's flags as a configuration file, with where each comes from.
func (a *app) printConfig(cmd *cobra.Command) error {
	var lines [][2]string
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !inFile(f) {
			return
		}
		value, err := yamlValue(f)
		if err != nil {
			bad = fmt.Errorf("print the configuration: %s: %w", f.Name, err)
		}
		lines = append(lines, [2]string{f.Name + ": " + value, origin(a.origins[f.Name], f)})
	})
	if bad != nil {
		return bad
	}
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%-*s # %s\n", width, l[0], l[1])
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// origin says where the value of a flag comes from; of one that is left out also what it means, as its help has it.
func origin(from string, f *pflag.Flag) string {
	_, means, has := strings.Cut(f.Usage, "(default ")
	if from != byDefault || !has {
		return from
	}
	return from + ": " + strings.TrimSuffix(means, ")")
}

// yamlValue gives the value of a flag as YAML in one line.
func yamlValue(f *pflag.Flag) (string, error) {
	var v any = f.Value.String()
	if list, ok := f.Value.(pflag.SliceValue); ok {
		v = list.GetSlice()
	} else if kind := f.Value.Type(); kind == "bool" || strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "uint") ||
		strings.HasPrefix(kind, "float") {
		return f.Value.String(), nil
	}
	text, err := yaml.MarshalWithOptions(v, yaml.Flow(true))
	return string(bytes.TrimSpace(text)), err
}
