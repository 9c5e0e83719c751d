package client

import (
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/weft-fabric/weft/protocol"
)

// checked remembers which methods a session's service takes. The last one is found without a lock, so that a check costs
// a task next to nothing.
type checked struct {
	last atomic.Pointer[verdict]
	all  sync.Map // reflect.Type of a Method to its *verdict
}

type verdict struct {
	method reflect.Type
	err    error
}

// check says whether the session's service takes tasks and gives results of these types.
func check[In, Out any](s *Session) error {
	declared := s.core.Declared()
	if declared == (protocol.Interface{}) {
		return nil
	}
	method := reflect.TypeFor[Method[In, Out]]()
	if v := s.types.last.Load(); v != nil && v.method == method {
		return v.err
	}
	v, ok := s.types.all.Load(method)
	if !ok {
		err := compare(s.core.Service()+" "+s.Version(), declared, reflect.TypeFor[In](), reflect.TypeFor[Out]())
		v, _ = s.types.all.LoadOrStore(method, &verdict{method, err})
	}
	found := v.(*verdict) //nolint:forcetypeassert // nothing else is stored
	s.types.last.Store(found)
	return found.err
}

// compare compares the types of a method with what a service declares. The error is ErrInterface, and names both.
func compare(service string, declared protocol.Interface, in, out reflect.Type) error {
	refuse := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeInterface, "service "+service, format, args...)
	}
	// What is not declared, or in a notation of a later day, is not compared.
	sent, wanted := protocol.PayloadTypeOf(in), protocol.PayloadTypeOf(out)
	if takes, err := protocol.ParseType(declared.Task); err == nil && takes.Takes(sent) != nil {
		return refuse("it takes tasks of type %v, and this client sends %v (%v): %v", takes, sent, in, takes.Takes(sent))
	}
	if gives, err := protocol.ParseType(declared.Result); err == nil && wanted.Reads(gives) != nil {
		return refuse("it gives results of type %v, and this client expects %v (%v): %v", gives, wanted, out, wanted.Reads(gives))
	}
	return nil
}
