package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/protocol"
)

// serviceFile is a service as its YAML says it: [protocol.Service] with amounts that people write (64MiB, 0.5 cores).
// It is the one place where they are converted.
type serviceFile struct {
	Name      string                  `yaml:"name"`
	Version   text                    `yaml:"version"`
	Function  string                  `yaml:"function"`
	Tags      []string                `yaml:"tags"`
	Artefacts map[string]artefactFile `yaml:"artefacts"`
	Requests  []requestFile           `yaml:"requests"`
	Slots     int                     `yaml:"slots"`
	Sessions  int                     `yaml:"sessions"`
	Queue     string                  `yaml:"queue"`
	Instances protocol.Instances      `yaml:"instances"`
	Interface interfaceFile           `yaml:"interface"`
	Limits    limitsFile              `yaml:"limits"`
	Retry     retryFile               `yaml:"retry"`
	Manager   managerFile             `yaml:"manager"`
	Env       map[string]text         `yaml:"env"`
}

type interfaceFile struct {
	Task   typeText `yaml:"task"`
	Result typeText `yaml:"result"`
}

type artefactFile struct {
	Command string `yaml:"command"`
	Args    []text `yaml:"args"`
	Dir     string `yaml:"dir"`
}

type requestFile struct {
	Capacity capacityFile `yaml:"capacity"`
	Shape    string       `yaml:"shape"`
	Multiple int          `yaml:"multiple"`
	Priority int          `yaml:"priority"`
	Node     string       `yaml:"node"`
	Rack     string       `yaml:"rack"`
	Relax    bool         `yaml:"relax"`
	NodeType string       `yaml:"node_type"`
	Nodes    int          `yaml:"nodes"`
}

// capacityFile is a capacity; see [setAmount] for what may be in it.
type capacityFile protocol.Capacity

// UnmarshalYAML takes a mapping of resources to amounts.
func (c *capacityFile) UnmarshalYAML(decode func(any) error) error {
	var amounts map[string]text
	if err := decode(&amounts); err != nil {
		return err
	}
	for name, value := range amounts { // order does not matter: check has seen that none is wrong
		if err := setAmount((*protocol.Capacity)(c), name, string(value)); err != nil {
			return err
		}
	}
	return nil
}

type managerFile struct {
	CPU    cpuAmount  `yaml:"cpu"`
	Memory byteAmount `yaml:"memory"`
}

type limitsFile struct {
	Payload byteAmount        `yaml:"payload"`
	Tasks   int               `yaml:"tasks"`
	Bytes   byteAmount        `yaml:"bytes"`
	Idle    protocol.Duration `yaml:"idle"`
	Start   protocol.Duration `yaml:"start"`
	Grace   protocol.Duration `yaml:"grace"`
	Timeout protocol.Duration `yaml:"timeout"`
	Run     protocol.Duration `yaml:"run"`
	Data    byteAmount        `yaml:"data"`
}

type retryFile struct {
	Attempts   int               `yaml:"attempts"`
	HostLosses int               `yaml:"host_losses"`
	Backoff    protocol.Duration `yaml:"backoff"`
	MaxBackoff protocol.Duration `yaml:"max_backoff"`
	On         []string          `yaml:"on"`
}

// byteAmount is an amount of bytes, cpuAmount one of millicores, text whatever was written: version 1.20 is not 1.2, and
// typeText a type, whose {name: type} need not be quoted.
type (
	typeText   string
	byteAmount int64
	cpuAmount  int64
	text       string
)

// UnmarshalYAML takes a number or a truth value as it was written.
func (v *text) UnmarshalYAML(n ast.Node) error {
	if _, ok := n.(ast.ScalarNode); !ok {
		return fmt.Errorf("%q is not a text", n)
	}
	*v = text(scalar(n))
	return nil
}

// UnmarshalYAML takes a text, or a mapping or list as it was written.
//
//nolint:unparam // the YAML library's interface has an error
func (v *typeText) UnmarshalYAML(n ast.Node) error {
	*v = typeText(typeAsWritten(n))
	return nil
}

func typeAsWritten(n ast.Node) string {
	if _, ok := n.(ast.ScalarNode); ok {
		return scalar(n)
	}
	return n.String()
}

