package protocol

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Service is a service as it is registered in the catalogue: what its YAML says.
type Service struct {
	Name      string             `json:"name"`                // the application type
	Version   string             `json:"version,omitempty"`   // as text; empty: 1
	Function  string             `json:"function,omitempty"`  // what it does, for people and for search
	Tags      []string           `json:"tags,omitempty"`      // for search
	Artefacts Artefacts          `json:"artefacts,omitempty"` // by platform, as linux/amd64; none: started by hand only
	Requests  []ContainerRequest `json:"requests,omitempty"`  // exactly one
	Slots     int                `json:"slots,omitempty"`     // OnTaskExec at once in an instance; 0: DefaultSlots
	Sessions  int                `json:"sessions,omitempty"`  // bound at once to an instance; 0: DefaultSessions
	Queue     string             `json:"queue,omitempty"`     // empty: default
	Instances Instances          `json:"instances,omitzero"`  // how many there are
	Interface Interface          `json:"interface,omitzero"`  // for people and typed clients
	Limits    Limits             `json:"limits,omitzero"`     // what bounds its tasks and instances
	Retry     Retry              `json:"retry,omitzero"`      // when a task is run again
	Manager   Share              `json:"manager,omitzero"`    // what its session manager holds of the management node
	Env       map[string]string  `json:"env,omitempty"`       // environment variables of its instances
}

// Artefacts are a service's artefacts by platform.
type Artefacts map[string]Artefact

// EncodeMsgpack writes the artefacts in the order of their platforms.
func (a Artefacts) EncodeMsgpack(enc *msgpack.Encoder) error { return encodeSorted(enc, a) }

// OwnProgram is the command of an [Artefact] that stands for the agent's own program, wherever that is on its node. So
// the services that are built into weft are there on every node.
const OwnProgram = "weft"

// Artefact is what an agent starts on one platform.
type Artefact struct {
	Command string   `json:"command"`        // absolute path of an executable on the node, or weft: the agent's own
	Args    []string `json:"args,omitempty"` // its arguments
	Dir     string   `json:"dir,omitempty"`  // working folder
}

// Instances bounds how many instances a service has while it has sessions.
type Instances struct {
	Min int `json:"min,omitempty"` // from the first session on; 0: 1
	Max int `json:"max,omitempty"` // 0: Min, at least 1
}

// Share is what a session manager holds of the management node while it is there. Shares of all managers together are
// never more than the node has.
type Share struct {
	CPU    int64 `json:"cpu,omitempty"`    // millicores of its loop; beyond it others go first; 0: 20
	Memory int64 `json:"memory,omitempty"` // bytes of unfinished tasks, at most; 0: a sixteenth of the broker's, at least 64 MiB
}

// Interface declares the types of tasks and results, in the notation of [ParseType].
type Interface struct {
	Task   string `json:"task,omitempty"`   // type of a task; empty: not declared
	Result string `json:"result,omitempty"` // type of a result; empty: not declared
}

// Limits of a service. Durations are written as 30s or 5m in YAML.
type Limits struct {
	Payload int64    `json:"payload,omitempty"` // bytes of a task or result; 0: the broker's
	Tasks   int      `json:"tasks,omitempty"`   // unfinished tasks of a session; 0: the broker's
	Bytes   int64    `json:"bytes,omitempty"`   // bytes of unfinished tasks of a session; 0: the broker's
	Idle    Duration `json:"idle,omitempty"`    // an instance beyond min is ended when idle that long; 0: 60s
	Start   Duration `json:"start,omitempty"`   // from the start of a container to its service; 0: 60s
	Grace   Duration `json:"grace,omitempty"`   // from the request to end, of an instance or of a task, to the kill; 0: 10s
	Timeout Duration `json:"timeout,omitempty"` // of a task from its arrival to its result; 0: none
	Run     Duration `json:"run,omitempty"`     // that a task may execute; 0: without limit
	Data    int64    `json:"data,omitempty"`    // bytes that a session may keep at its manager; 0: 1 MiB
}

