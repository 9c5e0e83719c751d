package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/protocol"
)

// contextFile is the file with the contexts: the clusters that a user works with.
type contextFile struct {
	Current  string                  `yaml:"current,omitempty"`
	Contexts map[string]contextEntry `yaml:"contexts,omitempty"`
}

type contextEntry struct {
	Broker string `yaml:"broker"`
}

// contextStore is where the contexts are, as environment variables say.
type contextStore struct{ getenv func(string) string }

func (a *app) contexts() contextStore { return contextStore{a.getenv} }

// path says where the file is; "" when nothing says where.
func (a contextStore) path() string {
	if path := a.getenv("WEFT_CONFIG"); path != "" {
		return path
	}
	base := a.getenv("XDG_CONFIG_HOME")
	if base == "" {
		home := a.getenv("HOME")
		if home == "" {
			return ""
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "weft", "config.yaml")
}

// read reads the file; one that does not exist has no contexts.
func (a contextStore) read() (contextFile, error) {
	var f contextFile
	path := a.path()
	if path == "" {
		return f, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, badInput("contexts: %w", err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return f, yamlError(path, err)
	}
	if filled(file) == 0 {
		return f, nil
	}
	if err := check(path, "", file.Docs[0].Body, reflect.TypeFor[contextFile]()); err != nil {
		return f, err
	}
	if err := yaml.NodeToValue(file.Docs[0].Body, &f); err != nil {
		return f, yamlError(path, err)
	}
	for _, name := range f.names() {
		if _, err := protocol.ParseEndpoints(f.Contexts[name].Broker); err != nil {
			return f, badInput("%s: contexts.%s.broker: %w", path, name, err)
		}
	}
	return f, nil
}

// write puts f in the place of the file.
func (a contextStore) write(f contextFile) error {
	path := a.path()
	if path == "" {
		return badInput("contexts: there is no place for them: set WEFT_CONFIG, XDG_CONFIG_HOME or HOME")
	}
	text, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("contexts: %w", err), os.Remove(temporary))
	}
	return nil
}

func (f contextFile) names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// get finds a context by its name.
func (f contextFile) get(name string) (contextEntry, error) {
	if e, ok := f.Contexts[name]; ok {
		return e, nil
	}
	if near, ok := nearest.Of(name, f.names()); ok {
		return contextEntry{}, noContext("there is no context %q: did you mean %q?", name, near)
	}
	return contextEntry{}, noContext("there is no context %q; there are: %s (see: weft context set)",
		name, cmp.Or(strings.Join(f.names(), ", "), "none"))
}

func noContext(format string, args ...any) error {
	return protocol.Errorf(protocol.CodeNotFound, "context", format, args...)
}

// settleBroker decides which broker a client command asks, and a.brokerFrom says why: a flag before a variable before
// the current context, and of flags and of variables the broker before the context.
func (a *app) settleBroker(cmd *cobra.Command) error {
	if cmd.Flags().Lookup("context") == nil {
		return nil
	}
	a.brokerFrom = a.origins["broker"]
	fromContext := a.origins["context"]
	switch {
	case a.brokerFrom == byFlag, a.brokerFrom != byDefault && fromContext != byFlag:
		return nil
	}
	f, err := a.contexts().read()
	if err != nil {
		return err
	}
	name := cmp.Or(a.context, f.Current)
	if name == "" {
		return nil
	}
	e, err := f.get(name)
	if err != nil {
		return err
	}
	a.broker, a.brokerFrom = e.Broker, "context "+name
	return nil
}
