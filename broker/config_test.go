package broker

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestListenersOfEndpoints(t *testing.T) {
	c, err := Config{Listen: []string{"tcp://127.0.0.1:7800", "[::1]:7800", "ipc:///run/weft/control", "inproc://x"}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.listeners()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.tcpHost, []string{"127.0.0.1", "[::1]"}) || l.tcpPort != 7800 || l.anyPort ||
		!slices.Equal(l.ipcDir, []string{"/run/weft"}) || !slices.Equal(l.inproc, []string{"x"}) ||
		!slices.Equal(l.control, []string{"ipc:///run/weft/control", "inproc://x"}) {
		t.Fatalf("%+v", l)
	}
	c.Listen = []string{"tcp://localhost"}
	if l, err = c.listeners(); err != nil || l.tcpPort != 7700 || l.tcpHost[0] != "127.0.0.1" {
		t.Fatalf("%+v, %v; want 127.0.0.1 and the base port", l, err)
	}
}

func TestBadConfigNamesTheField(t *testing.T) {
	for want, c := range map[string]Config{
		`listen "tcp://0.0.0.0:7700": 0.0.0.0 is not a loopback address`: {Listen: []string{"tcp://0.0.0.0:7700"}},
		`listen "tcp://*:7700"`:                      {Listen: []string{"tcp://*:7700"}},
		`"eth0" is not an IP address`:                {Listen: []string{"tcp://eth0:7700"}},
		`port "x" is not within 0`:                   {Listen: []string{"tcp://127.0.0.1:x"}},
		`port "70000" is not within 0`:               {Listen: []string{"tcp://127.0.0.1:70000"}},
		`"udp" is none of tcp, ipc, inproc`:          {Listen: []string{"udp://127.0.0.1:7700"}},
		`an ipc endpoint is ipc:///folder/control`:   {Listen: []string{"ipc:///run/weft/sock"}},
		`all tcp endpoints have one port, 1 was`:     {Listen: []string{"tcp://127.0.0.1:1", "tcp://127.0.0.2:2"}},
		`name: "A b" is not`:                         {Name: "A b"},
		`loops: 65 is not within 1 to 64`:            {Loops: 65},
		`io threads: -1 is not`:                      {IOThreads: -1},
		`client grace: 1s is less than the peer`:     {ClientGrace: time.Second},
		`peer timeout: 999ms is less than 1s`:        {PeerTimeout: 999 * time.Millisecond},
		`than the peer timeout of 1m0s`:              {PeerTimeout: time.Minute},
		`max payload: 2147483648 is not`:             {MaxPayload: 2 << 30},
		`manager cpu: -1 millicores are not`:         {ManagerCPU: -1},
		`dead letters: -1 is not within`:             {DeadLetters: -1},
		`dead letter bytes: 5 cannot hold one task`:  {DeadLetterBytes: 5},
		`memory: 5 bytes cannot hold one payload of`: {Memory: 5},
	} {
		_, err := Start(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v\n got %v\nwant %s", c, err, want)
		}
	}
	if c, err := (Config{Listen: []string{"tcp://0.0.0.0:7700"}, Insecure: true}).withDefaults(); err != nil {
		t.Error(err)
	} else if _, err := c.listeners(); err != nil {
		t.Errorf("with Insecure: %v", err)
	}
}
