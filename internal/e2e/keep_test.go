package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// TestSessionsOutliveTheProcessOfTheirClient has a client in a process of its own leave its session and end, or be killed
// with SIGKILL: another process gets each result once.
func TestSessionsOutliveTheProcessOfTheirClient(t *testing.T) {
	for name, config := range map[string]clientConfig{
		"left":   {Leave: true},
		"killed": {Disconnect: protocol.DisconnectKeep},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, 2, 1)
			c := f.dial("")
			f.register(c, f.service("echo", progEcho, 2))
			config.Broker, config.Service = f.tcp, "echo"
			for n := range 50 {
				config.Tasks = append(config.Tasks, fmt.Sprint("task ", n))
			}
			p := spawn(t, f.mark, roleClient, config)
			var number protocol.SessionNumber
			for s, err := range c.Sessions(f.ctx, client.Filter{Service: "echo"}) {
				if err != nil {
					t.Fatal(err)
				}
				number = s.Session
			}
			if name == "killed" { // what did not reach the broker dies with it
				await(t, "all tasks are answered", func() bool {
					done := uint64(0)
					for s, err := range c.Sessions(f.ctx, client.Filter{Session: number}) {
						done = s.Done
						if err != nil {
							t.Fatal(err)
						}
					}
					return done == 50
				})
				if _, err := c.Attach(f.ctx, number); !errors.Is(err, client.ErrInUse) {
					t.Errorf("attached to the session of another: %v", err)
				}
				p.kill(t)
			} else {
				p.stop(t)
			}
			s, err := c.Attach(f.ctx, number, client.WithForce())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for r, err := range s.Results(f.ctx) {
				if err != nil {
					t.Fatal(err)
				}
				got[string(r.Payload)]++
			}
			for _, task := range config.Tasks {
				if got[task] != 1 {
					t.Errorf("%s was answered %d times", task, got[task])
				}
			}
			if len(got) != 50 {
				t.Errorf("%d results", len(got))
			}
			if err := s.Close(f.ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
