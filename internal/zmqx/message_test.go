package zmqx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

func TestMessagesGoBothWays(t *testing.T) {
	for kind, endpoint := range endpoints(t) {
		t.Run(kind, func(t *testing.T) {
			router, dealer, peer := connected(t, endpoint, Options{})
			for _, size := range []int{0, 1, 33, 34, 4096, 8192, 1 << 16, 1 << 20} {
				records := strings.Repeat("r", size)
				dealer.send(t, 0, records)
				m := router.one(t)
				if string(m.Records) != records || m.Peer != peer || m.Bad != nil || len(m.Payloads) != 0 {
					t.Fatalf("%d bytes arrived at the ROUTER as %d from %d", size, len(m.Records), m.Peer)
				}
				router.send(t, peer, records)
				m = dealer.one(t)
				if string(m.Records) != records || m.Peer != 0 || m.Bad != nil || len(m.Payloads) != 0 {
					t.Fatalf("%d bytes arrived at the DEALER as %d from %d", size, len(m.Records), m.Peer)
				}
			}
		})
	}
}

func TestBurstsKeepOrder(t *testing.T) {
	const n = 5000
	for kind, endpoint := range endpoints(t) {
		t.Run(kind, func(t *testing.T) {
			router, dealer, _ := connected(t, endpoint, Options{})
			for i := range n {
				var payloads []Handle
				if i%3 == 0 {
					payloads = append(payloads, dealer.table.New(binary.LittleEndian.AppendUint64(nil, uint64(i))))
				}
				dealer.send(t, 0, fmt.Sprint(i), payloads...)
				for _, h := range payloads {
					dealer.table.Release(h)
				}
			}
			next := 0
			router.each(t, n, func(m Message) {
				if string(m.Records) != fmt.Sprint(next) || len(m.Payloads) != (3-next%3)/3 {
					t.Fatalf("message %d is %q with %d payloads", next, m.Records, len(m.Payloads))
				}
				for _, h := range m.Payloads {
					if got := binary.LittleEndian.Uint64(router.table.Bytes(h)); got != uint64(next) {
						t.Fatalf("payload of message %d is that of %d", next, got)
					}
					router.table.Release(h)
				}
				next++
			})
			if router.table.Len() != 0 || dealer.table.Len() != 0 {
				t.Errorf("%d and %d payload frames left", router.table.Len(), dealer.table.Len())
			}
		})
	}
}

// A burst says whether the socket is empty, and one that is cut short leaves the rest for the next.
func TestRecvBounds(t *testing.T) {
	router, dealer, _ := connected(t, inproc(t), Options{})
	recv := func(limit, want int, drained bool) []Message {
		t.Helper()
		messages, d, err := router.Recv(limit)
		if err != nil || len(messages) != want || d != drained {
			t.Fatalf("Recv(%d) = %d messages, drained %v (%v), want %d, %v", limit, len(messages), d, err, want, drained)
		}
		return messages
	}
	recv(0, 0, true)
	for range 3 {
		dealer.send(t, 0, "r")
	}
	recv(2, 2, false)
	recv(2, 1, true)
	for range MaxBurst + 1 {
		dealer.send(t, 0, "r")
	}
	recv(9999, MaxBurst, false)
	recv(-1, 1, true)

	// Payload frames: 5 messages of 16 fill the burst's 80.
	h := dealer.table.New([]byte("p"))
	sixteen := bytes16(h)
	for range 7 {
		dealer.send(t, 0, "r", sixteen...)
	}
	for _, want := range []int{5, 2} {
		for _, m := range recv(0, want, want == 2) {
			for _, h := range m.Payloads {
				router.table.Release(h)
			}
		}
	}

	// Records: the burst ends behind 4 MiB.
	large := strings.Repeat("r", DefaultMaxRecords)
	for range 6 {
		dealer.send(t, 0, large)
	}
	recv(0, 5, false)
	recv(0, 1, true)
	if router.table.Len() != 0 {
		t.Errorf("%d payload frames left", router.table.Len())
	}
}

func bytes16(h Handle) []Handle {
	handles := make([]Handle, MaxPayloads)
	for i := range handles {
		handles[i] = h
	}
	return handles
}

