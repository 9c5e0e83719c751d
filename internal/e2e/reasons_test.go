package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// session is what the broker says of a session.
func (f *fabric) session(c *client.Client, s *client.Session) protocol.SessionInfo {
	f.t.Helper()
	for i, err := range c.Sessions(f.ctx, client.Filter{Session: s.Number(), All: true}) {
		if err != nil {
			f.t.Fatal(err)
		}
		return i
	}
	f.t.Fatalf("there is no session %d", s.Number())
	return protocol.SessionInfo{}
}

// TestReasons has sessions fail in every way, and asks why.
func TestReasons(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	why := func(s *client.Session, what string, is func(*protocol.Failure) bool) {
		t.Helper()
		var last *protocol.Failure
		if !holdsWithin(patience/6, func() bool {
			last = f.session(c, s).Failure
			return last != nil && is(last)
		}) {
			t.Fatalf("waited in vain until %s: %+v", what, last)
		}
		if last.Container == "" || last.Node != "a0" || last.At.IsZero() {
			t.Errorf("%s: %+v", what, last)
		}
	}
	f.register(c, f.service("verbs", progVerbs, 1))
	s := f.open(c, "verbs")
	if _, err := s.Call(f.ctx, []byte("fail no such trade")); err == nil {
		t.Fatal("a task that fails succeeds")
	}
	why(s, "it says which hook failed for which task", func(l *protocol.Failure) bool {
		return l.Hook == "OnTaskExec" && l.Error.Msg == "no such trade" && l.Task.Sequence() == 1 && l.Stack == "" && l.Code == 0
	})
	if _, err := s.Call(f.ctx, []byte("panic the sky falls")); err == nil {
		t.Fatal("a task that panics succeeds")
	}
	why(s, "it has the panic, its stack, and how the process ended", func(l *protocol.Failure) bool {
		return l.Hook == "OnTaskExec" && l.Error.Msg == "panic: the sky falls" && strings.Contains(l.Stack, "OnTaskExec") && l.Code == 2
	})
	killed := f.instances(progVerbs)
	f.call(s, "id x", "x")
	await(t, "there is another instance", func() bool { killed = f.instances(progVerbs); return len(killed) == 1 })
	sigkill(killed...)
	why(s, "it has the signal", func(l *protocol.Failure) bool { return l.Signal != "" && l.Hook == "" })
	f.call(s, "id y", "y")

	refused := f.open(c, "verbs", client.WithParameters([]byte("refuse the market is closed")))
	if _, err := refused.Call(f.ctx, []byte("id x")); err == nil {
		t.Fatal("a session that is refused works")
	}
	why(refused, "it says that OnSessionBind failed", func(l *protocol.Failure) bool {
		return l.Hook == "OnSessionBind" && l.Error.Msg == "the market is closed"
	})
	if i := f.session(c, refused); i.State != protocol.SessionFailed || i.Reason != "OnSessionBind: BindFailed: the market is closed" {
		t.Errorf("a session that was refused is %s: %q", i.State, i.Reason)
	}

	broken := f.service("broken", progVerbs, 1)
	broken.Env[varBroken] = "no licence"
	f.register(c, broken)
	never := f.open(c, "broken")
	if _, err := never.Call(f.ctx, []byte("id x")); err == nil {
		t.Fatal("a session of a service that cannot be created works")
	}
	why(never, "it says that OnCreateService failed, and how the process ended", func(l *protocol.Failure) bool {
		return l.Hook == "OnCreateService" && strings.Contains(l.Error.Msg, "no licence") && l.Code != 0
	})
	if i := f.session(c, never); i.State != protocol.SessionFailed || i.Since.IsZero() || time.Since(i.Since) > patience {
		t.Errorf("it is %s since %v", i.State, i.Since)
	}
	if _, err := c.SessionStats(f.ctx, 4711); !errors.Is(err, client.ErrNoSession) {
		t.Errorf("statistics of a session that there is not: %v", err)
	}
	stats, err := c.ServiceStats(f.ctx, "verbs", "")
	if err != nil || stats.Done != 2 || stats.Failed < 2 || stats.Submitted < 4 {
		t.Errorf("statistics of the service: %+v, %v", stats, err)
	}
}
