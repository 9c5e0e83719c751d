package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/protocol"
)

// Func makes a service of a function. Payloads and results are the msgpack encodings of In and Out, as client.Method
// writes and reads them; where a type is []byte, they are the bytes as they are.
//
// The keys of a struct are the names of its fields, or what tags say: `msgpack:"from"`. A task with a key that In does not
// know fails with CodeInterface; a key that a task lacks leaves its field zero.
func Func[In, Out any](fn func(ctx context.Context, in In) (Out, error)) Service {
	return Stateful(
		func(context.Context, *SessionContext) (struct{}, error) { return struct{}{}, nil },
		func(ctx context.Context, _ struct{}, in In) (Out, error) { return fn(ctx, in) },
	)
}

// Stateful makes a service whose sessions have a state: bind makes it when a session is bound, exec computes with it.
// When State is an [io.Closer], it is closed when the session is let go. Payloads are as those of [Func]. With more
// than one slot exec must guard the state itself.
func Stateful[State, In, Out any](
	bind func(ctx context.Context, s *SessionContext) (State, error),
	exec func(ctx context.Context, state State, in In) (Out, error),
) Service {
	f := &typed[State, In, Out]{bind: bind, exec: exec, payload: (*TaskContext).Borrow, decode: decode[In], encode: encode[Out]}
	// Equal types for []byte, and no others, make the assertions hold.
	if raw, ok := any(asItIs).(func([]byte) (In, error)); ok {
		f.decode, f.payload = raw, (*TaskContext).Payload
	}
	if raw, ok := any(asItIs).(func(Out) ([]byte, error)); ok {
		f.encode = raw
	}
	return f
}

type typed[State, In, Out any] struct {
	Base
	bind    func(context.Context, *SessionContext) (State, error)
	exec    func(context.Context, State, In) (Out, error)
	payload func(*TaskContext) []byte // what is decoded keeps nothing of it, but for []byte
	decode  func([]byte) (In, error)
	encode  func(Out) ([]byte, error)
}

// InterfaceOf gives the types of the tasks that a service made by [Func] or [Stateful] takes, and of the results that it
// gives, as a service declares them when it is registered. Of another service nothing is known: both are empty.
func InterfaceOf(s Service) protocol.Interface {
	if t, ok := s.(interface{ declares() protocol.Interface }); ok {
		return t.declares()
	}
	return protocol.Interface{}
}

func (f *typed[State, In, Out]) declares() protocol.Interface {
	return protocol.Interface{
		Task:   protocol.PayloadTypeOf(reflect.TypeFor[In]()).String(),
		Result: protocol.PayloadTypeOf(reflect.TypeFor[Out]()).String(),
	}
}

// describe writes the types of a service as the lines of its YAML, after the end of whatever line its program has begun.
func describe(w io.Writer, s Service) error {
	i := InterfaceOf(s)
	if i == (protocol.Interface{}) {
		return protocol.Errorf(protocol.CodeInvalid, "worker", "%s: the types of this service are not known: it is not of worker.Func or worker.Stateful", EnvDescribe)
	}
	_, err := fmt.Fprintf(w, "\ninterface:\n  task: %q\n  result: %q\n", i.Task, i.Result)
	return err
}

func asItIs(b []byte) ([]byte, error) { return b, nil }

func decode[In any](payload []byte) (In, error) {
	var in In
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(payload))
	dec.UsePreallocateValues(true)
	dec.DisallowUnknownFields(true)
	if err := dec.Decode(&in); err != nil {
		return in, Permanent(undecoded(len(payload), reflect.TypeFor[In](), err))
	}
	return in, nil
}

// undecoded says why a payload is not of a type.
func undecoded(size int, t reflect.Type, err error) error {
	quoted, unknown := strings.CutPrefix(err.Error(), "msgpack: unknown field ")
	key, notQuoted := strconv.Unquote(quoted)
	if !unknown || notQuoted != nil {
		return protocol.Errorf(protocol.CodeInvalid, "task", "payload of %d bytes is not the msgpack encoding of a %v: %v", size, t, err)
	}
	takes, hint := protocol.PayloadTypeOf(t), ""
	if near, ok := nearest.Of(key, takes.Keys()); ok {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return protocol.Errorf(protocol.CodeInterface, "task", "key %q: the service takes tasks of type %v, which has no such key%s", key, takes, hint)
}

func encode[Out any](out Out) ([]byte, error) {
	b, err := msgpack.Marshal(out)
	if err != nil {
		return nil, Permanent(protocol.Errorf(protocol.CodeTaskFailed, "task", "result %T: %v", out, err))
	}
	return b, nil
}

// OnSessionBind makes the session's state.
func (f *typed[State, In, Out]) OnSessionBind(ctx context.Context, s *SessionContext) error {
	state, err := f.bind(ctx, s)
	if err == nil {
		s.state = state
	}
	return err
}

// OnTaskExec decodes, computes and encodes.
func (f *typed[State, In, Out]) OnTaskExec(ctx context.Context, t *TaskContext) ([]byte, error) {
	in, err := f.decode(f.payload(t))
	if err != nil {
		return nil, err
	}
	state, _ := t.session.state.(State)
	out, err := f.exec(ctx, state, in)
	if err != nil {
		return nil, err
	}
	return f.encode(out)
}

// OnSessionUnbind closes the session's state if it can be closed.
func (f *typed[State, In, Out]) OnSessionUnbind(_ context.Context, s *SessionContext) error {
	if c, ok := s.state.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
