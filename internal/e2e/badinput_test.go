package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func TestBadRequestsOfClients(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	open := func(service string, opts ...client.SessionOption) error {
		s, err := c.OpenSession(f.ctx, service, opts...)
		if err == nil {
			return errors.Join(s.Kill(f.ctx), errors.New("it was opened"))
		}
		return err
	}
	for what, tt := range map[string]struct {
		err  error
		code protocol.Code
		says []string
	}{
		"unknown service":     {open("no-such"), protocol.CodeUnknownService, []string{"no-such"}},
		"unknown version":     {open("verbs", client.WithVersion("7")), protocol.CodeUnknownService, []string{"verbs", "7"}},
		"empty service":       {open(""), protocol.CodeInvalid, []string{"service", "empty"}},
		"instances":           {open("verbs", client.WithInstances(5, 2)), protocol.CodeInvalid, []string{"5", "2"}},
		"node type":           {open("verbs", client.WithNodeType("tpu")), protocol.CodeInvalid, []string{"tpu", "cpu", "gpu"}},
		"queue":               {open("verbs", client.WithQueue("No Queue")), protocol.CodeInvalid, []string{"queue", "No Queue"}},
		"environment":         {open("verbs", client.WithEnvironment("-")), protocol.CodeInvalid, []string{"environment", `"-"`}},
		"name of a service":   {c.RegisterService(f.ctx, protocol.Service{Name: "Ä"}), protocol.CodeInvalid, []string{"name", "Ä"}},
		"artefact's path":     {c.RegisterService(f.ctx, protocol.Service{Name: "x", Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "./x"}}}), protocol.CodeInvalid, []string{"artefacts.linux/amd64.command", "./x", "absolute"}},
		"unknown to forget":   {c.DeregisterService(f.ctx, "no-such", ""), protocol.CodeUnknownService, []string{"no-such"}},
		"close of no session": {c.CloseSession(f.ctx, 4711, protocol.CloseKill, ""), protocol.CodeUnknownSession, []string{"4711"}},
		"mode of closing":     {c.CloseSession(f.ctx, 1, "softly", ""), protocol.CodeInvalid, []string{"mode", "softly", "finish", "kill"}},
	} {
		if got := protocol.CodeOf(tt.err); got != tt.code {
			t.Errorf("%s: %v, want code %v", what, tt.err, tt.code)
		}
		mustSay(t, tt.err, tt.says...)
	}
	s := f.open(c, "verbs")
	if err := c.DeregisterService(f.ctx, "verbs", ""); protocol.CodeOf(err) != protocol.CodeInUse {
		t.Errorf("a service with an open session is deregistered: %v", err)
	}
	f.call(s, "id lives", "lives")
}

func TestEndpointsOfClients(t *testing.T) {
	f := newFabric(t)
	for endpoint, says := range map[string][]string{
		",":                {"endpoint"},
		"udp://127.0.0.1":  {"udp", "tcp", "ipc"},
		"tcp://host:77777": {"77777", "65535"},
	} {
		_, err := client.Dial(f.ctx, endpoint)
		if !errors.Is(err, client.ErrInvalid) {
			t.Errorf("dial %q: %v", endpoint, err)
		}
		mustSay(t, err, says...)
	}
	nobody := fmt.Sprintf("tcp://127.0.0.1:%d", freePorts(t, 1))
	_, err := client.Dial(f.ctx, nobody, client.WithDialTimeout(patience/100))
	if !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("dial where nobody listens: %v", err)
	}
	mustSay(t, err, nobody)
}

func TestPayloadOverTheLimit(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	small := f.service("small", progVerbs, 1)
	small.Limits.Payload = 10_000
	f.register(c, small)
	s := f.open(c, "small")
	f.call(s, "id "+strings.Repeat("x", 10_000-3), strings.Repeat("x", 10_000-3))
	_, err := s.Call(f.ctx, make([]byte, 10_001))
	if !errors.Is(err, client.ErrPayloadTooLarge) {
		t.Errorf("a payload over the limit: %v", err)
	}
	mustSay(t, err, "10001", "10000")
	_, err = s.Call(f.ctx, []byte("size 10001"))
	if !errors.Is(err, client.ErrPayloadTooLarge) {
		t.Errorf("a result over the limit: %v", err)
	}
	mustSay(t, err, "10001", "10000")
	f.call(s, "id lives", "lives")

	huge := f.service("huge", progVerbs, 1)
	huge.Limits.Payload = 1 << 29
	err = c.RegisterService(f.ctx, huge)
	mustSay(t, err, "limits.payload", fmt.Sprint(1<<29), fmt.Sprint(protocol.DefaultMaxPayload))
}

