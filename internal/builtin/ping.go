package builtin

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// Load is what a session of [Ping] asks for each of its tasks. It travels as the parameters of the session.
type Load struct {
	Out     int           // bytes of the result
	Runtime time.Duration // of the task
	Spin    bool          // compute for that time; otherwise wait
}

// MaxOut is the greatest [Load.Out].
const MaxOut = 1 << 30

// Parameters gives l as it travels.
func (l Load) Parameters() ([]byte, error) { return msgpack.Marshal(l) }

// The first bytes of a result, as far as there are so many: the mark of the node, then the first bytes of the task.
const (
	markSize = 8
	echoSize = 8
)

// NodeMark is what the results of [Ping] begin with on the node of that name.
func NodeMark(node string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(node))
	return h.Sum64()
}

// MarkOf reads the mark of a result; false when it has none.
func MarkOf(result []byte) (uint64, bool) {
	if len(result) < markSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(result), true
}

// RightResult says whether a result is what a task with such a load must give.
func (l Load) RightResult(task, result []byte) bool {
	if len(result) != l.Out {
		return false
	}
	if len(result) <= markSize {
		return true
	}
	back := result[markSize:]
	n := min(len(back), len(task), echoSize)
	return string(back[:n]) == string(task[:n])
}

// echo is the service.
type echo struct {
	worker.Service
	mark uint64
}

func newEcho() *echo {
	e := &echo{}
	e.Service = worker.Stateful(e.bind, e.exec)
	return e
}

// OnCreateService learns on which node it is.
func (e *echo) OnCreateService(_ context.Context, s *worker.ServiceContext) error {
	e.mark = NodeMark(s.Node)
	return nil
}

func (e *echo) bind(_ context.Context, s *worker.SessionContext) (Load, error) {
	var l Load
	if err := msgpack.Unmarshal(s.Parameters(), &l); err != nil {
		return l, protocol.Errorf(protocol.CodeInvalid, Ping, "parameters: %v", err)
	}
	if l.Out < 0 || l.Out > MaxOut || l.Runtime < 0 {
		return l, protocol.Errorf(protocol.CodeInvalid, Ping, "parameters: %d bytes in %v cannot be", l.Out, l.Runtime)
	}
	return l, nil
}

func (e *echo) exec(ctx context.Context, l Load, task []byte) ([]byte, error) {
	if err := l.spend(ctx); err != nil {
		return nil, err
	}
	out := make([]byte, l.Out)
	if len(out) >= markSize {
		binary.BigEndian.PutUint64(out, e.mark)
		copy(out[markSize:], task[:min(len(task), echoSize)])
	}
	return out, nil
}

// spend takes the time of a task.
func (l Load) spend(ctx context.Context) error {
	if l.Runtime == 0 {
		return nil
	}
	if l.Spin {
		for begin := time.Now(); time.Since(begin) < l.Runtime && ctx.Err() == nil; { // this is the work
		}
		return ctx.Err()
	}
	timer := time.NewTimer(l.Runtime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
