// Package worker is the SDK of services: a [Service] is five hooks, [Serve] runs one instance of it. Sockets, brokers
// and sessions' life are hidden behind them.
//
//	type square struct{ worker.Base }
//
//	func (square) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) { … }
//
//	func main() {
//		if err := worker.Serve(context.Background(), square{}); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// The same program runs in two ways: started by an agent, which tells it who it is, or by hand for development, with
// the environment variables WEFT_BROKER and WEFT_SERVICE or the options of those names.
package worker

import "context"

// Service is what a parallel compute service does. Embed [Base] to implement only some hooks.
//
// What Serve promises: OnCreateService runs once, before all others, and OnDestroyService once, after all others (not
// when OnCreateService failed). OnSessionUnbind follows every OnSessionBind that returned nil, also when the instance
// drains and when the broker is gone for good. OnSessionBind, OnSessionUnbind and OnTaskExec of one session never
// overlap, but that OnTaskExec overlaps itself when the instance has more than one slot. With one slot, the default,
// no hooks overlap at all.
//
// The context of a hook ends when its session is killed and when the instance is shut down: a hook that runs then has
// the grace of [WithGrace] first. That of OnTaskExec also ends when its task is cancelled or its time is over, and
// context.Cause says which; a hook that does not return within the service's grace (limits.grace) after that costs its
// instance: the process is killed, or, where it was started by hand, Serve returns. OnSessionUnbind and OnDestroyService always have that grace for themselves.
type Service interface {
	// OnCreateService prepares the instance: loads a model, opens a device. An error ends the instance; the broker is
	// told of it.
	OnCreateService(ctx context.Context, s *ServiceContext) error
	// OnSessionBind prepares a session. An error refuses it here.
	OnSessionBind(ctx context.Context, s *SessionContext) error
	// OnTaskExec computes a task's result, which it may keep and change when it has returned it: Serve copies.
	// An error fails the task: see [Retry] and [Permanent]; a *protocol.Error travels as it is. A panic fails the task
	// with its stack, and the instance drains and is replaced.
	OnTaskExec(ctx context.Context, t *TaskContext) ([]byte, error)
	// OnSessionUnbind lets a session go. An error is logged.
	OnSessionUnbind(ctx context.Context, s *SessionContext) error
	// OnDestroyService lets go of what OnCreateService prepared. Serve returns its error.
	OnDestroyService(ctx context.Context, s *ServiceContext) error
}

// Base implements every hook but OnTaskExec by doing nothing. Embed it.
type Base struct{}

// OnCreateService does nothing.
func (Base) OnCreateService(context.Context, *ServiceContext) error { return nil }

// OnSessionBind does nothing.
func (Base) OnSessionBind(context.Context, *SessionContext) error { return nil }

// OnSessionUnbind does nothing.
func (Base) OnSessionUnbind(context.Context, *SessionContext) error { return nil }

// OnDestroyService does nothing.
func (Base) OnDestroyService(context.Context, *ServiceContext) error { return nil }
