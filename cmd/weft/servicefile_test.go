package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

const fullService = `
name: price
version: 1.20
function: prices trades
tags: [risk, eod]
artefacts:
  linux/amd64:
    command: bin/price
    args: [serve, 1.0]
    dir: data
  linux/arm64:
    command: /opt/price
requests:
  - capacity: {cpu: 0.5, memory: 64MiB, gpu: 1, network: 1MB, disk_io: 2048, fpga: 1}
    priority: 3
    node: n1
    relax: true
    node_type: gpu
    nodes: 2
slots: 2
sessions: 5
queue: risk.eod
instances: {min: 2, max: 8}
interface:
  task: {symbol: string, days: int}
  result: list<float>
limits:
  payload: 1MiB
  tasks: 1000
  bytes: "64 MiB"
  idle: 1m30s
  start: 5s
  grace: 500ms
  timeout: 1h
  run: 10m
  data: 2MiB
retry:
  attempts: 3
  host_losses: 6
  backoff: 100ms
  max_backoff: 3s
  on: [TaskFailed]
env: {MODE: fast, LEVEL: 010}
manager: {cpu: 50m, memory: 64MiB}
`

func TestReadService(t *testing.T) {
	got, err := readService("/srv/price/service.yaml", []byte(fullService))
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Service{
		Name: "price", Version: "1.20", Function: "prices trades", Tags: []string{"risk", "eod"},
		Artefacts: map[string]protocol.Artefact{
			"linux/amd64": {Command: "/srv/price/bin/price", Args: []string{"serve", "1.0"}, Dir: "/srv/price/data"},
			"linux/arm64": {Command: "/opt/price"},
		},
		Requests: []protocol.ContainerRequest{{
			Capacity: protocol.Capacity{CPU: 500, GPU: 1, Memory: 64 << 20, Network: 1e6, DiskIO: 2048, Further: protocol.Amounts{"fpga": 1}},
			Priority: 3, Node: "n1", Relax: true, NodeType: "gpu", Nodes: 2,
		}},
		Slots: 2, Sessions: 5, Queue: "risk.eod", Instances: protocol.Instances{Min: 2, Max: 8},
		Interface: protocol.Interface{Task: "{symbol: string, days: int}", Result: "list<float>"},
		Limits: protocol.Limits{
			Payload: 1 << 20, Tasks: 1000, Bytes: 64 << 20,
			Idle: protocol.Duration(90 * time.Second), Start: protocol.Duration(5 * time.Second),
			Grace: protocol.Duration(500 * time.Millisecond), Timeout: protocol.Duration(time.Hour),
			Run: protocol.Duration(10 * time.Minute), Data: 2 << 20,
		},
		Retry: protocol.Retry{
			Attempts: 3, HostLosses: 6, Backoff: protocol.Duration(100 * time.Millisecond),
			MaxBackoff: protocol.Duration(3 * time.Second), On: []string{"TaskFailed"},
		},
		Env:     map[string]string{"MODE": "fast", "LEVEL": "010"},
		Manager: protocol.Share{CPU: 50, Memory: 64 << 20},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("readService:\n got %+v\nwant %+v", got, want)
	}
}

func TestExamplesCanBeRegistered(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/service.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("examples: %q, %v", files, err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := readService(file, text)
		if err != nil {
			t.Error(err)
			continue
		}
		want := filepath.Join(root, "bin", s.Name)
		for _, platform := range []string{"linux/amd64", "linux/arm64"} {
			got := s.Artefacts[platform].Command
			if script, err := os.Stat(got); err == nil && script.Mode()&0o111 != 0 && filepath.Dir(got) != filepath.Dir(want) {
				continue // it is not built
			}
			if got != want {
				t.Errorf("%s: the program for %s is %q, want %q", file, platform, got, want)
			}
		}
	}
}

// What "weft service register --help" shows is a file that can be registered.
func TestExampleOfHelp(t *testing.T) {
	s, err := readService("service.yaml", []byte(serviceExample))
	if err != nil {
		t.Fatal(err)
	}
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if s.Retry.Attempts != 4 || s.Limits.Run != protocol.Duration(time.Minute) || len(s.Retry.On) != 1 {
		t.Errorf("it says %+v and %+v of tasks", s.Retry, s.Limits)
	}
}

// Whatever a service can say in the catalogue can be said in its file, under the same key.
func TestServiceFileHasEveryKey(t *testing.T) {
	var compare func(at string, file, wire reflect.Type)
	compare = func(at string, file, wire reflect.Type) {
		for file.Kind() == reflect.Slice || file.Kind() == reflect.Map {
			file, wire = file.Elem(), wire.Elem()
		}
		if file.Kind() != reflect.Struct {
			return
		}
		have, want := fieldsOf(file), fieldsOf(wire)
		for key, w := range want {
			if h, ok := have[key]; ok {
				compare(at+key+".", h, w)
			} else {
				t.Errorf("the file has no key %s%s", at, key)
			}
		}
		for key := range have {
			if _, ok := want[key]; !ok {
				t.Errorf("the file's key %s%s is none of protocol.Service", at, key)
			}
		}
	}
	compare("", reflect.TypeFor[serviceFile](), reflect.TypeFor[protocol.Service]())
}

// Each file of testdata/bad is a broken service with the error that it gives in its first line.
func TestReadServiceErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/bad: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		want := strings.TrimPrefix(first, "# ")
		_, err = readService(filepath.Base(file), text)
		if err == nil {
			t.Errorf("%s: no error, want %s", file, want)
			continue
		}
		if got := err.Error(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", file, got, want)
		}
		if code := exitCode(err); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", file, code, exitUsage)
		}
	}
}

func TestReadServiceOfNothing(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "---\n"} {
		_, err := readService("empty.yaml", []byte(text))
		if _, ok := errors.AsType[inputError](err); !ok {
			t.Errorf("readService(%q): %v, want an error of input", text, err)
		}
	}
}

// The bare name weft is the agent's own program; a file of that name has a path.
func TestOwnProgram(t *testing.T) {
	for command, want := range map[string]string{"weft": "weft", "./weft": "/f/weft", "other": "/f/other"} {
		s, err := readService("/f/s.yaml", []byte("name: a\nartefacts:\n  linux/amd64: {command: "+command+"}\n"))
		if got := s.Artefacts["linux/amd64"].Command; err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", command, got, err, want)
		}
	}
}