// UnmarshalYAML reads what [parseBytes] reads.
func (a *byteAmount) UnmarshalYAML(n ast.Node) error {
	v, err := parseBytes(scalar(n))
	*a = byteAmount(v)
	return err
}

// UnmarshalYAML reads what [parseCPU] reads.
func (a *cpuAmount) UnmarshalYAML(n ast.Node) error {
	v, err := parseCPU(scalar(n))
	*a = cpuAmount(v)
	return err
}

// scalar gives the text of a value as it was written, without quotes.
func scalar(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

// readService reads one service from the YAML text of the file path. Relative commands and working folders of its
// artefacts are resolved against the file's folder. Errors name the file, the line and what would be right.
func readService(path string, text []byte) (protocol.Service, error) {
	var none protocol.Service
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return none, yamlError(path, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return none, badInput("%s: %d YAML documents; a file has exactly one service", path, filled(file))
	}
	if err := check(path, "", file.Docs[0].Body, reflect.TypeFor[serviceFile]()); err != nil {
		return none, err
	}
	var f serviceFile
	if err := yaml.NodeToValue(file.Docs[0].Body, &f, yaml.Strict()); err != nil {
		return none, yamlError(path, err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return none, fmt.Errorf("folder of %s: %w", path, err)
	}
	s := f.service(folder)
	if err := s.WithDefaults().Validate(); err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	if err := checkPlatforms(path, s.Artefacts); err != nil {
		return none, err
	}
	return s, nil
}

func filled(f *ast.File) int {
	n := 0
	for _, d := range f.Docs {
		if d.Body != nil {
			n++
		}
	}
	return n
}

// service converts f; relative paths begin at folder.
func (f serviceFile) service(folder string) protocol.Service {
	s := protocol.Service{
		Name: f.Name, Version: string(f.Version), Function: f.Function, Tags: f.Tags, Slots: f.Slots, Sessions: f.Sessions,
		Queue: f.Queue, Instances: f.Instances,
		Interface: protocol.Interface{Task: string(f.Interface.Task), Result: string(f.Interface.Result)},
		Limits: protocol.Limits{
			Payload: int64(f.Limits.Payload), Tasks: f.Limits.Tasks, Bytes: int64(f.Limits.Bytes),
			Idle: f.Limits.Idle, Start: f.Limits.Start, Grace: f.Limits.Grace,
			Timeout: f.Limits.Timeout, Run: f.Limits.Run, Data: int64(f.Limits.Data),
		},
		Retry:   protocol.Retry(f.Retry),
		Manager: protocol.Share{CPU: int64(f.Manager.CPU), Memory: int64(f.Manager.Memory)},
	}
	for _, r := range f.Requests {
		s.Requests = append(s.Requests, protocol.ContainerRequest{
			Capacity: protocol.Capacity(r.Capacity), Shape: r.Shape, Multiple: r.Multiple, Priority: r.Priority,
			Node: r.Node, Rack: r.Rack, Relax: r.Relax, NodeType: r.NodeType, Nodes: r.Nodes,
		})
	}
	for platform, a := range f.Artefacts { // order does not matter: fills a map
		if s.Artefacts == nil {
			s.Artefacts = map[string]protocol.Artefact{}
		}
		command := a.Command
		if command != protocol.OwnProgram {
			command = within(folder, command)
		}
		made := protocol.Artefact{Command: command, Dir: within(folder, a.Dir)}
		for _, arg := range a.Args {
			made.Args = append(made.Args, string(arg))
		}
		s.Artefacts[platform] = made
	}
	for name, value := range f.Env { // order does not matter: fills a map
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		s.Env[name] = string(value)
	}
	return s
}

func within(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// yamlError gives an error of the YAML library as "file:line: message".
func yamlError(path string, err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		return badInput("%s:%d: %s", path, e.GetToken().Position.Line, e.GetMessage())
	}
	return badInput("%s: %v", path, err)
}

// check walks the YAML beside the type that it is to fill. It refuses the first key that the type has no field for, and
// the first value that does not fit, naming it by its path.
func check(path, at string, n ast.Node, t reflect.Type) (first error) {
	walk(path, at, n, t, func(err error) { first = cmp.Or(first, err) })
	return first
}

// walk is check that tells of all that it would refuse.
func walk(path, at string, n ast.Node, t reflect.Type, refuse func(error)) {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		n = anchor.Value
	}
	if n.Type() == ast.NullType || n.Type() == ast.AliasType { // an alias was checked where its anchor is
		return
	}
	name := strings.TrimSuffix(at, ".")
	line := n.GetToken().Position.Line
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		pairs, ok := entries(n)
		if !ok {
			refuse(badInput("%s:%d: %s: %q is not a mapping of keys to values", path, line, cmp.Or(name, strings.TrimSuffix(t.Name(), "File")), n))
		}
		fields := fieldsOf(t)
		for _, kv := range pairs {
			key := scalar(kv.Key)
			value, ok := fields[key]
			switch {
			case t == reflect.TypeFor[capacityFile]() || t == reflect.TypeFor[amountsFile]():
				if err := checkAmount(path, at+key, key, kv.Value); err != nil {
					refuse(err)
				}
			case t.Kind() == reflect.Map:
				walk(path, at+key+".", kv.Value, t.Elem(), refuse)
			case !ok:
				refuse(unknownKey(path, at, key, kv.Key.GetToken().Position.Line, t))
			default:
				walk(path, at+key+".", kv.Value, value, refuse)
			}
		}
	case reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			refuse(badInput("%s:%d: %s: %q is not a list", path, line, name, n))
			return
		}
		for i, v := range list.Values {
			walk(path, fmt.Sprintf("%s[%d].", name, i), v, t.Elem(), refuse)
		}
	default:
		if err := fits(n, t); err != nil {
			refuse(badInput("%s:%d: %s: %w", path, line, name, err))
		}
	}
}