// Retry says when a task is run again that did not succeed. Of what is left out, a task has what its session says, a
// session what its service says, and a service the default.
type Retry struct {
	Attempts   int      `json:"attempts,omitempty"`    // executions that may fail or end their instance; 0: 4
	HostLosses int      `json:"host_losses,omitempty"` // instances that may be lost under a task otherwise; 0: 8
	Backoff    Duration `json:"backoff,omitempty"`     // from a failure to the second attempt, doubled each time, a random part less; 0: 1s
	MaxBackoff Duration `json:"max_backoff,omitempty"` // at most; 0: 60s, or the backoff when that is longer
	// On names codes of failures that are retried beside what worker.Retry asks for: TaskFailed, TaskPanicked. All
	// others never are, nor what is marked by worker.Permanent.
	On []string `json:"on,omitempty"`
}

// Or gives r with what it leaves out as base says.
func (r Retry) Or(base Retry) Retry {
	def(&r.Attempts, base.Attempts)
	def(&r.HostLosses, base.HostLosses)
	if r.MaxBackoff == 0 {
		r.MaxBackoff = max(base.MaxBackoff, r.Backoff)
	}
	def(&r.Backoff, base.Backoff)
	if r.On == nil {
		r.On = base.On
	}
	return r
}

// DefaultRetry is what a service has that says nothing.
func DefaultRetry() Retry {
	return Retry{Attempts: 4, HostLosses: 8, Backoff: Duration(time.Second), MaxBackoff: Duration(time.Minute)}
}

// Validate checks what is set in r. The error is a *[Error] with [CodeInvalid] whose message begins with the field, after
// the prefix, and names its value and what would be right.
func (r Retry) Validate(op, prefix string) error {
	bad := func(field, format string, args ...any) error {
		return Errorf(CodeInvalid, op, prefix+field+": "+format, args...)
	}
	switch {
	case r.Attempts < 0 || r.Attempts > 100:
		return bad("attempts", "%d is not within 1 to 100", r.Attempts)
	case r.HostLosses < 0 || r.HostLosses > 200:
		return bad("host_losses", "%d is not within 1 to 200", r.HostLosses)
	case r.Backoff < 0 || r.Backoff > Duration(24*time.Hour):
		return bad("backoff", "%v is not within 0s to 24h", time.Duration(r.Backoff))
	case r.MaxBackoff < 0 || r.MaxBackoff > Duration(24*time.Hour):
		return bad("max_backoff", "%v is not within 0s to 24h", time.Duration(r.MaxBackoff))
	case r.MaxBackoff > 0 && r.MaxBackoff < r.Backoff:
		return bad("max_backoff", "%v is less than backoff (%v)", time.Duration(r.MaxBackoff), time.Duration(r.Backoff))
	}
	for i, name := range r.On {
		if name != CodeTaskFailed.String() && name != CodeTaskPanicked.String() {
			return bad(fmt.Sprintf("on[%d]", i), "%q is neither %v nor %v", name, CodeTaskFailed, CodeTaskPanicked)
		}
	}
	return nil
}

// Duration is a time.Duration that reads and writes as text (1m30s) in YAML and JSON.
type Duration time.Duration

// MarshalText gives the form of [time.Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the form of [time.ParseDuration].
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return Errorf(CodeInvalid, "duration", "%q is not a duration such as 500ms, 30s or 5m", b)
	}
	*d = Duration(v)
	return nil
}

// EncodeMsgpack writes the text as a string; the library would write it as bytes.
func (d Duration) EncodeMsgpack(enc *msgpack.Encoder) error {
	return enc.EncodeString(time.Duration(d).String())
}

// NodeTypes are the values of node_type.
const (
	NodeTypeCPU = "cpu"
	NodeTypeGPU = "gpu"
)

var (
	nameForm     = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
	versionForm  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.+_-]{0,62})$|^[A-Za-z0-9]$`)
	platformForm = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`)
	envForm      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ValidName says whether s can name a service, a node, a queue or an environment: 1 to 63 of a-z, 0-9, '.', '_', '-',
