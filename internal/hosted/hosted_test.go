package hosted

import (
	"context"
	"testing"
)

func TestFrom(t *testing.T) {
	if i, ok := From(t.Context()); ok {
		t.Errorf("a context of nobody's has %+v", i)
	}
	killed := make(chan struct{})
	ctx, cancel := context.WithCancel(With(t.Context(), Instance{Identity: []byte("me"), Killed: killed}))
	defer cancel()
	if i, ok := From(ctx); !ok || string(i.Identity) != "me" || i.Killed != (<-chan struct{})(killed) {
		t.Errorf("it has %+v, %t", i, ok)
	}
}
