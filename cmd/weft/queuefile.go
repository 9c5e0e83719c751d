package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/weft-fabric/weft/broker/queues"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
)

const queuesExample = `  # queues.yaml
  queues:                       # parents and children in any order
    - name: root                # the one without a parent has the whole cluster
    - name: risk
      parent: root
      capacity_pct: 70          # guaranteed; siblings sum to 100. Or weight: 2, which siblings do not mix with it
      max_pct: 90               # of what the parent may have. Or max, in amounts
    - name: risk.eod
      parent: risk
      policy: fair              # of a leaf: fifo (default), capacity, fair
      priority: 1               # the higher comes first
    - name: risk.desk
      parent: risk
      policy: capacity
      user_limit_pct: 25        # what one user may have at most while others want some
      min: {cpu: 2.0}           # below it, before its siblings
    - name: default
      parent: root
      capacity_pct: 30
      max: {memory: 64GiB, gpu: 0} # what is left out is not limited
      reserve: true             # the head of the line keeps the place it waits for
  shapes:                       # for "shape: small" and "multiple: 2" in a service's request
    small: {cpu: 1.0, memory: 2GiB}
`

// queuesFile is the queues and shapes as their YAML says them.
type queuesFile struct {
	Queues []queueFile             `yaml:"queues"`
	Shapes map[string]capacityFile `yaml:"shapes"`
}

type queueFile struct {
	Name       string      `yaml:"name"`
	Parent     string      `yaml:"parent"`
	Capacity   text        `yaml:"capacity_pct"`
	Weight     *float64    `yaml:"weight"`
	Min        amountsFile `yaml:"min"`
	MaxPercent text        `yaml:"max_pct"`
	Max        amountsFile `yaml:"max"`
	Priority   int         `yaml:"priority"`
	Policy     string      `yaml:"policy"`
	UserLimit  text        `yaml:"user_limit_pct"`
	Reserve    bool        `yaml:"reserve"`
}

// amountsFile is amounts of which it counts whether they are there; see [setAmount] for what may be in it.
type amountsFile protocol.Amounts

// UnmarshalYAML takes a mapping of resources to amounts.
func (a *amountsFile) UnmarshalYAML(decode func(any) error) error {
	var written map[string]text
	if err := decode(&written); err != nil {
		return err
	}
	*a = make(amountsFile, len(written))
	for name, value := range written { // order does not matter: check has seen that none is wrong
		var c protocol.Capacity
		if err := setAmount(&c, name, string(value)); err != nil {
			return err
		}
		(*a)[name] = c.CPU + c.GPU + c.Memory + c.Network + c.DiskIO + c.Further[name] // one of them
	}
	return nil
}

// readQueuesFrom reads the queues of a file, or of in when its name is -.
func readQueuesFrom(in io.Reader, file string) (protocol.ApplyQueues, error) {
	name, text, err := file, []byte(nil), error(nil)
	if file == "-" {
		name = "standard input"
		text, err = io.ReadAll(in)
	} else {
		text, err = os.ReadFile(file) //nolint:gosec // it is the user's
	}
	if err != nil {
		return protocol.ApplyQueues{}, badInput("queues: %w", err)
	}
	return readQueues(name, text)
}

// readQueues reads queues and shapes from the YAML text of the file path. The error names everything that is wrong, each
// fault in a line of its own that begins with the file and the line; faults of form hide those of content.
func readQueues(path string, text []byte) (protocol.ApplyQueues, error) {
	var none protocol.ApplyQueues
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return none, yamlError(path, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return none, badInput("%s: %d YAML documents; a file has exactly one tree of queues", path, filled(file))
	}
	body := file.Docs[0].Body
	var f queuesFile
	var wrong []string
	walk(path, "", body, reflect.TypeFor[queuesFile](), func(err error) { wrong = append(wrong, err.Error()) })
	if len(wrong) > 0 {
		return none, badInput("%s", strings.Join(wrong, "\n"))
	}
	if err := yaml.NodeToValue(body, &f, yaml.Strict()); err != nil {
		return none, yamlError(path, err)
	}
	apply := f.apply()
	for _, fault := range faultsByLine(body, queues.Config{Queues: apply.Queues, Shapes: apply.Shapes}) {
		wrong = append(wrong, fmt.Sprintf("%s:%d: %s", path, fault.line, queues.Line(apply.Queues, fault.Fault)))
	}
	if len(wrong) > 0 {
		return none, badInput("%s", strings.Join(wrong, "\n"))
	}
	return apply, nil
}

// apply converts f.
func (f queuesFile) apply() protocol.ApplyQueues {
	var apply protocol.ApplyQueues
	for _, q := range f.Queues {
		apply.Queues = append(apply.Queues, protocol.Queue{
			Name: q.Name, Parent: q.Parent, Capacity: protocol.Decimal(q.Capacity), Weight: q.Weight,
			Min: protocol.Amounts(q.Min), MaxPercent: protocol.Decimal(q.MaxPercent), Max: protocol.Amounts(q.Max),
			Priority: q.Priority, Policy: q.Policy, UserLimit: protocol.Decimal(q.UserLimit), Reserve: q.Reserve,
		})
	}
	for name, shape := range f.Shapes { // order does not matter: fills a map
		if apply.Shapes == nil {
			apply.Shapes = protocol.Shapes{}
		}
		apply.Shapes[name] = protocol.Capacity(shape)
	}
	return apply
}

// placed is a fault and the line that it is in.
type placed struct {
	sched.Fault
	line int
}

// faultsByLine gives what is wrong with the configuration that body says, in the order of the lines.
func faultsByLine(body ast.Node, c queues.Config) []placed {
	var all []placed
	for _, f := range c.Check() {
		line, at := body.GetToken().Position.Line, valueOf(body, "queues", nil)
		if f.Queue >= 0 {
			if list, ok := at.(*ast.SequenceNode); ok && f.Queue < len(list.Values) {
				line = list.Values[f.Queue].GetToken().Position.Line
				valueOf(list.Values[f.Queue], f.Field, &line)
			}
		} else if shape, ok := strings.CutPrefix(f.Field, "shapes"); ok {
			valueOf(valueOf(body, "shapes", &line), strings.TrimPrefix(shape, "."), &line)
		}
		all = append(all, placed{f, line})
	}
	slices.SortStableFunc(all, func(a, b placed) int { return a.line - b.line })
	return all
}

// valueOf gives the value of a key of a mapping, and its line; nil, and the line as it was, where it has no such key.
func valueOf(n ast.Node, key string, line *int) ast.Node {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		n = anchor.Value
	}
	pairs, _ := entries(n)
	for _, kv := range pairs {
		if scalar(kv.Key) != key {
			continue
		}
		if line != nil {
			*line = kv.Key.GetToken().Position.Line
		}
		if anchor, ok := kv.Value.(*ast.AnchorNode); ok {
			return anchor.Value
		}
		return kv.Value
	}
	return nil
}
