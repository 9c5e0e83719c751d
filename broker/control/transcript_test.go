package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// The commands of a transcript:
//
//	broker [max-sessions=N] [manager-cpu=N]     begin with a broker that knows nothing (done once before the first)
//	       [manager-mib=N] [loops=N]
//	hello NAME incarnation=N, body as JSON      NAME says HELLO on a new connection
//	send NAME KIND [id=N], body as JSON         NAME sends a record
//	junk NAME KIND, text                        NAME sends a record whose body is that text
//	external NAME KIND                          NAME sends a record whose payload is a frame of its own
//	note LOOP, session.Note as JSON             a manager loop tells something
//	advance 10s                                 time passes; peers that are not muted send heartbeats
//	mute NAME, cut NAME, reconnect NAME         it falls silent; its connection breaks; it comes again
//	forgets NAME                                it comes again, and knows nothing of what was said before
//	hold, commit                                nothing is durable any more until commit
//	bytes, text                                 a frame of garbage
//	given [node=N] [instances=N]                quietly: operator ops, service price with that many instances, agents
//	                                            n1 to nN, client app with session 1 (key 1), which wants the instances
//	quietly                                     nothing is written down until loudly
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		w := newWorld(t, nil)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			if d.Cmd == "broker" {
				w = newWorld(t, func(c *Config) {
					d.MaybeScanArgs(t, "max-sessions", &c.MaxSessions)
					d.MaybeScanArgs(t, "advertise", &c.Places.Advertise)
					d.MaybeScanArgs(t, "loops", &c.Loops)
					var cpu, mebibytes uint64
					d.MaybeScanArgs(t, "manager-cpu", &cpu)
					d.MaybeScanArgs(t, "manager-mib", &mebibytes)
					c.ManagerCPU, c.ManagerMemory = int64(cpu), int64(mebibytes)<<20
				})
				return ""
			}
			command(t, w, d)
			out := w.log.String()
			w.log.Reset()
			return out
		})
	})
}

func command(t *testing.T, w *world, d *datadriven.TestData) {
	t.Helper()
	arg := func(i int) string {
		if len(d.CmdArgs) <= i {
			t.Fatalf("%s: %s has no argument %d", d.Pos, d.Cmd, i)
		}
		return d.CmdArgs[i].Key
	}
	who := func() *peer {
		p := w.peers[arg(0)]
		if p == nil {
			t.Fatalf("%s: nobody is called %s", d.Pos, arg(0))
		}
		return p
	}
	switch d.Cmd {
	case "hello":
		var incarnation, known uint64
		d.ScanArgs(t, "incarnation", &incarnation)
		var hello protocol.Hello
		mustJSON(t, d.Input, &hello)
		d.MaybeScanArgs(t, "epoch", &known)
		p := w.peers[arg(0)]
		if p != nil && p.node.Incarnation != incarnation {
			delete(w.peers, arg(0))
		}
		if known != 0 {
			w.helloOfEpoch(hello, incarnation, protocol.Epoch(known))
			return
		}
		w.join(arg(0), hello, incarnation)
	case "send":
		var id uint64
		d.MaybeScanArgs(t, "id", &id)
		kind, ok := kindOf(arg(1))
		if !ok {
			t.Fatalf("%s: no kind %s", d.Pos, arg(1))
		}
		v := protocol.NewBody(kind)
		if v != nil && d.Input != "" {
			mustJSON(t, d.Input, v)
		}
		w.send(who(), kind, id, v)
	case "junk":
		kind, _ := kindOf(arg(1))
		who().link.Append(kind, 0, 1, []byte(d.Input))
		w.flush(who())
	case "external":
		kind, _ := kindOf(arg(1))
		p := who()
		p.link.AppendExternal(kind, 0, 1, 100, 0)
		for _, f := range p.node.Take(nil) {
			_, b, _, _ := f.Leave()
			w.step(Frame{Peer: p.id, Bytes: b, Payloads: []protocol.Handle{5, 6}})
			f.Sent()
		}
		w.printf("released %v", w.released)
	case "note":
		var n session.Note
		mustJSON(t, d.Input, &n)
		w.note(int(arg(0)[0]-'0'), n)
	case "advance":
		dur, err := time.ParseDuration(arg(0))
		if err != nil {
			t.Fatal(err)
		}
		w.advance(dur)
	case "mute":
		who().muted = true
	case "unmute":
		who().muted = false
	case "cut":
		who().cut = true
	case "reconnect":
		w.connect(who())
	case "forgets":
		who().link.Restart()
		w.connect(who())
	case "hold":
		w.hold = true
	case "commit":
		w.hold = false
		w.release()
		w.pump()
	case "quietly", "loudly":
		w.quiet = d.Cmd == "quietly"
	case "given":
		nodes, instances := 1, 1
		d.MaybeScanArgs(t, "nodes", &nodes)
		d.MaybeScanArgs(t, "instances", &instances)
		w.quiet = true
		given(w, nodes, instances)
		w.quiet = false
	case "bytes":
		w.step(Frame{Peer: 99, Bytes: []byte(d.Input)})
	default:
		t.Fatalf("no command %q", d.Cmd)
	}
}

func kindOf(name string) (protocol.Kind, bool) {
	for k := protocol.Kind(0); k < 128; k++ {
		if strings.EqualFold(k.String(), name) {
			return k, true
		}
	}
	return 0, false
}

// helloOfEpoch has a stranger say HELLO that knows of an epoch.
func (w *world) helloOfEpoch(hello protocol.Hello, incarnation uint64, known protocol.Epoch) {
	hello.MinVersion, hello.MaxVersion = protocol.MinVersion, protocol.MaxVersion
	b := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: known, Incarnation: incarnation, Sequence: protocol.NewStamp(1, 1)})
	b = protocol.AppendBody(b, protocol.KindHello, 0, 0, hello)
	w.step(Frame{Peer: 98, Bytes: b})
}

// given makes a world in which a session waits for its instances.
func given(w *world, nodes, instances int) {
	ops := w.join("ops", protocol.Hello{Role: protocol.RoleClient, Name: "weft"}, 1)
	w.send(ops, protocol.KindRegisterService, 1, protocol.Service{
		Name: "price", Instances: protocol.Instances{Min: instances, Max: 8},
		Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/opt/price"}},
	})
	for i := range nodes {
		name := "n" + string(rune('1'+i))
		n := w.join(name, protocol.Hello{Role: protocol.RoleAgent, Name: name}, uint64(100+i))
		w.send(n, protocol.KindRegisterNode, 1, protocol.RegisterNode{
			Name: name, Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30},
		})
	}
	app := w.join("app", protocol.Hello{Role: protocol.RoleClient, Name: "app"}, 2)
	w.send(app, protocol.KindOpenSession, 1, protocol.OpenSession{Key: 1, Service: "price"})
	w.note(0, session.Note{Wanted: &session.Wanted{Manager: 1, Instances: instances}})
}
