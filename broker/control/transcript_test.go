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
//	broker [client-grace=30s] [max-sessions=N]  begin with a broker that knows nothing (done once before the first)
//	hello NAME incarnation=N, body as JSON      NAME says HELLO on a new connection
//	send NAME KIND [id=N], body as JSON         NAME sends a record
//	note LOOP, session.Note as JSON             a manager loop tells something
//	advance 10s                                 time passes; peers that are not muted send heartbeats
//	mute NAME, cut NAME, reconnect NAME         it falls silent; its connection breaks; it comes again
//	hold, commit                                nothing is durable any more until commit
//	bytes PEER, hex or text                     a frame of garbage
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld(t, nil)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			if d.Cmd == "broker" {
				w = newWorld(t, func(c *Config) {
					if d.HasArg("max-sessions") {
						d.ScanArgs(t, "max-sessions", &c.MaxSessions)
					}
					if d.HasArg("advertise") {
						d.ScanArgs(t, "advertise", &c.Places.Advertise)
					}
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
		v := newBody(kind)
		if v != nil && d.Input != "" {
			mustJSON(t, d.Input, v)
		}
		w.send(who(), kind, id, v)
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
	case "hold":
		w.hold = true
	case "commit":
		w.hold = false
		w.release()
		w.pump()
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
