package builtin

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func TestDocuments(t *testing.T) {
	for _, name := range []string{Ping, Exec} {
		s := Document(name, "v0.3.0-5-gabc (dirty)", "", []string{"linux/riscv64"})
		if err := s.WithDefaults().Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.HasPrefix(s.Version, "v0.3.0-5-gabc-dirty-") {
			t.Errorf("version %q", s.Version)
		}
		if a := s.Artefacts["linux/riscv64"]; a.Command != "weft" || !slices.Equal(a.Args, []string{"serve", strings.TrimPrefix(name, "weft.")}) {
			t.Errorf("artefact %+v", a)
		}
		if other := Document(name, "v0.3.0-5-gabc (dirty)", "", nil); other.Version == s.Version {
			t.Error("other content has the same version")
		}
		if other := Document(name, "v0.3.0-5-gabc (dirty)", "risk", []string{"linux/riscv64"}); other.Version == s.Version || other.Queue != "risk" {
			t.Errorf("in another queue it is %q, %q", other.Queue, other.Version)
		}
		if same := Document(name, "v0.3.0-5-gabc (dirty)", "", []string{"linux/riscv64", "linux/amd64"}); same.Version != s.Version {
			t.Errorf("the same content has version %q and %q", s.Version, same.Version)
		}
	}
	for _, build := range []string{"", "(…)", strings.Repeat("x", 100), "1.2"} {
		s := Document(Ping, build, "", nil)
		if err := s.WithDefaults().Validate(); err != nil {
			t.Errorf("build %q: %v", build, err)
		}
	}
	if Document(Exec, "1", "", nil).Retry.HostLosses != 1 {
		t.Error("a command may be run again")
	}
}

// books is a catalogue.
type books struct {
	have []protocol.ServiceInfo
	err  error // of deregistering
}

func (b *books) RegisterService(_ context.Context, s protocol.Service) error {
	for _, i := range b.have {
		if i.Service.Name == s.Name && i.Service.Version == s.Version {
			return nil
		}
	}
	b.have = append(b.have, protocol.ServiceInfo{Service: s})
	return nil
}

func (b *books) DeregisterService(_ context.Context, name, version string) error {
	if b.err == nil {
		b.have = slices.DeleteFunc(b.have, func(i protocol.ServiceInfo) bool { return i.Service.Name == name && i.Service.Version == version })
	}
	return b.err
}

func (b *books) Services(context.Context, client.Filter) iter.Seq2[protocol.ServiceInfo, error] {
	return func(yield func(protocol.ServiceInfo, error) bool) {
		for _, i := range slices.Clone(b.have) {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func (b *books) versions() (v []string) {
	for _, i := range b.have {
		v = append(v, i.Service.Version)
	}
	return v
}

func TestEnsure(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	old := func(version string, age time.Duration, sessions int) protocol.ServiceInfo {
		return protocol.ServiceInfo{
			Service: protocol.Service{Name: Ping, Version: version}, Registered: now.Add(-age), Sessions: sessions,
		}
	}
	b := &books{have: []protocol.ServiceInfo{old("stale", 2*time.Hour, 0), old("used", 2*time.Hour, 1), old("new", time.Minute, 0)}}
	s := Document(Ping, "1.0", "", []string{"linux/amd64"})
	for range 2 {
		err := Ensure(t.Context(), b, now, s)
		if err != nil || !slices.Equal(b.versions(), []string{"used", "new", s.Version}) {
			t.Errorf("version %q, %v; there are %q", s.Version, err, b.versions())
		}
	}
	for _, c := range []struct {
		err  *protocol.Error
		fine bool
	}{
		{protocol.Errorf(protocol.CodeInUse, "", ""), true},
		{protocol.Errorf(protocol.CodeUnknownService, "", ""), true},
		{protocol.Errorf(protocol.CodeUnavailable, "", ""), false},
	} {
		b := &books{have: []protocol.ServiceInfo{old("stale", 2*time.Hour, 0)}, err: c.err}
		if err := Ensure(t.Context(), b, now, s); (err == nil) != c.fine {
			t.Errorf("deregistering is refused with %v: %v", c.err, err)
		}
	}
}

func TestServeNothing(t *testing.T) {
	if err := Serve(t.Context(), "tea"); err == nil || !strings.Contains(err.Error(), `"tea" is not one of exec, ping`) {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	e := newEcho()
	e.mark = NodeMark("n1")
	for _, n := range []int{0, 4, 8, 12, 16, 1000} {
		l := Load{Out: n}
		task := []byte("12345678rest")
		out, err := e.exec(t.Context(), l, task)
		if err != nil || !l.RightResult(task, out) {
			t.Errorf("%d bytes: %q, %v", n, out, err)
		}
		if mark, ok := MarkOf(out); ok != (n >= 8) || ok && mark != NodeMark("n1") {
			t.Errorf("%d bytes: mark %x, %v", n, mark, ok)
		}
		if n >= 16 {
			out[9]++
		} else {
			out = append(out, 0)
		}
		if l.RightResult(task, out) {
			t.Errorf("%d bytes: a wrong result is right", n)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, spin := range []bool{false, true} {
		if _, err := e.exec(ended, Load{Runtime: time.Hour, Spin: spin}, nil); err == nil {
			t.Error("a task outlives its session")
		}
		if _, err := e.exec(t.Context(), Load{Runtime: time.Millisecond, Spin: spin}, nil); err != nil {
			t.Error(err)
		}
	}
}