// beginning and ending with a letter or digit.
func ValidName(s string) bool { return nameForm.MatchString(s) }

// WithDefaults returns s with every field that was left out set to its default.
func (s Service) WithDefaults() Service {
	if s.Version == "" {
		s.Version = "1"
	}
	if len(s.Requests) == 0 {
		s.Requests = []ContainerRequest{{}}
	} else {
		s.Requests = append([]ContainerRequest(nil), s.Requests...)
	}
	for i := range s.Requests {
		if s.Requests[i].Capacity.IsZero() && s.Requests[i].Shape == "" {
			s.Requests[i].Capacity = Capacity{CPU: 1000, Memory: 64 << 20}
		}
	}
	def(&s.Slots, DefaultSlots)
	def(&s.Sessions, DefaultSessions)
	if s.Queue == "" {
		s.Queue = "default"
	}
	def(&s.Instances.Min, 1)
	def(&s.Instances.Max, s.Instances.Min)
	def(&s.Manager.CPU, DefaultManagerCPU)
	def(&s.Limits.Payload, DefaultMaxPayload)
	def(&s.Limits.Tasks, DefaultTaskCredit)
	def(&s.Limits.Bytes, max(DefaultByteCredit, s.Limits.Payload))
	def(&s.Limits.Data, DefaultSessionData)
	s.Retry = s.Retry.Or(DefaultRetry())
	def(&s.Limits.Idle, Duration(time.Minute))
	def(&s.Limits.Start, Duration(time.Minute))
	def(&s.Limits.Grace, Duration(10*time.Second))
	return s
}