// checkAmount refuses an amount of a capacity that is none.
func checkAmount(path, at, name string, n ast.Node) error {
	if n.Type() == ast.AliasType {
		return nil
	}
	if err := setAmount(&protocol.Capacity{}, name, scalar(n)); err != nil {
		return badInput("%s:%d: %s: %w", path, n.GetToken().Position.Line, at, err)
	}
	return nil
}

// fits says why a value does not fit a type that is neither struct, map nor slice.
func fits(n ast.Node, t reflect.Type) error {
	if t == reflect.TypeFor[typeText]() {
		_, err := protocol.ParseType(typeAsWritten(n))
		return err
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	err := yaml.NodeToValue(n, reflect.New(t).Interface())
	whole := t == reflect.TypeFor[int]() || t == reflect.TypeFor[int64]()
	switch {
	case whole && n.Type() == ast.FloatType: // it would be cut
		return fmt.Errorf("%q is not a whole number", n)
	case err == nil:
		return nil
	case whole:
		return fmt.Errorf("%q is not a whole number", n)
	case t.Kind() == reflect.String:
		return fmt.Errorf("%q is not a text", n)
	case t == reflect.TypeFor[float64]():
		return fmt.Errorf("%q is not a number", n)
	case t == reflect.TypeFor[bool]():
		return fmt.Errorf("%q is neither true nor false", n)
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return errors.New(e.Msg)
	}
	return err
}

// entries gives the pairs of a mapping, and false for anything else.
func entries(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

// fieldsOf gives the types of a struct's fields by their keys in YAML; nothing for other types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return fields
	}
	for f := range t.Fields() {
		fields[keyOf(f)] = f.Type
	}
	return fields
}

// keyOf gives a field's key: of its yaml tag, or of its json tag where it has none.
func keyOf(f reflect.StructField) string {
	tag, ok := f.Tag.Lookup("yaml")
	if !ok {
		tag = f.Tag.Get("json")
	}
	key, _, _ := strings.Cut(tag, ",")
	return key
}

func unknownKey(path, at, key string, line int, t reflect.Type) error {
	var valid []string
	for f := range t.Fields() {
		valid = append(valid, keyOf(f))
	}
	if near, ok := nearest.Of(key, valid); ok {
		return badInput("%s:%d: unknown key %q: did you mean %q?", path, line, at+key, at+near)
	}
	return badInput("%s:%d: unknown key %q: there are %s", path, line, at+key, strings.Join(valid, ", "))
}
