package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/sched/scenario"
)

func newSched(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "sched", Short: "Ask what the scheduler would do"})
	cmd.AddCommand(newSchedSimulate(a))
	return cmd
}

// scenarioExample is a scenario that shows the most of it in little room.
const scenarioExample = `  {
    "resources": ["cpu", "gpu"],
    "cluster": [
      {"node": "n1", "rack": "r1", "cap": {"cpu": 8}},
      {"node": "n2", "rack": "r2", "cap": {"cpu": 8, "gpu": 2}}
    ],
    "queues": [
      {"name": "root"},
      {"name": "prod", "parent": "root", "capacity_pct": 75, "policy": "fair"},
      {"name": "test", "parent": "root", "capacity_pct": 25, "max": {"cpu": 6}}
    ],
    "steps": [
      {"op": "submit", "service": "nightly", "queue": "test", "requests": [{"id": "r", "count": 9, "cap": {"cpu": 1}}]},
      {"op": "schedule"},
      {"op": "submit", "service": "web", "queue": "prod", "requests": [{"id": "r", "count": 6, "cap": {"cpu": 2}}]},
      {"op": "schedule"}, {"op": "preempt"}, {"op": "state"}
    ]
  }
`

func newSchedSimulate(a *app) *cobra.Command {
	var (
		generate string
		document bool
	)
	cmd := &cobra.Command{
		Use:   "simulate SCENARIO.json | - | --generate SIZE",
		Short: "Run a what-if scenario on the scheduler, and print what it would do",
		Long: `Run a what-if scenario on the scheduler, and print what it would do. It is the broker's own scheduler; no broker is
asked, and nothing is changed.

A scenario is a JSON document (a file, or - for standard input) that has a cluster, queues and steps: services that are
submitted, nodes that come and go, containers that are given back. The steps schedule, preempt and state print into one
JSON document on standard output. Amounts are whole numbers in units of the scenario's own. docs/scheduling.md says all
of it. Such as:

` + scenarioExample + `
--generate makes a scenario of a size, from a seed, and runs it; with --print it is printed instead, to be changed and
run. Its keys, and what they are when left out:

  ` + scenario.DefaultLoad().String() + `

What is wrong with a scenario is said with its place (steps[3].requests[0].cap: ...), all of it, and the exit code is 2.`,
		Example: `  weft sched simulate whatif.json
  weft sched simulate --generate nodes=100,queues=20,requests=1000
  weft sched simulate --generate nodes=10,queues=4,requests=50,seed=7 --print > whatif.json`,
		Args:              cobra.ArbitraryArgs, // checked when it is known whether a variable stands for --generate
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(cmd *cobra.Command, args []string) error {
			if generate != "" {
				if err := takes()(cmd, args); err != nil {
					return err
				}
				return simulateGenerated(a, generate, document)
			}
			if err := takes("SCENARIO.json")(cmd, args); err != nil {
				return err
			}
			if document {
				return badInput("--print: it prints what --generate makes, and that is not given")
			}
			return simulateFile(a, args[0])
		},
	}
	cmd.Flags().StringVar(&generate, "generate", "", "make a scenario of this size, such as nodes=100,queues=20,requests=1000, and run it")
	cmd.Flags().BoolVar(&document, "print", false, "with --generate: print the scenario, and do not run it")
	register(cmd, "generate", completeLoad)
	return cmd
}

// simulateFile runs the scenario in a file, or in standard input.
func simulateFile(a *app, name string) error {
	var text []byte
	var err error
	if name == "-" {
		name = "standard input"
		text, err = io.ReadAll(a.in)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return fmt.Errorf("scenario: %w", err)
	}
	doc, err := scenario.Decode(text)
	if err != nil {
		return notRight(name, err)
	}
	return simulate(a, doc)
}

// notRight says what is wrong with a scenario: the first fault in the same line, more of them below.
func notRight(name string, err error) error {
	if faults, ok := errors.AsType[scenario.Faults](err); ok && len(faults) > 1 {
		return badInput("%s: there is more than one thing wrong:\n%w", name, err)
	}
	return badInput("%s: %w", name, err)
}

// simulateGenerated makes a scenario, and prints or runs it.
func simulateGenerated(a *app, size string, document bool) error {
	load, err := scenario.ParseLoad(size)
	if err != nil {
		return badInput("--generate: %w", err)
	}
	doc := load.Document()
	if document {
		return printDocument(a.out, doc)
	}
	return simulate(a, &doc)
}

func simulate(a *app, doc *scenario.Document) error {
	out, err := scenario.Run(doc)
	if err != nil {
		return fmt.Errorf("simulation: %w", err)
	}
	return printDocument(a.out, out)
}

// printDocument writes a document of the simulator.
func printDocument(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// completeLoad completes the next key of a size.
func completeLoad(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := begun[:strings.LastIndexByte(begun, ',')+1]
	var words []cobra.Completion
	for part := range strings.SplitSeq(scenario.DefaultLoad().String(), ",") {
		key, value, _ := strings.Cut(part, "=")
		if !strings.Contains(","+before, ","+key+"=") {
			words = append(words, cobra.CompletionWithDesc(before+key+"=", value))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
