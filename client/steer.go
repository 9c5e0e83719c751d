package client

import (
	"context"

	"github.com/weft-fabric/weft/protocol"
)

// Suspend has nothing more of the session begun until [Session.Resume]: what was begun goes on, the rest waits, and further
// tasks may be submitted. It returns when the broker has passed the order on, and may be called again without effect. A
// session that is closed meanwhile in order ends when it was resumed and its tasks are finished. One that is opened anew by a
// broker that takes over is not suspended.
func (s *Session) Suspend(ctx context.Context) error { return s.steer(ctx, protocol.SteerSuspend) }

// Resume ends what [Session.Suspend] began.
func (s *Session) Resume(ctx context.Context) error { return s.steer(ctx, protocol.SteerResume) }

// StopSubmission has further tasks of the session refused with [ErrNotAccepting] until [Session.Accept]; those that the
// broker has go on. It returns when the broker has passed the order on, and may be called again without effect. It does not
// outlive the broker.
func (s *Session) StopSubmission(ctx context.Context) error { return s.steer(ctx, protocol.SteerStop) }

// Accept ends what [Session.StopSubmission] began.
func (s *Session) Accept(ctx context.Context) error { return s.steer(ctx, protocol.SteerAccept) }

func (s *Session) steer(ctx context.Context, action string) error {
	return s.client.SteerSession(ctx, s.Number(), action, "")
}

// SteerSession steers the session of any client; action is [protocol.SteerSuspend], [protocol.SteerResume],
// [protocol.SteerStop], [protocol.SteerAccept] or [protocol.SteerCancel], the reason is for its events. It returns when the
// broker has passed the order on. What the session does already, or one that is over, is left as it is. The error is
// [ErrNoSession].
func (o *Operator) SteerSession(ctx context.Context, number protocol.SessionNumber, action, reason string) error {
	_, err := o.client.request(ctx, protocol.KindSteerSession, protocol.SteerSession{Session: number, Action: action, Reason: reason})
	return err
}
