package main

import (
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/internal/builtin"
)

// newServe is what an agent starts for a built-in service.
func newServe() *cobra.Command {
	return &cobra.Command{
		Use: "serve KIND", Short: "Be an instance of a built-in service; agents start it", Hidden: true, Args: takes("KIND"),
		RunE: func(cmd *cobra.Command, args []string) error { return builtin.Serve(cmd.Context(), args[0]) },
	}
}
