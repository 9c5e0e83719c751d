package zmqx

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	zmq "github.com/pebbe/zmq4"
)

func TestInitKeepsTheFirstFigure(t *testing.T) {
	inChild(t, func(t *testing.T) {
		for _, n := range []int{-1, maxIOThreads + 1} {
			if err := Init(n); err == nil || !strings.Contains(err.Error(), "1 to 256") {
				t.Errorf("Init(%d) = %v, want an error that names the range", n, err)
			}
		}
		for _, n := range []int{3, 0, 3} {
			if err := Init(n); err != nil {
				t.Errorf("Init(%d) = %v", n, err)
			}
		}
		if err := Init(2); err == nil || !strings.Contains(err.Error(), "2 asked for") || !strings.Contains(err.Error(), "with 3") {
			t.Errorf("Init(2) = %v, want an error that names both figures", err)
		}
		if n, err := zmq.GetIoThreads(); n != 3 || err != nil {
			t.Errorf("the context has %d I/O threads (%v), want 3", n, err)
		}
	})
}

func TestProposeTakesWhatThereIs(t *testing.T) {
	inChild(t, func(t *testing.T) {
		for _, n := range []int{3, 2, 5} {
			if err := Propose(n); err != nil {
				t.Errorf("Propose(%d) = %v", n, err)
			}
		}
		if n, err := zmq.GetIoThreads(); n != 3 || err != nil {
			t.Errorf("the context has %d I/O threads (%v), want the 3 that were proposed first", n, err)
		}
	})
}

func TestSocketTakesOneIOThreadByDefault(t *testing.T) {
	inChild(t, func(t *testing.T) {
		newParty(t, NewRouter, Options{})
		if err := Init(2); err == nil {
			t.Error("Init(2) after the first socket: no error")
		}
		if err := Init(1); err != nil {
			t.Errorf("Init(1) after the first socket: %v", err)
		}
	})
}

func TestTerminateEndsEverySocket(t *testing.T) {
	inChild(t, func(t *testing.T) {
		router, dealer, peer := connected(t, "tcp://127.0.0.1:*", Options{})
		end := func(p *party) error {
			var err error
			for err == nil {
				if _, _, err = p.waiter.Wait(deadline); err == nil {
					_, _, err = p.Recv(0)
				}
			}
			if !errors.Is(p.Send(peer, nil, nil), ErrTerminated) {
				err = errors.New("Send works after Terminate")
			}
			return errors.Join(err, p.Close())
		}
		owner := make(chan error)
		go func() { owner <- end(router) }()
		ended := make(chan error)
		go func() { ended <- terminate(deadline) }()
		if err := <-owner; !errors.Is(err, ErrTerminated) {
			t.Errorf("the owner got %v, want ErrTerminated", err)
		}
		if err := end(dealer); !errors.Is(err, ErrTerminated) {
			t.Errorf("the other owner got %v, want ErrTerminated", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Terminate: %v", err)
		}
	})
}

func TestTerminateGivesUp(t *testing.T) {
	inChild(t, func(t *testing.T) {
		s := newParty(t, NewRouter, Options{})
		if err := terminate(time.Millisecond); err == nil || !strings.Contains(err.Error(), "still open") {
			t.Errorf("terminate with an open socket: %v", err)
		}
		if _, _, err := s.Recv(0); !errors.Is(err, ErrTerminated) {
			t.Errorf("Recv: %v, want ErrTerminated", err)
		}
		if err := Init(0); !errors.Is(err, ErrTerminated) {
			t.Errorf("Init: %v, want ErrTerminated", err)
		}
		if _, err := NewDealer(s.table, Options{}); !errors.Is(err, ErrTerminated) {
			t.Errorf("NewDealer: %v, want ErrTerminated", err)
		}
		if err := Terminate(); err != nil {
			t.Errorf("a second Terminate: %v", err)
		}
	})
}

func TestVersionIsTheOneThisPackageKnows(t *testing.T) {
	TuneMalloc(MallocKeep)
	TrimMalloc()
	major, minor, patch := Version()
	if major != 4 || minor < 3 || minor == 3 && patch < 4 {
		t.Errorf("libzmq %d.%d.%d, want 4.3.4 or later", major, minor, patch)
	}
}

// handleOf relies on this.
func TestBindingKeepsTheHandleFirst(t *testing.T) {
	first := reflect.TypeFor[zmq.Socket]().Field(0)
	if first.Offset != 0 || first.Type != reflect.TypeFor[unsafe.Pointer]() || first.Name != "soc" {
		t.Fatalf("the first field of zmq4.Socket is %s %v at %d", first.Name, first.Type, first.Offset)
	}
	z, err := zmq.NewSocket(zmq.DEALER)
	if err != nil {
		t.Fatal(err)
	}
	if handleOf(z) == nil {
		t.Error("no handle in an open socket")
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if handleOf(z) != nil {
		t.Error("a handle is left in a closed socket")
	}
}

func TestSystemError(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct{ in, want error }{
		{nil, nil},
		{other, other},
		{zmq.ETERM, ErrTerminated},
		{zmq.EFSM, zmq.EFSM},
		{zmq.EADDRINUSE, syscall.EADDRINUSE},
	} {
		if got := systemError(c.in); !errors.Is(got, c.want) {
			t.Errorf("systemError(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestMoreSocketsThanLibzmqAllowsByItself(t *testing.T) {
	p := NewPayloads()
	const many = 1100
	sockets := make([]*Socket, 0, many)
	defer func() {
		for _, s := range sockets {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range many {
		s, err := NewDealer(p, Options{})
		if errors.Is(err, syscall.EMFILE) {
			t.Skipf("this machine allows too few descriptors: %v", err)
		}
		if err != nil {
			t.Fatalf("socket %d: %v", i+1, err)
		}
		sockets = append(sockets, s)
	}
}
