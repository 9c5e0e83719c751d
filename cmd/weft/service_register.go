package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func newServiceRegister(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "register FILE.yaml",
		Short: "Register the service that a YAML file describes",
		Long: `Register the service that a YAML file describes. The same content once more changes nothing;
other content needs another version, or the old one deregistered first.

  name: wordfreq                  # 1 to 63 of a-z, 0-9, '.', '_', '-'
  function: counts words
  artefacts:                      # what an agent starts, by platform
    linux/amd64:
      command: bin/wordfreq       # relative to the folder of this file
      args: [serve]
  requests:
  - capacity:                     # of one instance
      cpu: 0.5                    # cores with a decimal point; 500m or 500 are thousandths
      memory: 64MiB
  slots: 1                        # tasks that an instance executes at once
  sessions: 10                    # bound at once to an instance
  instances: {min: 2, max: 8}
  limits: {idle: 60s, attempts: 4}
  env: {MODE: fast}`,
		Args: takes("FILE.yaml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return badInput("service register: %w", err)
			}
			s, err := readService(args[0], text)
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.RegisterService(ctx, s); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "service %s registered\n", s.Name)
				return err
			})
		},
	}
}
