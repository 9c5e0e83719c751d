package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// completionPatience is how long a shell waits for words from the broker.
const completionPatience = 2 * time.Second

// finder gives the words that something can be: names, each with a description.
type finder func(ctx context.Context, c operator) ([]cobra.Completion, error)

// completeAll lets the shell complete what commands take, by what they call it: NAME after service is the name of a
// service. A command that has its own completion keeps it.
func (a *app) completeAll(root *cobra.Command) {
	fromBroker := map[string]finder{"service NAME": services, "session NUMBER": sessions, "task SESSION": sessions, "task SESSION/TASK": tasks, "task ID": deadLetters, "node NAME": nodes, "environment NAME": environments, "queue NAME": queueNames, "weft SESSION|SERVICE": waiting}
	flagFinders := map[string]finder{"service": services, "node": nodes, "environment": environments, "queue": leafNames}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		_, takes, _ := strings.Cut(cmd.Use, " ")
		if takes != "" && cmd.HasParent() && cmd.ValidArgsFunction == nil {
			first, _, _ := strings.Cut(takes, " ")
			first, _, _ = strings.Cut(strings.TrimSuffix(first, "..."), "[") // NAME[@VERSION], NUMBER...
			if find, ok := fromBroker[cmd.Parent().Name()+" "+first]; ok {
				cmd.ValidArgsFunction = a.complete(find)
			}
			if cmd.Parent().Name() == "context" && first == "NAME" {
				cmd.ValidArgsFunction = a.completeContexts
			}
			if strings.HasPrefix(first, "FILE") {
				cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
			}
		}
		if cmd.ValidArgsFunction == nil && cmd.Runnable() {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		flags := func(f *pflag.Flag) {
			switch find, ok := flagFinders[f.Name]; {
			case ok:
				register(cmd, f.Name, a.complete(find))
			case f.Name == "context":
				register(cmd, f.Name, a.completeContexts)
			case f.Name == "output":
				register(cmd, f.Name, cobra.FixedCompletions(forms(), cobra.ShellCompDirectiveNoFileComp))
			case f.Name == "log-level":
				register(cmd, f.Name, cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
			}
		}
		cmd.LocalFlags().VisitAll(flags)
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(root)
}

// register sets the completion of a flag, unless it has one.
func register(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if _, has := cmd.GetFlagCompletionFunc(flag); !has {
		_ = cmd.RegisterFlagCompletionFunc(flag, f) // the flag is there, and has none
	}
}

// complete asks the broker for the words. Whatever goes wrong, there are none then.
func (a *app) complete(find finder) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 || a.settle(cmd) != nil {
			return nil, none
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, stop := context.WithTimeout(ctx, completionPatience)
		defer stop()
		c, err := a.dial(ctx, a.broker)
		if err != nil {
			return nil, none
		}
		words, err := find(ctx, c)
		if closed := c.Close(); err != nil || closed != nil {
			return nil, none
		}
		return words, none
	}
}

func (a *app) completeContexts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	f, err := a.contexts().read()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, name := range f.names() {
		words = append(words, cobra.CompletionWithDesc(name, f.Contexts[name].Broker))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func services(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.Services(ctx, client.Filter{}))
	return words(found, func(s protocol.ServiceInfo) (string, string) { return s.Service.Name, s.Service.Function }), err
}

func sessions(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.Sessions(ctx, client.Filter{}))
	return words(found, func(s protocol.SessionInfo) (string, string) {
		return strconv.FormatUint(uint64(s.Session), 10), strings.TrimSpace(s.Service + " of " + s.Client + " " + s.Name)
	}), err
}

func environments(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.Environments(ctx, client.Filter{}))
	return words(found, func(e protocol.EnvironmentInfo) (string, string) { return e.Name, labelsOf(e.Labels) }), err
}

func queueNames(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.Queues(ctx, client.Filter{}))
	return words(found, func(q protocol.QueueInfo) (string, string) { return q.Queue.Name, policyOf(q) }), err
}

// leafNames are the names of the queues that services can be in.
func leafNames(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.Queues(ctx, client.Filter{}))
	found = slices.DeleteFunc(found, func(q protocol.QueueInfo) bool { return !q.Leaf })
	return words(found, func(q protocol.QueueInfo) (string, string) { return q.Queue.Name, policyOf(q) }), err
}

// waiting are sessions and services, which can be explained.
func waiting(ctx context.Context, c operator) ([]cobra.Completion, error) {
	open, err := sessions(ctx, c)
	if err != nil {
		return nil, err
	}
	registered, err := services(ctx, c)
	return append(open, registered...), err
}

func nodes(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.Nodes(ctx, client.Filter{}))
	return words(found, func(n protocol.NodeInfo) (string, string) { return n.Name, n.Platform }), err
}

// words gives each of all once.
func words[T any](all []T, word func(T) (name, about string)) []cobra.Completion {
	var list []cobra.Completion
	seen := map[string]bool{}
	for _, v := range all {
		name, about := word(v)
		if !seen[name] {
			seen[name] = true
			list = append(list, cobra.CompletionWithDesc(name, firstLine(about)))
		}
	}
	return list
}
