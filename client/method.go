package client

import (
	"context"
	"errors"
	"iter"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/protocol"
)

// Method gives a session's calls types: tasks and results travel as msgpack; where a type is []byte, they are the bytes as
// they are. worker.Func is its other half. The zero value is ready for use, by any number of sessions and goroutines.
//
// When the service declares the types of its tasks or results ([protocol.Interface]), they are compared with In and Out
// before the first task of a session is sent: what would not be understood is refused with [ErrInterface]. The rules are
// those of [protocol.Type.Takes] and [protocol.Type.Reads]. Nothing is compared with what is not declared. The keys of a
// struct are the names of its fields, or what tags say: `msgpack:"from"`.
type Method[In, Out any] struct{}

// TypedTask is a task of [Method.Submit].
type TypedTask[Out any] struct{ *Task }

// Wait is [Task.Wait], decoded.
func (t TypedTask[Out]) Wait(ctx context.Context) (Out, error) { return decode[Out](t.Task.Wait(ctx)) }

// Call is [Session.Call] with types.
func (Method[In, Out]) Call(ctx context.Context, s *Session, in In, opts ...TaskOption) (Out, error) {
	b, err := encodeFor[In, Out](s, in)
	if err != nil {
		var none Out
		return none, err
	}
	return decode[Out](s.Call(ctx, b, opts...))
}

// Submit is [Session.Submit] with types.
func (Method[In, Out]) Submit(ctx context.Context, s *Session, in In, opts ...TaskOption) (TypedTask[Out], error) {
	b, err := encodeFor[In, Out](s, in)
	if err != nil {
		return TypedTask[Out]{}, err
	}
	t, err := s.Submit(ctx, b, opts...)
	return TypedTask[Out]{t}, err
}

// Map runs the service over all inputs and gives the outputs in the order of the inputs. It sends ahead of what was
// given out, as far as the session's credit goes: inputs may be without end, and neither they nor the outputs are held
// in memory beyond that. A task that failed gives its error in its place, and the loop goes
// on; after an error of Map itself, such as the end of ctx or of the session, the loop is over. What was sent ahead
// when the loop is left is given up.
func (m Method[In, Out]) Map(ctx context.Context, s *Session, inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var ahead []TypedTask[Out]
		defer func() {
			for _, t := range ahead {
				t.Cancel()
			}
		}()
		// first gives out the oldest, and says whether to go on.
		first := func() bool {
			t := ahead[0]
			out, err := t.Wait(ctx)
			if err != nil && ctx.Err() != nil {
				yield(out, err)
				return false
			}
			ahead[0] = TypedTask[Out]{}
			ahead = ahead[1:]
			return yield(out, err)
		}
		for in := range inputs {
			b, err := encodeFor[In, Out](s, in)
			var t TypedTask[Out]
			if err == nil {
				t, err = m.submitAhead(ctx, s, b, len(ahead))
			}
			for errors.Is(err, errNoRoom) {
				if !first() {
					return
				}
				t, err = m.submitAhead(ctx, s, b, len(ahead))
			}
			if err != nil {
				for len(ahead) > 0 { // what was sent before it comes first
					if !first() {
						return
					}
				}
				var none Out
				yield(none, err)
				return
			}
			ahead = append(ahead, t)
			for len(ahead) > 0 && ahead[0].isFinished() {
				if !first() {
					return
				}
			}
		}
		for len(ahead) > 0 {
			if !first() {
				return
			}
		}
	}
}

// submitAhead is Submit that returns errNoRoom instead of waiting for credit when there are others of the loop, and when
// they are as many as the credit allows, finished or not.
func (m Method[In, Out]) submitAhead(ctx context.Context, s *Session, b []byte, others int) (TypedTask[Out], error) {
	s.client.mu.Lock()
	full := others > 0 && others >= s.core.Window()
	s.client.mu.Unlock()
	if full {
		return TypedTask[Out]{}, errNoRoom
	}
	t := &Task{session: s, waiting: 1, ahead: others > 0} // Map waits for it: it is not for Results
	_, err := s.submit(ctx, b, t, nil, nil)
	return TypedTask[Out]{t}, err
}

// encodeFor encodes a task for a session whose service takes the types.
func encodeFor[In, Out any](s *Session, in In) ([]byte, error) {
	if err := check[In, Out](s); err != nil {
		return nil, err
	}
	return encode(in)
}

func encode(in any) ([]byte, error) {
	if raw, ok := in.([]byte); ok {
		return raw, nil
	}
	b, err := msgpack.Marshal(in)
	if err != nil {
		return nil, &causedError{err: protocol.Errorf(protocol.CodeInvalid, "encode task", "%T: %v", in, err), cause: err}
	}
	return b, nil
}

func decode[Out any](b []byte, err error) (Out, error) {
	var out Out
	if err != nil {
		return out, err
	}
	if raw, ok := any(&out).(*[]byte); ok {
		*raw = b
		return out, nil
	}
	if err := msgpack.Unmarshal(b, &out); err != nil {
		return out, &causedError{err: protocol.Errorf(protocol.CodeMalformed, "decode result", "%T: %v", out, err), cause: err}
	}
	return out, nil
}