func TestArtefactsThatCannotRun(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	write := func(name string, mode os.FileMode, content []byte) string {
		path := filepath.Join(f.dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s390x := append([]byte("\x7fELF\x02\x02\x01"), make([]byte, 57)...)
	s390x[17], s390x[19] = 2, 22
	for name, tt := range map[string]struct {
		platform, command string
		says              []string
	}{
		"missing":    {ownPlatform, filepath.Join(f.dir, "nowhere"), []string{"nowhere", "no such file"}},
		"no-program": {ownPlatform, write("notes", 0o600, []byte("buy milk")), []string{"notes", "executable"}},
		"foreign":    {ownPlatform, write("s390x", 0o700, s390x), []string{"s390x", "platform", ownPlatform}},
		"elsewhere":  {"linux/s390x", write("other", 0o700, s390x), []string{"linux/s390x", "platform", "node a0"}},
	} {
		svc := f.service(name, progVerbs, 1)
		svc.Artefacts = map[string]protocol.Artefact{tt.platform: {Command: tt.command}}
		f.register(c, svc)
		if err := f.failure(c, name); err == nil {
			t.Errorf("%s: the session did not fail, and nothing is said of the service", name)
		} else {
			mustSay(t, err, tt.says...)
		}
	}
	f.register(c, f.service("verbs", progVerbs, 1))
	f.call(f.open(c, "verbs"), "id lives", "lives")
}

// failure opens a session that can never run, and says what the fabric says of it: the session's error, or that of a
// task, or the reason that the catalogue shows.
func (f *fabric) failure(c *client.Client, service string) error {
	f.t.Helper()
	s, err := c.OpenSession(f.ctx, service)
	if err != nil {
		return err
	}
	defer func() { _ = s.Kill(f.ctx) }()
	var said error
	holdsWithin(patience/4, func() bool {
		select {
		case <-s.Done():
			said = s.Err()
		default:
			why := f.info(c, service).Reason
			passes := func(word string) bool { return strings.Contains(why, word) }
			if why != "" && !slices.ContainsFunc([]string{"no node has joined", "about to be placed", " is starting: "}, passes) {
				said = errors.New(why)
			}
		}
		return said != nil
	})
	return said
}

func TestHooksThatFail(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	broken := f.service("broken", progVerbs, 1)
	broken.Env[varBroken] = "no licence on this node"
	f.register(c, broken, f.service("verbs", progVerbs, 1))
	mustSay(t, f.failure(c, "broken"), "no licence on this node")
	s := f.open(c, "verbs", client.WithParameters([]byte("refuse unknown market")))
	_, err := s.Call(f.ctx, []byte("id 1"))
	if protocol.CodeOf(err) != protocol.CodeBindFailed {
		t.Errorf("a task of a session that OnSessionBind refused: %v", err)
	}
	mustSay(t, err, "unknown market")
	f.call(f.open(c, "verbs"), "id lives", "lives")
}

func TestAddressesOfBrokers(t *testing.T) {
	f := start(t, loops(t, 1), 0)
	for name, tt := range map[string]struct {
		cfg  broker.Config
		says []string
	}{
		"any address":      {broker.Config{Listen: []string{"tcp://0.0.0.0:0"}}, []string{"0.0.0.0", "--insecure", "127.0.0.1"}},
		"all addresses":    {broker.Config{Listen: []string{"tcp://*:0"}}, []string{"0.0.0.0", "--insecure"}},
		"other address":    {broker.Config{Listen: []string{"tcp://10.1.2.3:7700"}}, []string{"10.1.2.3", "--insecure"}},
		"second of two":    {broker.Config{Listen: []string{"tcp://127.0.0.1:0", "tcp://[::]:0"}}, []string{"[::]", "--insecure"}},
		"port in use":      {broker.Config{Listen: []string{f.tcp}}, []string{f.tcp, "in use"}},
		"socket in use":    {broker.Config{Listen: []string{f.ipc}}, []string{f.ipc, "in use"}},
		"not our address":  {broker.Config{Listen: []string{"tcp://10.255.255.1:0"}, Insecure: true}, []string{"10.255.255.1"}},
		"impossible port":  {broker.Config{Listen: []string{"tcp://127.0.0.1:99999"}}, []string{"99999"}},
		"scheme":           {broker.Config{Listen: []string{"http://127.0.0.1"}}, []string{"http", "tcp"}},
		"too many loops":   {broker.Config{Loops: 1000}, []string{"loops", "1000", "64"}},
		"other io threads": {broker.Config{Listen: []string{"tcp://127.0.0.1:0"}, IOThreads: 7}, []string{"io threads", "7"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := broker.Start(tt.cfg)
			if err == nil {
				t.Error(errors.Join(errors.New("it started"), b.Stop(f.ctx)))
			}
			mustSay(t, err, tt.says...)
		})
	}
}

func TestPortOfALoopInUse(t *testing.T) {
	base := freePorts(t, 3)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+11))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = broker.Start(broker.Config{Listen: []string{fmt.Sprintf("tcp://127.0.0.1:%d", base)}, Loops: 3})
	mustSay(t, err, fmt.Sprint(base+11), "in use")
}

