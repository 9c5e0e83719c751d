package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weft-fabric/weft/bench/party"
)

const (
	natsSubject = "bench"
	natsQueue   = "workers"
	natsPayload = 8 << 20 // the most that the server lets through; its default is 1 MiB
	patience    = 30 * time.Second
)

// natsServer is NATS as it comes, but for the size of messages.
func natsServer(ctx context.Context, _ config) error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, MaxPayload: natsPayload, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return fmt.Errorf("make a NATS server: %w", err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) {
		return fmt.Errorf("the NATS server takes no connections after %v", patience)
	}
	return party.Obey(ctx, party.Answer{Endpoint: s.ClientURL(), Version: "nats-server " + server.VERSION}, nil)
}

// natsWorker answers each task of the queue group with itself.
func natsWorker(ctx context.Context, c config) error {
	nc, err := nats.Connect(c.connect)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	sub, err := nc.QueueSubscribe(natsSubject, natsQueue, func(m *nats.Msg) {
		m.Respond(m.Data) //nolint:errcheck // the client misses the result, and says so
	})
	if err = errors.Join(err, unlimited(sub), nc.Flush()); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return party.Obey(ctx, party.Answer{}, nil)
}

// unlimited keeps the client's library from dropping messages that wait for the callback.
func unlimited(sub *nats.Subscription) error {
	if sub == nil {
		return nil
	}
	return sub.SetPendingLimits(-1, -1)
}

// natsAsker is a client that asks for replies under one wildcard subscription.
type natsAsker struct {
	nc      *nats.Conn
	payload []byte
	window  int
}

func natsClient(ctx context.Context, c config) error {
	nc, err := nats.Connect(c.connect)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	return drive(ctx, &natsAsker{nc: nc, payload: make([]byte, c.payload), window: c.window})
}

// Call is a request, as the library has it.
func (n *natsAsker) Call(context.Context) error {
	m, err := n.nc.Request(natsSubject, n.payload, patience)
	if err != nil {
		return err
	}
	return echoed(len(m.Data), len(n.payload))
}

// Load publishes requests as long as the window has room. Each has a reply subject of its own among those outstanding.
func (n *natsAsker) Load(ctx context.Context, done *atomic.Uint64) error {
	inbox := n.nc.NewInbox()
	replies := make([]string, n.window)
	for i := range replies {
		replies[i] = inbox + "." + strconv.Itoa(i)
	}
	var failed atomic.Bool
	room := room{done: done, end: done.Load(), limit: uint64(n.window), freed: make(chan struct{}, 1), late: time.NewTimer(patience)}
	sub, err := n.nc.Subscribe(inbox+".*", func(m *nats.Msg) {
		if len(m.Data) != len(n.payload) {
			failed.Store(true) // NATS says so when there is no worker
		}
		room.free()
	})
	if err = errors.Join(err, unlimited(sub)); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for i := 0; ctx.Err() == nil && err == nil; i++ {
		if err = room.take(); err == nil {
			err = n.nc.PublishRequest(natsSubject, replies[i%len(replies)], n.payload)
		}
	}
	err = errors.Join(err, room.empty())
	if failed.Load() {
		err = errors.Join(err, errors.New("a reply is no result: no worker, or a payload that was cut"))
	}
	return errors.Join(err, sub.Unsubscribe())
}

// room is what a window has room for: as little work for each task as weft's client has. One goroutine takes, another one
// frees.
type room struct {
	done    *atomic.Uint64 // tasks that are completed
	end     uint64         // what done will be when nothing is outstanding
	limit   uint64
	waiting atomic.Bool
	freed   chan struct{}
	late    *time.Timer
}

// take waits until there is room for one more task.
func (r *room) take() error {
	err := r.until(r.limit - 1)
	r.end++
	return err
}

// empty waits until nothing is outstanding.
func (r *room) empty() error { return r.until(0) }

// until waits until no more tasks than that are outstanding.
func (r *room) until(most uint64) error {
	for r.end-r.done.Load() > most {
		r.waiting.Store(true)
		if r.end-r.done.Load() <= most {
			break // what was freed in between has rung for nobody; a ring too many does no harm
		}
		r.late.Reset(patience)
		select {
		case <-r.freed:
		case <-r.late.C:
			return fmt.Errorf("results are missing after %v", patience)
		}
	}
	return nil
}

// free notes that a task is completed.
func (r *room) free() {
	r.done.Add(1)
	if r.waiting.Load() && r.waiting.Swap(false) {
		select {
		case r.freed <- struct{}{}:
		default:
		}
	}
}
