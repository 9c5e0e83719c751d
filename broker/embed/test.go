package embed

import (
	"context"

	"github.com/weft-fabric/weft/client"
)

// TB is what [Test] needs of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Test starts a fabric for a test, and a client of it. Both end with the test, which fails when they do not end in order.
// Tests that run in parallel each have their own.
func Test(t TB, opts ...Option) (*Fabric, *client.Client) {
	t.Helper()
	f, err := Start(opts...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Errorf("%v", err)
		}
	})
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatalf("embed: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("embed: %v", err)
		}
	})
	return f, c
}