// A payload frame goes from one DEALER through the ROUTER to another by its handle; over inproc its bytes
// stay where they were first put.
func TestPayloadsAreForwardedWithoutACopy(t *testing.T) {
	router, from, _ := connected(t, inproc(t), Options{})
	to := newParty(t, NewDealer, Options{})
	if err := to.Connect(router.bind(t, inproc(t))); err != nil {
		t.Fatal(err)
	}
	to.send(t, 0, "hello")
	peer := router.one(t).Peer

	body := bytes.Repeat([]byte{7}, 1<<16)
	sent := from.table.New(body)
	at := unsafe.SliceData(from.table.Bytes(sent))
	from.send(t, 0, "task", sent)
	from.table.Release(sent)

	m := router.one(t)
	if len(m.Payloads) != 1 || router.table.Len() != 1 || router.table.Size() != 1<<16 {
		t.Fatalf("%d payloads received, %d frames of %d bytes alive", len(m.Payloads), router.table.Len(), router.table.Size())
	}
	for range 2 { // a retry copy is kept, so that it can be sent twice
		router.send(t, peer, "task", m.Payloads...)
		got := to.one(t)
		if len(got.Payloads) != 1 || !bytes.Equal(to.table.Bytes(got.Payloads[0]), body) {
			t.Fatalf("received %d payloads, or other bytes", len(got.Payloads))
		}
		if unsafe.SliceData(to.table.Bytes(got.Payloads[0])) != at {
			t.Error("the bytes were copied on the way")
		}
		to.table.Release(got.Payloads[0])
	}
	if got := router.table.Bytes(m.Payloads[0]); !bytes.Equal(got, body) {
		t.Error("the kept frame changed")
	}
	router.table.Release(m.Payloads[0])
	for _, p := range []*party{router, from, to} {
		if p.table.Len() != 0 || p.table.Size() != 0 {
			t.Errorf("%d frames, %d bytes left", p.table.Len(), p.table.Size())
		}
	}
}

func TestPayloadsOutliveTheirSocket(t *testing.T) {
	router, dealer, _ := connected(t, "tcp://127.0.0.1:*", Options{})
	h := dealer.table.New(make([]byte, 1<<16))
	dealer.send(t, 0, "r", h, h)
	dealer.table.Release(h)
	m := router.one(t)
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	for _, h := range m.Payloads {
		if got := router.table.Bytes(h); len(got) != 1<<16 {
			t.Errorf("%d bytes after Close", len(got))
		}
		router.table.Release(h)
	}
	if len(m.Payloads) != 2 || router.table.Len() != 0 {
		t.Errorf("%d payloads, %d left", len(m.Payloads), router.table.Len())
	}
}

func TestMessagesOverACapAreDrained(t *testing.T) {
	o := Options{MaxFrame: 4096, MaxRecords: 1000, MaxMessage: 5000}
	router, dealer, peer := connected(t, "tcp://127.0.0.1:*", o)
	endpoint, err := router.zmq.GetLastEndpoint()
	if err != nil {
		t.Fatal(err)
	}
	z := stranger(t, endpoint, "")
	parts := func(sizes ...int) (frames [][]byte) {
		for _, n := range sizes {
			frames = append(frames, make([]byte, n))
		}
		return frames
	}
	for _, c := range []struct {
		name     string
		parts    [][]byte
		payloads int
		bad      error
	}{
		{"most frames", parts(make([]int, 17)...), 16, nil},
		{"a frame too many", parts(make([]int, 18)...), 0, ErrTooManyFrames},
		{"very many frames", parts(make([]int, 3000)...), 0, ErrTooManyFrames},
		{"most records", parts(1000), 0, nil},
		{"too many records", parts(1001), 0, ErrTooLarge},
		{"too many records and more", parts(1001, 5, 6), 0, ErrTooLarge},
		{"most bytes", parts(1000, 4000), 1, nil},
		{"too many bytes", parts(1000, 2000, 2001), 0, ErrTooLarge},
		{"too many bytes early", parts(10, 2000, 2000, 2000, 1), 0, ErrTooLarge},
	} {
		sendParts(t, z, c.parts...)
		sendParts(t, z, []byte("next"))
		m := router.one(t)
		want := 0
		if c.bad == nil {
			want = len(c.parts[0])
		}
		if !errors.Is(m.Bad, c.bad) || m.Peer == 0 || m.Peer == peer || len(m.Payloads) != c.payloads || len(m.Records) != want {
			t.Errorf("%s: %d bytes from %d, %d payloads, %v", c.name, len(m.Records), m.Peer, len(m.Payloads), m.Bad)
		}
		for _, h := range m.Payloads {
			router.table.Release(h)
		}
		if m := router.one(t); string(m.Records) != "next" || m.Bad != nil {
			t.Errorf("%s: then %q, %v", c.name, m.Records, m.Bad)
		}
		if router.table.Len() != 0 || router.table.Size() != 0 {
			t.Errorf("%s: %d payload frames kept", c.name, router.table.Len())
		}
	}

	// libzmq itself cuts a peer whose frame is over MaxFrame: the message never comes.
	sendParts(t, z, make([]byte, 4097))
	dealer.send(t, 0, "alive")
	if m := router.one(t); m.Peer != peer || string(m.Records) != "alive" {
		t.Errorf("%d bytes from %d, want those of %d", len(m.Records), m.Peer, peer)
	}
}

