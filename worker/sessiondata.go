package worker

import (
	"context"
	"fmt"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// Limits of what a service keeps in a session with [SessionContext.Put]. How much a session may keep in all is said by
// its service: limits.data, 1 MiB where it says nothing.
const (
	// MaxValue is the largest value in bytes.
	MaxValue = protocol.MaxDataValue
	// MaxKey is the longest key in bytes.
	MaxKey = protocol.MaxDataKey
)

// Put keeps a copy of value under key with the session, at its session manager: for all its tasks on all instances, until
// the session is over. It outlives this instance, and OnSessionUnbind when the session is bound elsewhere; it does not
// outlive the broker. Values have at most MaxValue bytes, keys 1 to MaxKey, all of a session together what limits.data of
// the service allows: beyond that nothing changes.
//
// When Put returns nil every Get that is called afterwards, wherever, finds the value, or a later one. It takes a round
// trip to the broker, and holds nothing up but its hook. The error is a *protocol.Error: CodeInvalid, CodePayloadTooLarge,
// CodeOverloaded when the session or the broker has no room, CodeSessionClosed, CodeUnavailable when the session manager is gone and
// its data with it; or it wraps why ctx has ended: then the value may be kept or not.
func (s *SessionContext) Put(ctx context.Context, key string, value []byte) error {
	if len(value) > MaxValue {
		return protocol.Errorf(protocol.CodePayloadTooLarge, "put", "value of %d bytes under %q, at most %d are kept", len(value), key, MaxValue)
	}
	_, err := s.ask(ctx, "put", key, func() uint64 {
		return instance.Put(s.server.engine, s.bound, protocol.PutData{Key: key, Value: value})
	})
	return err
}

// Get gives what was put under key last, and whether there is something. Errors are those of [SessionContext.Put].
func (s *SessionContext) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	a, err := s.ask(ctx, "get", key, func() uint64 { return instance.Get(s.server.engine, s.bound, key) })
	return a.Value, a.Found, err
}

// Delete takes away what is kept under key, if anything. Errors are those of [SessionContext.Put].
func (s *SessionContext) Delete(ctx context.Context, key string) error {
	_, err := s.ask(ctx, "delete", key, func() uint64 {
		return instance.Put(s.server.engine, s.bound, protocol.PutData{Key: key, Delete: true})
	})
	return err
}

// ask makes a request of the session manager and waits for its answer. send is called with the server's mu.
func (s *SessionContext) ask(ctx context.Context, op, key string, send func() uint64) (instance.Answer, error) {
	if len(key) == 0 || len(key) > MaxKey {
		return instance.Answer{}, protocol.Errorf(protocol.CodeInvalid, op, "key of %d bytes, it must have 1 to %d", len(key), MaxKey)
	}
	if ctx.Err() != nil {
		return instance.Answer{}, fmt.Errorf("worker: %s: %w", op, context.Cause(ctx))
	}
	v := s.server
	answer := make(chan instance.Answer, 1)
	v.mu.Lock()
	if v.over {
		v.mu.Unlock()
		return instance.Answer{}, errOver
	}
	id := send()
	v.asked[id] = answer
	v.stepAside()
	v.mu.Unlock()
	v.wake.Ring()
	var err error
	select {
	case a := <-answer:
		if a.Err != nil {
			return instance.Answer{}, a.Err
		}
		return a, nil
	case <-ctx.Done():
		err = fmt.Errorf("worker: %s: %w", op, context.Cause(ctx))
	case <-v.ended:
		err = errOver
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.asked, id)
	instance.Forget(v.engine, id)
	return instance.Answer{}, err
}

// answered passes answers on. The driver calls it, holding s.mu.
func (s *server) answered(answers []instance.Answer) {
	for _, a := range answers {
		if c := s.asked[a.Request]; c != nil {
			delete(s.asked, a.Request)
			c <- a // has room for it
		}
	}
}
