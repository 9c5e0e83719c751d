package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

func newServiceRegister(a *app) *cobra.Command {
	var ask bool
	cmd := &cobra.Command{
		Use:   "register FILE.yaml",
		Short: "Register the service that a YAML file describes",
		Long: `Register the service that a YAML file describes. The same content once more changes nothing;
other content needs another version, or the old one deregistered first.

` + serviceExample + `
With --interface the types need not be written: the artefact for this machine's platform is run and asked for them.
Services of worker.Func and worker.Stateful know them.`,
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
			if ask {
				if s.Interface, err = askInterface(cmd.Context(), s); err != nil {
					return err
				}
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				return registerService(ctx, a, c, s.WithDefaults())
			})
		},
	}
	cmd.Flags().BoolVar(&ask, "interface", false, "run the artefact of this platform to learn the types of tasks and results")
	return cmd
}

// serviceExample is a file with all that a service may say of itself and of its tasks, but labels and placement.
const serviceExample = `  name: wordfreq                  # 1 to 63 of a-z, 0-9, '.', '_', '-'
  function: counts words
  artefacts:                      # what an agent starts, by platform
    linux/amd64:
      command: bin/wordfreq       # relative to the folder of this file; weft alone is the agent's own program
      args: [serve]
  requests:
  - capacity:                     # of one instance
      cpu: 0.5                    # cores with a decimal point; 500m or 500 are thousandths
      memory: 64MiB
    rack: r7                      # where instances may run: a rack or a node
    relax: true                   # it is preferred; without this line it is a must
  slots: 1                        # tasks that an instance executes at once
  sessions: 10                    # bound at once to an instance
  instances: {min: 2, max: 8}
  interface:                      # types, which typed clients are held to; see docs/rfc/9-types.md
    task: {text: string}
    result: map<string, int>
  limits:
    timeout: 5m                   # of a task, from its arrival to its result (default none)
    run: 1m                       # of one execution of it (default none)
    grace: 10s                    # for a hook that is to end; then its instance is killed
    idle: 60s                     # an instance beyond min ends when it had nothing to do for so long
  retry:                          # of tasks that failed by worker.Retry, or lost their instance
    attempts: 4                   # in all; then the task goes to the dead-letter list (weft task list --dead)
    backoff: 1s                   # before the second, doubled for each further one, a random part less
    max_backoff: 60s
    on: [TaskPanicked]            # failures that are tried again unasked: TaskFailed, TaskPanicked (default none)
  env: {MODE: fast}
`

// registerService registers a service, ends the warm instances of a program from before, and says what has become of it all.
func registerService(ctx context.Context, a *app, c operator, s protocol.Service) error {
	if len(s.Artefacts) == 0 {
		fmt.Fprintf(a.errOut, "weft service register: %s has no artefacts: no agent can start an instance of it, only somebody by hand\n", s.Name) //nolint:errcheck // a hint
	}
	before, err := collect(c.Services(ctx, client.Filter{Name: s.Name, Version: s.Version}))
	if err != nil {
		return err
	}
	if err := c.RegisterService(ctx, s); err != nil {
		return err
	}
	what := "new"
	if len(before) > 0 {
		what = "unchanged"
		if err := c.RestartService(ctx, s.Name, s.Version, true); err != nil {
			return err
		}
	}
	after, err := collect(c.Services(ctx, client.Filter{Name: s.Name}))
	if err != nil {
		return err
	}
	standing, left := "", 0
	for i := range after {
		v := &after[i]
		same := v.Service.Version == s.Version
		if same && len(before) > 0 && v.Sessions > 0 {
			left = instancesOf(v)
		}
		switch {
		case !v.Default:
		case !same:
			standing = ", the default is " + v.Service.Version
		case len(before) > 0:
			standing = ", the default"
		default:
			standing = ", now the default"
		}
	}
	if _, err := fmt.Fprintf(a.out, "registered %s version %s (%s)%s\n", s.Name, s.Version, what, standing); err != nil || left == 0 {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s for open sessions, with the program as it was when they started: weft service restart %s@%s replaces them\n",
		plural(left, "instance"), s.Name, s.Version)
	return err
}

// askPatience is how long a service may take to say its types.
const askPatience = 10 * time.Second

// askInterface runs the service's artefact for this platform, and has it say its types.
func askInterface(ctx context.Context, s protocol.Service) (protocol.Interface, error) {
	here := platform.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}.Normalise()
	key, ok := platform.Match(s.Artefacts, here)
	if !ok {
		return protocol.Interface{}, badInput("--interface: service %s has no artefact for this machine (%v); write its types into the file", s.Name, here)
	}
	ctx, stop := context.WithTimeout(ctx, askPatience)
	defer stop()
	artefact := s.Artefacts[key]
	cmd := exec.CommandContext(ctx, artefact.Command, artefact.Args...) //nolint:gosec // it is what the user wants to have run
	cmd.Dir, cmd.WaitDelay = artefact.Dir, time.Second
	cmd.Env = append(os.Environ(), worker.EnvDescribe+"=1")
	for k, v := range s.Env { // order does not matter: each is another variable
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return protocol.Interface{}, badInput("--interface: %s: %w: %s", artefact.Command, err, complaint(errOut.String()))
	}
	var said struct {
		Interface protocol.Interface `yaml:"interface"`
	}
	if err := yaml.UnmarshalWithOptions(described(out), &said, yaml.Strict()); err != nil || said.Interface == (protocol.Interface{}) {
		return protocol.Interface{}, badInput("--interface: %s does not say its types but %.60q; only a service of worker.Func or worker.Stateful does", artefact.Command, out)
	}
	return said.Interface, nil
}

// described gives what a service says of its types in its output: the last line that begins with interface:, and those
// below it that belong to it. What a program prints besides does not matter.
func described(out []byte) []byte {
	lines := strings.SplitAfter(string(out), "\n")
	for i, line := range slices.Backward(lines) {
		if !strings.HasPrefix(line, "interface:") {
			continue
		}
		end := i + 1
		for end < len(lines) && strings.HasPrefix(lines[end], " ") {
			end++
		}
		return []byte(strings.Join(lines[i:end], ""))
	}
	return out
}

// complaint gives the line of what a program that failed has written which says why: of a panic in Go the first of it,
// otherwise, as with an exception in Python, the last.
func complaint(errOut string) string {
	lines := strings.Split(strings.TrimSpace(errOut), "\n")
	for _, line := range lines {
		if strings.HasPrefix(line, "panic: ") {
			return line
		}
	}
	return lines[len(lines)-1]
}
