package client

import (
	"errors"
	"strings"
	"testing"
)

// TestNilOptions gives a nil among others, wherever options are taken: the error says which one it is.
func TestNilOptions(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	task := []TaskOption{WithPriority(1), nil, WithRunLimit(-1)}
	for name, give := range map[string]func() error{
		"Submit": func() error { _, err := s.Submit(soon(t), nil, task...); return err },
		"SubmitFunc": func() error {
			return s.SubmitFunc(soon(t), nil, func(Result) { t.Error("a task that was refused has a result") }, task...)
		},
		"Call":        func() error { _, err := s.Call(soon(t), nil, task...); return err },
		"OpenSession": func() error { _, err := c.OpenSession(soon(t), "echo", WithNodes(1), nil, nil); return err },
		"Attach":      func() error { _, err := c.Attach(soon(t), 1, WithForce(), nil, WithForce()); return err },
		"Dial":        func() error { _, err := Dial(soon(t), b.address(), WithName("x"), nil, WithName("y")); return err },
	} {
		if err := give(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "option 2 of 3 is nil") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if r, err := s.Call(soon(t), []byte("x")); err != nil || string(r) != "x" {
		t.Errorf("a task without options afterwards: %q, %v", r, err)
	}
}
