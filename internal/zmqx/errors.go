package zmqx

import (
	"errors"
	"syscall"

	zmq "github.com/pebbe/zmq4"
)

// What Send, Recv and Wait return, to be tested with errors.Is.
var (
	// ErrGone: the ROUTER has no peer of that number (any more). Nothing was sent; the socket is usable.
	ErrGone = errors.New("zmqx: the peer is not connected")
	// ErrAgain: the DEALER has no connection now. Nothing was sent; the caller keeps the frame and sends
	// it again after [Waiter.Wait] has reported the socket.
	ErrAgain = errors.New("zmqx: no connection to send to")
	// ErrBroken: a message was sent in part. The socket must be closed, and another opened in its place.
	ErrBroken = errors.New("zmqx: the socket is in the middle of a message")
	// ErrTerminated: the process's context was terminated. The socket must be closed.
	ErrTerminated = errors.New("zmqx: the context is terminated")
	// ErrClosed: the socket was closed by its owner.
	ErrClosed = errors.New("zmqx: the socket is closed")
)

// Why a message was refused: by its receiver, in [Message.Bad], or by Send.
var (
	// ErrTooManyFrames: more than 16 payload frames.
	ErrTooManyFrames = errors.New("zmqx: over 16 payload frames in a message")
	// ErrTooLarge: records over Options.MaxRecords or a message over Options.MaxMessage.
	ErrTooLarge = errors.New("zmqx: message over the size limit")
	// ErrForeignID: the peer chose a routing id of its own, which weft's peers do not.
	ErrForeignID = errors.New("zmqx: the peer set a routing id of its own")
)

// systemError turns the binding's error number into this package's error or the system's, so that
// errors.Is(err, syscall.EADDRINUSE) and its like work.
func systemError(err error) error {
	var n zmq.Errno
	switch {
	case err == nil || !errors.As(err, &n):
		return err
	case n == zmq.ETERM:
		return ErrTerminated
	case n >= zmq.EFSM:
		return err
	}
	return syscall.Errno(n)
}

// errnoError is systemError for a number.
func errnoError(n int) error { return systemError(zmq.Errno(n)) }
