package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
	"github.com/weft-fabric/weft/worker/launcher"
)

// startTime bounds the start of a process; what the service does then is for the broker to judge.
const startTime = time.Minute

// start starts a container and watches it, from a goroutine of its own.
func (s *shell) start(order protocol.StartContainer) {
	spec := s.agent.spec(order)
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		c, err := s.launcher.Start(ctx, spec)
		cancel()
		if err != nil {
			s.put(arrival{event: core.StartFailed{ID: order.ID, Error: startError(order.ID, err)}})
			return
		}
		s.put(arrival{event: core.Started{ID: order.ID, PID: c.PID()}, container: c})
		<-c.Done()
		s.put(arrival{event: exited(order.ID, c.Exit())})
	})
}

// spec is what the launcher is to start for an order.
func (a *Agent) spec(order protocol.StartContainer) launcher.Spec {
	spec := launcher.Spec{
		ID: order.ID, Command: order.Command, Args: order.Args, Dir: order.Dir,
		Identity: protocol.Marshal(protocol.Identity{
			Container: order.ID, Service: order.Service, Version: order.Version, Token: order.Token,
			Node: a.config.Name, Endpoints: a.endpoints, Slots: order.Slots, Sessions: order.Sessions,
			KeepsScheme: a.config.KeepsScheme,
		}),
	}
	if spec.Command == protocol.OwnProgram {
		spec.Command = a.config.Program
	}
	for _, key := range slices.Sorted(maps.Keys(order.Env)) {
		spec.Env = append(spec.Env, key+"="+order.Env[key])
	}
	return spec
}

// startError says to the broker why a container could not be started.
func startError(id string, err error) *protocol.Error {
	op := "start container " + id
	var failed *launcher.StartError
	var bad *launcher.SpecError
	switch {
	case errors.As(err, &bad):
		return protocol.Errorf(protocol.CodeInvalid, op, "%s %q: want %s", bad.Field, bad.Value, bad.Want)
	case errors.Is(err, launcher.ErrDuplicate):
		return protocol.Errorf(protocol.CodeAlreadyExists, op, "%v", err)
	case errors.Is(err, launcher.ErrClosed):
		return protocol.Errorf(protocol.CodeUnavailable, op, "the agent is ending")
	case errors.Is(err, context.DeadlineExceeded):
		return protocol.Errorf(protocol.CodeOverloaded, op, "it took longer than %v", startTime)
	case short(err):
		return protocol.Errorf(protocol.CodeOverloaded, op, "the node has run out of something: %v", err)
	case errors.As(err, &failed):
		msg := fmt.Sprintf("%s: %v", failed.Path, failed.Err)
		if failed.Want != "" {
			msg += "; want " + failed.Want
		}
		return protocol.Errorf(protocol.CodeArtefact, op, "%s", msg)
	}
	return protocol.AsError(err, op)
}

// short tells whether the system refused for want of processes, memory, descriptors or disk.
func short(err error) bool {
	for _, number := range []syscall.Errno{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ENOSPC} {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}

// exited is the event of a container's end.
func exited(id string, e launcher.Exit) core.Exited {
	ev := core.Exited{ID: id, Code: e.Code, Reason: e.Reason, Output: e.Output}
	if e.Signal != 0 {
		if ev.Signal = unix.SignalName(syscall.Signal(e.Signal)); ev.Signal == "" {
			ev.Signal = fmt.Sprintf("signal %d", e.Signal)
		}
	}
	return ev
}
