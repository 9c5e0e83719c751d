// Package zmqx is weft's ZeroMQ: ROUTER and DEALER sockets with bounded receiving, payload frames that are
// moved and never copied, and a lean wait. It alone imports the binding.
//
// The binding makes sockets and sets options; what happens for each message is a thin cgo beside it, one call
// for a burst of received messages and one for a send. Nothing here blocks but [Waiter.Wait].
//
// Sockets are not safe for concurrent use: libzmq aborts the process when two threads are in one socket. A
// [Socket] and a [Waiter] belong to one goroutine at a time, Close included; handing them to another one
// needs a mutex or a channel. [Payloads] and [Wake.Ring] may be used by any goroutine.
package zmqx

/*
#cgo pkg-config: libzmq
#include "native.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"time"

	zmq "github.com/pebbe/zmq4"
)

const (
	maxIOThreads  = 256
	maxSockets    = 65_535
	terminateWait = 5 * time.Second
)

// process is the state of the one context that a process has; libzmq's own state is as global.
var process struct {
	mu         sync.Mutex
	ioThreads  int // 0 until the context is in use
	terminated bool
}

// Init puts the process's ZeroMQ context into use with that many I/O threads (1 to 256). 0 takes the context
// as it is, with one I/O thread if it was not in use yet. Once in use, another figure than the first is an
// error. Making a socket calls Init(0). It is safe for concurrent use.
func Init(ioThreads int) error {
	process.mu.Lock()
	defer process.mu.Unlock()
	switch {
	case ioThreads < 0 || ioThreads > maxIOThreads:
		return fmt.Errorf("zmqx: I/O threads: %d is not in 1 to %d (0 for the default)", ioThreads, maxIOThreads)
	case process.terminated:
		return ErrTerminated
	case process.ioThreads != 0:
		if ioThreads != 0 && ioThreads != process.ioThreads {
			return fmt.Errorf("zmqx: I/O threads: %d asked for, but this process already runs with %d",
				ioThreads, process.ioThreads)
		}
		return nil
	}
	n := max(ioThreads, 1)
	if err := zmq.SetIoThreads(n); err != nil {
		return fmt.Errorf("zmqx: set I/O threads to %d: %w", n, systemError(err))
	}
	// libzmq's own limit of 1,023 sockets would bind a process with some hundred clients.
	if err := zmq.SetMaxSockets(maxSockets); err != nil {
		return fmt.Errorf("zmqx: set the limit of sockets to %d: %w", maxSockets, systemError(err))
	}
	process.ioThreads = n
	return nil
}

// Propose is Init with that many I/O threads where the context is not in use yet, and takes it as it is where it is.
func Propose(ioThreads int) error {
	process.mu.Lock()
	used := process.ioThreads != 0
	process.mu.Unlock()
	if used {
		ioThreads = 0
	}
	return Init(ioThreads)
}

// Terminate ends the process's ZeroMQ context. Sockets still open get [ErrTerminated] from every call and
// must be closed by their owners; Terminate waits for that, and for what linger allows, at most 5 s, and
// returns an error when that was not enough. Nothing can be opened afterwards. It is for the end of a program
// that owns its process, never for a library.
func Terminate() error { return terminate(terminateWait) }

func terminate(patience time.Duration) error {
	process.mu.Lock()
	done := process.terminated
	process.terminated = true
	process.mu.Unlock()
	if done {
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- zmq.Term() }()
	watchdog := time.NewTimer(patience)
	defer watchdog.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("zmqx: terminate: %w", systemError(err))
		}
		return nil
	case <-watchdog.C:
		return fmt.Errorf("zmqx: terminate: sockets still open or sending after %v", patience)
	}
}

// MallocKeep is how much freed memory a process with plenty should have the C allocator keep.
const MallocKeep = 1 << 30

// TuneMalloc makes the C allocator keep freed memory, up to that many bytes (at most [MallocKeep]), and serve blocks of up
// to 32 MiB from it, because libzmq allocates each large message anew. It affects the whole process: it is for programs
// that own theirs. Without glibc it does nothing.
func TuneMalloc(keep int64) { C.wx_tune_malloc(C.int(min(max(keep, 0), MallocKeep))) }

// TrimMalloc makes the C allocator give back the memory that it keeps and that is free. Other threads that allocate may
// have to wait for some milliseconds. Without glibc it does nothing.
func TrimMalloc() { C.wx_trim_malloc() }

// Version returns the version of the libzmq that the process runs with.
func Version() (major, minor, patch int) { return zmq.Version() }

var errNoMemory = errors.New("zmqx: out of C memory")