func def[T int | int64 | Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

// Validate checks a service after [Service.WithDefaults]. The error is a *[Error] with [CodeInvalid] that names the
// first wrong field, its value and what would be right.
func (s Service) Validate() error {
	bad := func(field, format string, args ...any) error {
		return Errorf(CodeInvalid, "service "+s.Name, field+": "+format, args...)
	}
	switch {
	case !ValidName(s.Name):
		return bad("name", "%q is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", s.Name)
	case !versionForm.MatchString(s.Version):
		return bad("version", "%q is not 1 to 63 letters, digits, '.', '+', '_', '-'", s.Version)
	case len(s.Requests) != 1:
		return bad("requests", "%d requests; exactly one is supported", len(s.Requests))
	case s.Slots < 1 || s.Slots > 4096:
		return bad("slots", "%d is not within 1 to 4096", s.Slots)
	case s.Sessions < 1 || s.Sessions > 4096:
		return bad("sessions", "%d is not within 1 to 4096", s.Sessions)
	case !ValidName(s.Queue):
		return bad("queue", "%q is not the name of a queue", s.Queue)
	case s.Instances.Min < 1 || s.Instances.Min > 100_000:
		return bad("instances.min", "%d is not within 1 to 100000", s.Instances.Min)
	case s.Instances.Max < s.Instances.Min || s.Instances.Max > 100_000:
		return bad("instances.max", "%d is not within instances.min (%d) to 100000", s.Instances.Max, s.Instances.Min)
	}
	if err := s.Interface.validate(bad); err != nil {
		return err
	}
	if err := s.Limits.validate(bad); err != nil {
		return err
	}
	if err := s.Retry.Validate("service "+s.Name, "retry."); err != nil {
		return err
	}
	switch m := s.Manager; {
	case m.CPU < 1 || m.CPU > 64_000:
		return bad("manager.cpu", "%d millicores are not within 1 to 64000", m.CPU)
	case m.Memory < 0 || m.Memory > 0 && m.Memory < s.Limits.Payload:
		return bad("manager.memory", "%d bytes are less than limits.payload (%d): a share must hold one payload", m.Memory, s.Limits.Payload)
	}
	for i, r := range s.Requests {
		if err := r.Check(); err != nil {
			return Errorf(CodeInvalid, "service "+s.Name, "requests[%d].%v", i, err)
		}
	}
	return s.validateMaps(bad)
}

func (i Interface) validate(bad func(field, format string, args ...any) error) error {
	if _, err := ParseType(i.Task); i.Task != "" && err != nil {
		return bad("interface.task", "%v", err)
	}
	if _, err := ParseType(i.Result); i.Result != "" && err != nil {
		return bad("interface.result", "%v", err)
	}
	return nil
}

// Validate checks an environment. The error is a *[Error] with [CodeInvalid] that names the first wrong field, its value
// and what would be right.
func (e Environment) Validate() error {
	bad := func(format string, args ...any) error {
		return Errorf(CodeInvalid, "environment "+e.Name, format, args...)
	}
	switch {
	case !ValidName(e.Name):
		return bad("name: %q is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", e.Name)
	}
	return ValidateLabels("environment "+e.Name, e.Labels)
}

// ValidateLabels checks the labels of an environment or a node. The error is a *[Error] with [CodeInvalid] that names the
// label, its value and what would be right.
func ValidateLabels(op string, labels map[string]string) error {
	if len(labels) > MaxLabels {
		return Errorf(CodeInvalid, op, "labels: %d of them, at most %d are allowed", len(labels), MaxLabels)
	}
	for _, k := range sortedKeys(labels) {
		switch v := labels[k]; {
		case !ValidName(k):
			return Errorf(CodeInvalid, op, "labels: %q is not a name for a label: 1 to 63 of a-z, 0-9, '.', '_', '-'", k)
		case len(v) > MaxLabel:
			return Errorf(CodeInvalid, op, "labels.%s: %d bytes, at most %d are allowed", k, len(v), MaxLabel)
		}
	}
	return nil
}

func (l Limits) validate(bad func(field, format string, args ...any) error) error {
	switch {
	case l.Payload < 1 || l.Payload > 1<<30:
		return bad("limits.payload", "%d is not within 1 byte to 1 GiB", l.Payload)
	case l.Tasks < 1 || l.Tasks > MaxTaskSlot:
		return bad("limits.tasks", "%d is not within 1 to %d", l.Tasks, MaxTaskSlot)
	case l.Bytes < l.Payload:
		return bad("limits.bytes", "%d is less than limits.payload (%d): a credit must hold one payload", l.Bytes, l.Payload)
	case l.Idle < 0:
		return bad("limits.idle", "%v is negative", time.Duration(l.Idle))
	case l.Start <= 0:
		return bad("limits.start", "%v is not above 0", time.Duration(l.Start))
	case l.Grace <= 0:
		return bad("limits.grace", "%v is not above 0", time.Duration(l.Grace))
	case l.Timeout < 0:
		return bad("limits.timeout", "%v is negative", time.Duration(l.Timeout))
	case l.Run < 0:
		return bad("limits.run", "%v is negative", time.Duration(l.Run))
	case l.Data < 0 || l.Data > MaxSessionData:
		return bad("limits.data", "%d is not within 0 to %d", l.Data, MaxSessionData)
	}
	return nil
}

func (s Service) validateMaps(bad func(field, format string, args ...any) error) error {
	for _, p := range sortedKeys(s.Artefacts) {
		a := s.Artefacts[p]
		switch {
		case !platformForm.MatchString(p):
			return bad("artefacts", "%q is not a platform such as linux/amd64", p)
		case a.Command == "":
			return bad("artefacts."+p+".command", "is empty; it is the absolute path of an executable on the node, or %s, the agent's own program", OwnProgram)
		case !strings.HasPrefix(a.Command, "/") && a.Command != OwnProgram:
			return bad("artefacts."+p+".command", "%q is neither an absolute path nor %s, the agent's own program", a.Command, OwnProgram)
		}
	}
	for _, k := range sortedKeys(s.Env) {
		if !envForm.MatchString(k) || strings.HasPrefix(k, "WEFT_") {
			return bad("env", "%q is not a name for an environment variable of a service (letters, digits, '_', not WEFT_…)", k)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m { // order does not matter: sorted below
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
