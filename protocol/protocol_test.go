package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestKindsAreNamedOnce(t *testing.T) {
	seen := map[string]Kind{}
	for _, k := range Kinds() {
		if other, ok := seen[k.String()]; ok {
			t.Errorf("kinds %d and %d are both %v", other, k, k)
		}
		seen[k.String()] = k
		if k > 127 {
			t.Errorf("%v is no fixint", k)
		}
	}
	if len(seen) != 87 {
		t.Errorf("%d kinds: adapt this test, the golden files and docs/rfc", len(seen))
	}
	if Kind(120).Known() || Kind(120).String() != "kind 120" {
		t.Errorf("kind 120 is %v", Kind(120))
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Codes() {
		if c.String() == "" || seen[c.String()] {
			t.Errorf("code %d is %q", uint16(c), c)
		}
		seen[c.String()] = true
		if want := c == CodeOverloaded || c == CodeUnavailable || c == CodeIndeterminate; c.Retryable() != want {
			t.Errorf("%v: retryable %t", c, c.Retryable())
		}
	}
	if len(seen) != len(codes) || len(seen) != 35 {
		t.Errorf("%d codes of %d", len(seen), len(codes))
	}
	if Code(999).String() != "code 999" || Code(999).Retryable() {
		t.Errorf("code 999 is %v", Code(999))
	}
}

func TestErrors(t *testing.T) {
	e := Errorf(CodeInvalid, "OpenSession", "queue %q", "x")
	if got := e.Error(); got != `OpenSession: Invalid: queue "x"` {
		t.Error(got)
	}
	if got := (&Error{Code: CodeClosed}).Error(); got != "Closed" {
		t.Error(got)
	}
	wrapped := fmt.Errorf("later: %w", e)
	if !errors.Is(wrapped, &Error{Code: CodeInvalid}) || errors.Is(wrapped, &Error{Code: CodeClosed}) || errors.Is(e, errors.ErrUnsupported) {
		t.Error("errors are compared by more, or less, than their code")
	}
	plain := errors.New("plain")
	if CodeOf(nil) != 0 || CodeOf(plain) != CodeInternal || CodeOf(wrapped) != CodeInvalid {
		t.Error("CodeOf")
	}
	if AsError(nil, "x") != nil || AsError(wrapped, "x") != e {
		t.Error("AsError")
	}
	if got := AsError(plain, "op").Error(); got != "op: Internal: plain" {
		t.Error(got)
	}
}

func TestNumbers(t *testing.T) {
	e := NewEpoch(1<<56-1, 200)
	if e.Counter() != 1<<56-1 || e.Node() != 200 || NewEpoch(5, 2).String() != "5.2" || NewEpoch(5, 255) >= NewEpoch(6, 0) {
		t.Errorf("epoch %v", e)
	}
	id := NewTaskID(MaxTaskSequence, MaxTaskSlot)
	if id != 1<<64-1 || id.Sequence() != MaxTaskSequence || id.Slot() != MaxTaskSlot || NewTaskID(3, 4).String() != "3:4" {
		t.Errorf("task id %v", id)
	}
	s := NewStamp(1<<16-1, 1<<48-1)
	if s != 1<<64-1 || s.Conversation() != 1<<16-1 || s.Count() != 1<<48-1 {
		t.Errorf("stamp %x", uint64(s))
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		lowest, highest, want uint8
	}{
		{1, 1, 1}, {0, 1, 1}, {1, 9, 1}, {0, 0, 0}, {2, 9, 0}, {9, 1, 0}, {1, 0, 0},
	} {
		got, err := Negotiate(c.lowest, c.highest)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%d to %d: %d, %v", c.lowest, c.highest, got, err)
		}
		if err != nil && (CodeOf(err) != CodeVersion || !strings.Contains(err.Error(), fmt.Sprintf("%d to %d", c.lowest, c.highest))) {
			t.Errorf("%d to %d: %v", c.lowest, c.highest, err)
		}
	}
}

