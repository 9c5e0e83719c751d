package main

/*
#cgo pkg-config: libzmq
#cgo CFLAGS: -O2 -Wall -Wextra -Werror
#include <stdlib.h>
#include <zmq.h>
#include "proxy.h"
*/
import "C"

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/weft-fabric/weft/bench/party"
)

// zmqSocket is a socket of libzmq, in a context of its own. It is never closed: it ends with its process.
type zmqSocket struct{ context, socket unsafe.Pointer }

func openZMQ(kind C.int, bind bool, endpoint string) (zmqSocket, error) {
	var s zmqSocket
	var binds C.int
	if bind {
		binds = 1
	}
	text := C.CString(endpoint)
	defer C.free(unsafe.Pointer(text))
	if rc, err := C.peer_open(kind, binds, text, &s.context, &s.socket); rc != 0 {
		return s, fmt.Errorf("open %s: %w", endpoint, zmqError(err))
	}
	return s, nil
}

// zmqError names what libzmq says; err is errno.
func zmqError(err error) error {
	return fmt.Errorf("libzmq: %w", err)
}

// boundTo is where a socket was bound, the port in place of a wildcard.
func boundTo(socket unsafe.Pointer) (string, error) {
	buffer := make([]byte, 256)
	if rc, err := C.peer_endpoint(socket, (*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer))); rc != 0 {
		return "", zmqError(err)
	}
	return C.GoString((*C.char)(unsafe.Pointer(&buffer[0]))), nil
}

// zmqProxy is zmq_proxy between a ROUTER for clients and a DEALER for workers.
func zmqProxy(ctx context.Context, c config) error {
	front, err := openZMQ(C.ZMQ_ROUTER, true, c.listen)
	if err != nil {
		return err
	}
	text := C.CString(c.backend)
	defer C.free(unsafe.Pointer(text))
	var back unsafe.Pointer
	if rc, err := C.peer_share(front.context, C.ZMQ_DEALER, text, &back); rc != 0 {
		return fmt.Errorf("open %s: %w", c.backend, zmqError(err))
	}
	var a party.Answer
	if a.Endpoint, err = boundTo(front.socket); err != nil {
		return err
	}
	if a.Backend, err = boundTo(back); err != nil {
		return err
	}
	var major, minor, patch C.int
	C.zmq_version(&major, &minor, &patch)
	a.Version = fmt.Sprintf("libzmq %d.%d.%d", major, minor, patch)
	return untilInputEnds(ctx, a, func() error {
		_, err := C.peer_proxy(front.socket, back)
		return zmqError(err)
	})
}

// zmqWorker answers each task with itself.
func zmqWorker(ctx context.Context, c config) error {
	s, err := openZMQ(C.ZMQ_DEALER, false, c.connect)
	if err != nil {
		return err
	}
	return untilInputEnds(ctx, party.Answer{}, func() error {
		_, err := C.peer_echo(s.socket)
		return zmqError(err)
	})
}

// untilInputEnds runs what ends by itself on an error only.
func untilInputEnds(ctx context.Context, ready party.Answer, work func() error) error {
	broken, ended := make(chan error, 1), make(chan error, 1)
	go func() { broken <- work() }()
	go func() { ended <- party.Obey(ctx, ready, nil) }()
	select {
	case err := <-broken:
		return err
	case err := <-ended:
		return err
	}
}

// zmqAsker is a client with one socket.
type zmqAsker struct {
	mu      sync.Mutex // of the socket
	socket  unsafe.Pointer
	payload []byte
	window  int
}

func zmqClient(ctx context.Context, c config) error {
	s, err := openZMQ(C.ZMQ_DEALER, false, c.connect)
	if err != nil {
		return err
	}
	return drive(ctx, &zmqAsker{socket: s.socket, payload: make([]byte, max(c.payload, 1)), window: c.window})
}

// maxTrips is how many round trips are timed in one order: a minute of the shortest.
const maxTrips = 1 << 22

// RoundTrips times them in C.
func (z *zmqAsker) RoundTrips(_ context.Context, d time.Duration) (trips []time.Duration, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	room := min(maxTrips, 1+int(d/time.Microsecond))
	trips = make([]time.Duration, room)
	var number C.size_t
	rc, errno := C.peer_trips(z.socket, unsafe.Pointer(&z.payload[0]), C.size_t(len(z.payload)), C.int64_t(d),
		(*C.int64_t)(unsafe.Pointer(&trips[0])), C.size_t(room), &number)
	if rc != 0 {
		return nil, zmqError(errno)
	}
	return trips[:number], nil
}

// Call has one task executed; callers take turns.
func (z *zmqAsker) Call(ctx context.Context) error {
	_, err := z.RoundTrips(ctx, 0)
	return err
}

// Load keeps the window full.
func (z *zmqAsker) Load(ctx context.Context, done *atomic.Uint64) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	var stop atomic.Uint32
	defer context.AfterFunc(ctx, func() { stop.Store(1) })()
	rc, errno := C.peer_load(z.socket, unsafe.Pointer(&z.payload[0]), C.size_t(len(z.payload)), C.size_t(z.window),
		(*C.uint32_t)(unsafe.Pointer(&stop)), (*C.uint64_t)(unsafe.Pointer(done)))
	if rc != 0 {
		return zmqError(errno)
	}
	return nil
}
