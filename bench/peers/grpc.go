package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/weft-fabric/weft/bench/party"
)

const (
	grpcMethod  = "/weft.bench/Echo"
	grpcPayload = 8 << 20 // the largest message; the default is 4 MiB
	grpcCalls   = 512     // the most calls at once: more only makes it slower
)

// rawCodec sends bytes as they are, so that no protocol buffer is measured with them.
type rawCodec struct{}

// Name says what the codec is called on the wire.
func (rawCodec) Name() string { return "raw" }

// Marshal takes a *[]byte, without copying it.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal fills a *[]byte.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not *[]byte", v)
	}
	*b = data.Materialize()
	return nil
}

// grpcServer executes tasks itself: there is no broker.
func grpcServer(ctx context.Context, _ config) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(grpcPayload), grpc.MaxSendMsgSize(grpcPayload))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "weft.bench",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Echo",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := new([]byte)
				return in, decode(in)
			},
		}},
	}, nil)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	err = party.Obey(ctx, party.Answer{Endpoint: listener.Addr().String(), Version: "grpc-go " + grpc.Version}, nil)
	s.Stop()
	return errors.Join(err, <-ended)
}

// grpcCaller is a client with one connection.
type grpcCaller struct {
	conn    *grpc.ClientConn
	payload []byte
	calls   int // at once
}

func grpcClient(ctx context.Context, c config) error {
	conn, err := grpc.NewClient("passthrough:///"+c.connect, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(grpcPayload), grpc.MaxCallSendMsgSize(grpcPayload)))
	if err != nil {
		return fmt.Errorf("connect by gRPC: %w", err)
	}
	err = drive(ctx, &grpcCaller{conn: conn, payload: make([]byte, c.payload), calls: min(c.window, grpcCalls)})
	return errors.Join(err, conn.Close())
}

// Call is a unary call.
func (g *grpcCaller) Call(ctx context.Context) error {
	var out []byte
	if err := g.conn.Invoke(ctx, grpcMethod, &g.payload, &out); err != nil {
		return err
	}
	return echoed(len(out), len(g.payload))
}

// Load has as many goroutines call as may be outstanding: gRPC has no other way to have many unary calls at once.
func (g *grpcCaller) Load(ctx context.Context, done *atomic.Uint64) error {
	errs := make([]error, g.calls)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				if errs[i] = g.Call(context.WithoutCancel(ctx)); errs[i] == nil {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