func TestDurationText(t *testing.T) {
	var d Duration
	if err := d.UnmarshalText([]byte("1m30s")); err != nil || time.Duration(d) != 90*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	if b, err := d.MarshalText(); err != nil || string(b) != "1m30s" {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []string{"", "5", "soon"} {
		if err := d.UnmarshalText([]byte(bad)); CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if time.Duration(d) != 90*time.Second {
		t.Error("a bad text changed the duration")
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "price": true, "0.a_b-9": true, strings.Repeat("x", 63): true,
		"": false, "-a": false, "a-": false, "A": false, "a b": false, strings.Repeat("x", 64): false, "ä": false, "a\n": false,
	} {
		if ValidName(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}

func TestServiceDefaults(t *testing.T) {
	s := Service{Name: "s"}.WithDefaults()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.Version != "1" || s.Queue != "default" || s.Manager != (Share{CPU: 20}) || s.Slots != 1 || s.Sessions != 10 || s.Instances != (Instances{1, 1}) ||
		len(s.Requests) != 1 || !s.Requests[0].Capacity.Equal(Capacity{CPU: 1000, Memory: 64 << 20}) ||
		s.Limits != (Limits{
			Payload: DefaultMaxPayload, Tasks: DefaultTaskCredit, Bytes: DefaultByteCredit,
			Idle: Duration(time.Minute), Start: Duration(time.Minute), Grace: Duration(10 * time.Second), Data: DefaultSessionData,
		}) || !reflect.DeepEqual(s.Retry, DefaultRetry()) {
		t.Errorf("%+v", s)
	}
	given := Service{Name: "s", Instances: Instances{Min: 3}, Limits: Limits{Payload: 1 << 30}, Requests: []ContainerRequest{{}}}
	s = given.WithDefaults()
	if s.Instances.Max != 3 || s.Limits.Bytes != 1<<30 {
		t.Errorf("%+v", s)
	}
	if !given.Requests[0].Capacity.IsZero() {
		t.Error("WithDefaults changed what it was given")
	}
	if again := s.WithDefaults(); !equal(again, s) {
		t.Errorf("defaults of defaults: %+v", again)
	}
}

func TestServiceIsRefused(t *testing.T) {
	for field, spoil := range map[string]func(s *Service){
		`name: "Not a name"`:                         func(s *Service) { s.Name = "Not a name" },
		`version: "a b"`:                             func(s *Service) { s.Version = "a b" },
		"requests: 2 requests":                       func(s *Service) { s.Requests = make([]ContainerRequest, 2) },
		"slots: -1":                                  func(s *Service) { s.Slots = -1 },
		"manager.cpu: -1 millicores":                 func(s *Service) { s.Manager.CPU = -1 },
		"manager.cpu: 64001 millicores":              func(s *Service) { s.Manager.CPU = 64_001 },
		"manager.memory: 16777215 bytes":             func(s *Service) { s.Manager.Memory = DefaultMaxPayload - 1 },
		"manager.memory: -1 bytes":                   func(s *Service) { s.Manager.Memory = -1 },
		"slots: 4097":                                func(s *Service) { s.Slots = 4097 },
		"sessions: 5000":                             func(s *Service) { s.Sessions = 5000 },
		`queue: "Q"`:                                 func(s *Service) { s.Queue = "Q" },
		"instances.min: -2":                          func(s *Service) { s.Instances.Min = -2 },
		"instances.max: 1":                           func(s *Service) { s.Instances = Instances{Min: 2, Max: 1} },
		"instances.max: 100001":                      func(s *Service) { s.Instances.Max = 100_001 },
		"limits.payload: 1073741825":                 func(s *Service) { s.Limits.Payload = 1<<30 + 1 },
		"limits.tasks: -5":                           func(s *Service) { s.Limits.Tasks = -5 },
		"limits.bytes: 9":                            func(s *Service) { s.Limits.Bytes = 9 },
		"retry.attempts: 101":                        func(s *Service) { s.Retry.Attempts = 101 },
		"retry.host_losses: 201":                     func(s *Service) { s.Retry.HostLosses = 201 },
		"limits.idle: -1s":                           func(s *Service) { s.Limits.Idle = Duration(-time.Second) },
		"limits.start: -1s":                          func(s *Service) { s.Limits.Start = Duration(-time.Second) },
		"limits.grace: -1s":                          func(s *Service) { s.Limits.Grace = Duration(-time.Second) },
		"requests[0].capacity.cpu: -1 is not within": func(s *Service) { s.Requests[0].Capacity.CPU = -1 },
		`requests[0].node_type: "tpu"`:               func(s *Service) { s.Requests[0].NodeType = "tpu" },
		"requests[0].nodes: -1":                      func(s *Service) { s.Requests[0].Nodes = -1 },
		`artefacts: "Linux"`:                         func(s *Service) { s.Artefacts = map[string]Artefact{"Linux": {Command: "/x"}} },
		"nor weft, the agent's own program":          func(s *Service) { s.Artefacts = map[string]Artefact{"linux/arm64": {Command: "weft2"}} },
		"artefacts.linux/amd64.command: is":          func(s *Service) { s.Artefacts = map[string]Artefact{"linux/amd64": {}} },
		`artefacts.linux/arm64.command: "b/c`:        func(s *Service) { s.Artefacts = map[string]Artefact{"linux/arm64": {Command: "b/c"}} },
		`env: "1A"`:                                  func(s *Service) { s.Env = map[string]string{"1A": ""} },
		`env: "WEFT_X"`:                              func(s *Service) { s.Env = map[string]string{"WEFT_X": ""} },
	} {
		s := Service{Name: "s"}.WithDefaults()
		spoil(&s)
		err := s.Validate()
		if CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), field) {
			t.Errorf("want %s: %v", field, err)
		}
	}
}
