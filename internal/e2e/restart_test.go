package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRestart has the processes of a service replaced while a session works: all are other ones then, each task was
// executed once, and its result came once. Without a session they just end.
func TestRestart(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	s := f.service("again", progVerbs, 3)
	notes := journal(filepath.Join(f.dir, "journal"))
	s.Env[varFile] = string(notes)
	f.register(c, s)
	session := f.open(c, "again")
	f.serving(c, "again", 3)
	before := f.instances(progVerbs)
	replaced := func() bool {
		now := f.instances(progVerbs)
		return len(now) == 3 && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	}
	if err := c.RestartService(f.ctx, "again", "", true); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartService(f.ctx, "again", "", false); err != nil {
		t.Fatal(err)
	}
	var tallies []*tally
	const each = 200
	await(t, "the instances are replaced", func() bool {
		y := f.submit(c, session, each, func(i int) string { return fmt.Sprintf("count %d", i) })
		tallies = append(tallies, y)
		y.wait()
		return replaced()
	})
	f.serving(c, "again", 3)
	f.call(session, "id", "")
	all, err := notes.read()
	if err != nil {
		t.Fatal(err)
	}
	executed := 0
	for _, e := range all {
		if strings.HasPrefix(e.what, "exec") {
			executed++
		}
	}
	if want := len(tallies) * each; executed != want {
		t.Errorf("%d tasks were executed %d times", want, executed)
	}
	if err := session.Close(f.ctx); err != nil {
		t.Fatal(err)
	}
	await(t, "the session is over", func() bool { return f.info(c, "again").Sessions == 0 })
	if err := c.RestartService(f.ctx, "again", s.Version, true); err != nil {
		t.Fatal(err)
	}
	await(t, "the warm instances end", func() bool { return len(f.instances(progVerbs)) == 0 })
}