func TestGarbageOnTheWire(t *testing.T) {
	f := newFabric(t)
	n := loops(t, 1)
	base := freePorts(t, n)
	f.broker(broker.Config{Listen: []string{fmt.Sprintf("tcp://127.0.0.1:%d", base)}, Loops: n})
	f.agent("node", f.tcp)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 2))
	s := f.open(c, "verbs")
	f.call(s, "id before", "before")
	y := f.submit(c, s, 2_000, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
	for _, port := range append([]int{base}, loopPorts(base, n)...) {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		p := newRawPeer(t, "tcp://"+address, 77)
		_, rehello := p.greetless()
		if rehello.Kind != protocol.KindRehello {
			t.Errorf("%s: a frame without HELLO is answered by %v", address, rehello.Kind)
		}
		p.send([]byte("GET / HTTP/1.1\r\nHost: weft\r\n\r\n"))
		if e := p.refusal(); e.Code != protocol.CodeMalformed {
			t.Errorf("%s: text is answered by %v", address, e)
		}
		for _, b := range garbage(p.epoch) {
			p.send(b)
			p.send(b, random(10), nil, random(20_000))
		}
		for _, b := range tcpGarbage() {
			sendTCP(t, address, b)
		}
	}
	y.wait()
	f.call(f.open(f.dial(""), "verbs"), "id lives", "lives")
}

// greetless sends a frame as if there were a conversation, and waits for what is said to it.
func (p *rawPeer) greetless() (protocol.Header, protocol.Record) {
	p.t.Helper()
	p.sent = 41
	p.send(p.frame(protocol.AppendRecord(nil, protocol.KindTask, 1, 1<<24, []byte("id never"))))
	p.sent = 0
	return p.answer(protocol.KindRehello, protocol.KindError)
}

func TestOtherVersionsOfTheProtocol(t *testing.T) {
	f := newFabric(t)
	base := freePorts(t, 1)
	f.broker(broker.Config{Listen: []string{fmt.Sprintf("tcp://127.0.0.1:%d", base)}, Loops: 1})
	for _, port := range []int{base, base + 10} {
		p := newRawPeer(t, fmt.Sprintf("tcp://127.0.0.1:%d", port), 78)
		p.send(p.hello(func(h *protocol.Hello) { h.MinVersion, h.MaxVersion = 9, 9 }))
		e := p.refusal()
		if e.Code != protocol.CodeVersion {
			t.Errorf("versions 9 to 9 are answered by %v", e)
		}
		mustSay(t, e, "9 to 9", "1 to 1")
	}
	// A newer client that still speaks version 1 is welcome.
	p := newRawPeer(t, f.tcp, 79)
	p.send(p.hello(func(h *protocol.Hello) { h.MaxVersion = 9 }))
	_, rec := p.answer(protocol.KindWelcome)
	var w protocol.Welcome
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &w); err != nil || w.Version != 1 {
		t.Errorf("welcomed with version %d, %v", w.Version, err)
	}
	p.send(p.frame(protocol.AppendRecord(nil, 120, 0, 5, nil), protocol.AppendBody(nil, protocol.KindListNodes, 0, 6, protocol.ListRequest{})))
	if e := p.refusal(); e.Code != protocol.CodeUnknownKind {
		t.Errorf("an unknown kind is answered by %v", e)
	}
	if _, rec := p.answer(protocol.KindNodePage); rec.Task != 6 {
		t.Errorf("the request after an unknown kind has the id 6, its answer %d", rec.Task)
	}
}
