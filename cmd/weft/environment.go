package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newEnvironment(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "environment", Short: "See, create and delete the environments that sessions live in"})
	a.brokerFlag(cmd)
	cmd.AddCommand(newEnvironmentCreate(a), newEnvironmentList(a), newEnvironmentGet(a), newEnvironmentDelete(a))
	return cmd
}

func newEnvironmentCreate(a *app) *cobra.Command {
	var labels []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create an environment",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e := protocol.Environment{Name: args[0]}
			var err error
			if e.Labels, err = parseLabels("--label", labels); err != nil {
				return err
			}
			if err := e.Validate(); err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Environments(ctx, client.Filter{Name: e.Name})) // to the broker the same again is no error
				if err != nil {
					return err
				}
				if len(found) > 0 {
					return protocol.Errorf(protocol.CodeAlreadyExists, "environment create", "there is an environment %s already", e.Name)
				}
				if err := c.CreateEnvironment(ctx, e); err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "environment %s created\n", e.Name)
				return err
			})
		},
	}
	cmd.Flags().StringArrayVar(&labels, "label", nil, "a label as NAME=VALUE, for people; may be given again")
	return cmd
}

func newEnvironmentList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the environments",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Environments(ctx, client.Filter{}))
				if err != nil {
					return err
				}
				return showList(a, "environments", found, environmentColumns(a.now()))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

func newEnvironmentGet(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show one environment in full",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Environments(ctx, client.Filter{Name: args[0]}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return protocol.Errorf(protocol.CodeNoEnvironment, "environment get",
						"there is no environment %q (see: weft environment list)", args[0])
				}
				return printOne(a.out, a.form, args[0], found[0], describeEnvironment(found[0], a.now()))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

func newEnvironmentDelete(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete an environment; refused while sessions live in it",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.DeleteEnvironment(ctx, args[0], force); err != nil {
					return err
				}
				left, err := collect(c.Environments(ctx, client.Filter{Name: args[0]}))
				switch {
				case err != nil:
					return err
				case len(left) > 0:
					_, err = fmt.Fprintf(a.out, "environment %s: deleting, %s being killed\n", args[0], plural(left[0].Sessions, "session"))
				default:
					_, err = fmt.Fprintf(a.out, "environment %s deleted\n", args[0])
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "kill its sessions first")
	return cmd
}

// environmentColumns is the table of the environments.
func environmentColumns(now time.Time) []column[protocol.EnvironmentInfo] {
	type info = protocol.EnvironmentInfo
	return []column[info]{
		{"ENVIRONMENT", false, func(e info) string { return e.Name }},
		{"STATE", false, func(e info) string { return e.State }},
		{"SESSIONS", true, func(e info) string { return humanCount(e.Sessions) }},
		{"OWNER", false, func(e info) string { return e.Owner }},
		{"CREATED", false, func(e info) string { return environmentAge(e, now) }},
		{"LABELS", false, func(e info) string { return labelsOf(e.Labels) }},
	}
}

func describeEnvironment(e protocol.EnvironmentInfo, now time.Time) []pair {
	return []pair{
		{"environment", e.Name},
		{"state", e.State},
		{"sessions", humanCount(e.Sessions)},
		{"owner", e.Owner},
		{"created", environmentAge(e, now)},
		{"labels", labelsOf(e.Labels)},
	}
}

func environmentAge(e protocol.EnvironmentInfo, now time.Time) string {
	if e.Created.IsZero() {
		return "" // the default one was always there
	}
	return humanDuration(now.Sub(e.Created)) + " ago"
}

// parseLabels reads labels as they are written, NAME=VALUE; where says where that is.
func parseLabels(where string, written []string) (map[string]string, error) {
	var labels map[string]string
	for _, l := range written {
		key, value, ok := strings.Cut(l, "=")
		if !ok {
			return nil, badInput("%s: %q is not of the form NAME=VALUE", where, l)
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
	}
	return labels, nil
}

func labelsOf(labels map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, k+"="+labels[k])
	}
	return strings.Join(all, " ")
}
