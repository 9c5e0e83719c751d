package e2e

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// rawPeer is a DEALER that says what the test makes it say.
type rawPeer struct {
	t           *testing.T
	endpoint    string
	socket      *zmqx.Socket
	payloads    *zmqx.Payloads
	waiter      *zmqx.Waiter
	wake        *zmqx.Wake
	incarnation uint64
	epoch       protocol.Epoch
	sent        uint64 // frames of the conversation
	got         []received
}

// received is a record that has come.
type received struct {
	header protocol.Header
	record protocol.Record
}

// newRawPeer connects to an endpoint as a process of this incarnation.
func newRawPeer(t *testing.T, endpoint string, incarnation uint64) *rawPeer {
	t.Helper()
	p := &rawPeer{t: t, endpoint: endpoint, payloads: zmqx.NewPayloads(), incarnation: incarnation}
	var err error
	if p.wake, err = zmqx.NewWake(); err != nil {
		t.Fatal(err)
	}
	if p.socket, err = zmqx.NewDealer(p.payloads, zmqx.Options{MaxRecords: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := p.socket.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
	p.waiter = zmqx.NewWaiter(p.wake, p.socket)
	t.Cleanup(func() {
		for _, c := range []interface{ Close() error }{p.socket, p.wake} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// send sends one message as it is.
func (p *rawPeer) send(records []byte, payloads ...[]byte) {
	p.t.Helper()
	var handles []zmqx.Handle
	for _, b := range payloads {
		handles = append(handles, p.payloads.New(b))
	}
	await(p.t, "a message leaves to "+p.endpoint, func() bool { return p.socket.Send(0, records, handles) == nil })
	for _, h := range handles {
		p.payloads.Release(h)
	}
}

// frame is a frame with the next sequence number.
func (p *rawPeer) frame(records ...[]byte) []byte {
	p.sent++
	b := protocol.AppendHeader(nil, protocol.Header{
		Version: protocol.MaxVersion, Epoch: p.epoch, Incarnation: p.incarnation, Sequence: protocol.NewStamp(1, p.sent),
	})
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

// hello is a HELLO that is right but for what change does.
func (p *rawPeer) hello(change func(h *protocol.Hello)) []byte {
	h := protocol.Hello{
		MinVersion: protocol.MinVersion, MaxVersion: protocol.MaxVersion, Role: protocol.RoleClient, Name: "raw", Endpoint: p.endpoint,
	}
	if change != nil {
		change(&h)
	}
	return p.frame(protocol.AppendBody(nil, protocol.KindHello, 0, 0, h))
}

// answer waits for a record of one of these kinds, and returns it with the header of its frame. Records before it are
// forgotten.
func (p *rawPeer) answer(kinds ...protocol.Kind) (protocol.Header, protocol.Record) {
	p.t.Helper()
	limit := time.Now().Add(patience)
	for time.Now().Before(limit) {
		for len(p.got) > 0 {
			next := p.got[0]
			p.got = p.got[1:]
			if slices.Contains(kinds, next.record.Kind) {
				return next.header, next.record
			}
		}
		if _, _, err := p.waiter.Wait(time.Until(limit)); err != nil {
			p.t.Fatal(err)
		}
		p.receive()
	}
	p.t.Fatalf("none of %v comes from %s", kinds, p.endpoint)
	return protocol.Header{}, protocol.Record{}
}

// receive takes the records that have come.
func (p *rawPeer) receive() {
	p.t.Helper()
	messages, _, err := p.socket.Recv(0)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range messages {
		h, rest, err := protocol.ParseHeader(slices.Clone(m.Records))
		if err != nil {
			p.t.Fatal(err)
		}
		p.epoch = h.Epoch
		r := protocol.NewReader(rest)
		var rec protocol.Record
		for {
			ok, err := r.Next(&rec)
			if err != nil {
				p.t.Fatal(err)
			}
			if !ok {
				break
			}
			p.got = append(p.got, received{h, rec})
		}
		for _, handle := range m.Payloads {
			p.payloads.Release(handle)
		}
	}
}

// refusal waits for an error and returns it.
func (p *rawPeer) refusal() *protocol.Error {
	p.t.Helper()
	_, rec := p.answer(protocol.KindError)
	e := &protocol.Error{}
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, e); err != nil {
		p.t.Fatal(err)
	}
	return e
}

// garbage is what no peer may say.
func garbage(epoch protocol.Epoch) [][]byte {
	header := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: epoch, Incarnation: 77, Sequence: protocol.NewStamp(1, 1)})
	with := func(b ...byte) []byte { return append(append([]byte(nil), header...), b...) }
	hello := func(body []byte) []byte { return protocol.AppendRecord(with(), protocol.KindHello, 0, 0, body) }
	long := protocol.AppendRecord(with(), protocol.KindTask, 1, 1, []byte("short"))
	long[len(long)-9], long[len(long)-8] = 0xff, 0xff // its length
	deep := make([]byte, 100)
	for i := range deep {
		deep[i] = 0x91
	}
	return [][]byte{
		{},
		{0x96},
		make([]byte, 200),
		random(5_000),
		header[:20],
		with(),
		append(with(), random(500)...),
		long,
		hello(nil),
		hello(random(300)),
		hello(deep),
		hello([]byte{0x81, 0xa4, 'r', 'o', 'l', 'e', 0x05}), // a number
		hello(protocol.Marshal(protocol.Hello{MinVersion: 1, MaxVersion: 1, Endpoint: "tcp://x:1"})),
		hello(protocol.Marshal(protocol.Hello{
			MinVersion: 1, MaxVersion: 1, Role: protocol.RoleClient, Endpoint: "tcp://" + strings.Repeat("x", 900_000),
		})),
		append(with(), random(3<<20)...), // more than a frame may have
	}
}

// tcpGarbage is what is no ZMTP.
func tcpGarbage() [][]byte {
	greeting := append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0}, make([]byte, 52)...)
	copy(greeting[12:], "NULL")
	return [][]byte{
		{},
		[]byte("GET / HTTP/1.1\r\n\r\n"), random(4096), greeting[:10], greeting,
		append(append([]byte(nil), greeting...), random(1000)...),
		// A frame that says that it has 2^62 bytes.
		append(append([]byte(nil), greeting...), 0x06, 0x40, 0, 0, 0, 0, 0, 0, 0),
	}
}

// sendTCP writes bytes to an address without being a ZeroMQ peer, and hangs up.
func sendTCP(t *testing.T, address string, b []byte) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(b) // the broker may hang up first
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
