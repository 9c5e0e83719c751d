package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/protocol"
)

// serviceRef reads NAME or NAME@VERSION.
func serviceRef(s string) (protocol.ServiceRef, error) {
	name, version, divided := strings.Cut(s, "@")
	if name == "" || divided && version == "" {
		return protocol.ServiceRef{}, badInput("%q is neither the name of a service nor NAME@VERSION (see: weft service list)", s)
	}
	return protocol.ServiceRef{Name: name, Version: version}, nil
}

func newServiceInfo(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info NAME[@VERSION]",
		Short: "Show a service in full: one version, or all, the highest first",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Services(ctx, client.Filter{Name: ref.Name, Version: ref.Version}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return notRegistered(ctx, c, ref)
				}
				return printServices(a, found)
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

// notRegistered says what there is instead of a service, or of a version of one.
func notRegistered(ctx context.Context, c operator, ref protocol.ServiceRef) error {
	all, err := collect(c.Services(ctx, client.Filter{}))
	if err != nil {
		return err
	}
	var names, versions []string
	for i := range all {
		names = append(names, all[i].Service.Name)
		if all[i].Service.Name == ref.Name {
			versions = append(versions, all[i].Service.Version)
		}
	}
	hint := " (see: weft service list)"
	if near, ok := nearest.Of(ref.Name, names); ok {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	if len(versions) > 0 {
		return protocol.Errorf(protocol.CodeUnknownService, "service", "service %q has no version %q; there are %s",
			ref.Name, ref.Version, strings.Join(versions, ", "))
	}
	return protocol.Errorf(protocol.CodeUnknownService, "service", "no service %q is registered%s", ref.Name, hint)
}

func printServices(a *app, found []protocol.ServiceInfo) error {
	slices.Reverse(found) // they come in the order of their versions
	if a.form != formTable && a.form != formWide {
		return showList(a, "services", found, serviceColumns())
	}
	for i, s := range found {
		if i > 0 {
			if _, err := fmt.Fprintln(a.out); err != nil {
				return err
			}
		}
		if err := printPairs(a.out, describeService(s, a.now())); err != nil {
			return err
		}
	}
	return nil
}