func TestForeignRoutingIDsAreRefused(t *testing.T) {
	router, dealer, peer := connected(t, "tcp://127.0.0.1:*", Options{})
	endpoint, err := router.zmq.GetLastEndpoint()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"me", "12345", "\x00\x00\x00\x00\x00", "\x00123456"} {
		z := stranger(t, endpoint, id)
		sendParts(t, z, []byte("records"), []byte("payload"))
		if m := router.one(t); !errors.Is(m.Bad, ErrForeignID) || m.Peer != 0 || len(m.Records)+len(m.Payloads) != 0 {
			t.Errorf("id %q: %+v, want ErrForeignID", id, m)
		}
	}
	dealer.send(t, 0, "mine")
	if m := router.one(t); m.Peer != peer || string(m.Records) != "mine" || router.table.Len() != 0 {
		t.Errorf("then %q from %d, %d payload frames kept", m.Records, m.Peer, router.table.Len())
	}
}

func TestSendToNobody(t *testing.T) {
	router, dealer, peer := connected(t, "tcp://127.0.0.1:*", Options{})
	h := router.table.New(make([]byte, 8192))
	for _, unknown := range []uint32{0, peer + 1} {
		if err := router.Send(unknown, []byte("r"), []Handle{h}); !errors.Is(err, ErrGone) {
			t.Errorf("Send(%d) = %v, want ErrGone", unknown, err)
		}
	}
	router.send(t, peer, "after", h) // the refusals left the socket and the frame usable
	m := dealer.one(t)
	if string(m.Records) != "after" || len(m.Payloads) != 1 {
		t.Fatalf("received %q with %d payloads", m.Records, len(m.Payloads))
	}
	dealer.table.Release(m.Payloads[0])

	if err := dealer.Close(); err != nil {
		t.Fatal(err)
	}
	router.refused(t, ErrGone, peer, h)
	router.table.Release(h)
	if router.table.Len() != 0 {
		t.Error("payload frames left")
	}
}

func TestSendChecksItsOwnLimits(t *testing.T) {
	router, dealer, _ := connected(t, inproc(t), Options{MaxRecords: 100, MaxMessage: 1000})
	h := dealer.table.New(make([]byte, 451))
	for _, c := range []struct {
		records  int
		payloads []Handle
		want     error
	}{
		{100, nil, nil},
		{101, nil, ErrTooLarge},
		{98, []Handle{h, h}, nil},
		{99, []Handle{h, h}, ErrTooLarge},
		{0, append(bytes16(h), h), ErrTooManyFrames},
	} {
		err := dealer.Send(0, make([]byte, c.records), c.payloads)
		if !errors.Is(err, c.want) {
			t.Errorf("%d bytes of records, %d payloads: %v, want %v", c.records, len(c.payloads), err, c.want)
		}
		if c.want != nil {
			continue
		}
		if m := router.one(t); len(m.Records) != c.records || len(m.Payloads) != len(c.payloads) {
			t.Errorf("received %d bytes of records, %d payloads", len(m.Records), len(m.Payloads))
		}
	}
}

func TestAnErrorWithinAMessageBreaksTheSocket(t *testing.T) {
	s := newParty(t, NewDealer, Options{})
	for errno, want := range map[syscall.Errno]error{syscall.EAGAIN: ErrAgain, syscall.EHOSTUNREACH: ErrGone, syscall.EFAULT: syscall.EFAULT} {
		if err := s.sendError(0, int(errno)); !errors.Is(err, want) || s.broken {
			t.Errorf("%v before the first frame: %v, broken %v, want %v", errno, err, s.broken, want)
		}
	}
	if err := s.sendError(1, int(syscall.EAGAIN)); !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("after a frame: %v, want ErrBroken", err)
	}
	if err := s.Send(0, nil, nil); !errors.Is(err, ErrBroken) {
		t.Errorf("the next Send: %v, want ErrBroken", err)
	}
}

func TestSmallMessagesCostNoAllocation(t *testing.T) {
	router, dealer, peer := connected(t, inproc(t), Options{})
	records := []byte("sixteen bytes...")
	payload := dealer.table.New(make([]byte, 8192))
	payloads := []Handle{payload}
	turn := func() {
		if dealer.Send(0, records, nil) != nil || dealer.Send(0, records, payloads) != nil {
			t.Error("not sent")
		}
		messages, _, _ := router.Recv(0)
		if len(messages) != 2 || router.Send(peer, messages[1].Records, messages[1].Payloads) != nil {
			t.Error("not received")
		}
		router.table.Release(messages[1].Payloads[0])
		ready, _, _ := dealer.waiter.Wait(-1)
		messages, _, _ = ready[0].Recv(0)
		dealer.table.Release(messages[0].Payloads[0])
	}
	if n := testing.AllocsPerRun(500, turn); n != 0 {
		t.Errorf("%v allocations for three messages", n)
	}
}
