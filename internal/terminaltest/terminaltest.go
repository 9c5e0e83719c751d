// Package terminaltest opens pseudo-terminals, for tests of what is shown on terminals only.
package terminaltest

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal of 80 by 24 characters. What is written to File is kept.
type Terminal struct {
	// File is the side of the program.
	File *os.File

	t    testing.TB
	own  *os.File
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Open opens a terminal until the test ends. Where there are none the test is skipped.
func Open(t testing.TB) *Terminal {
	t.Helper()
	own, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	number, err := unix.IoctlGetInt(int(own.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(own.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(own.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &Terminal{File: file, t: t, own: own, done: make(chan struct{})}
	go x.read()
	t.Cleanup(func() {
		x.close()
		own.Close() //nolint:errcheck,gosec // it was only read
	})
	return x
}

// read keeps what is written until the other side is closed.
func (x *Terminal) read() {
	defer close(x.done)
	b := make([]byte, 4096)
	for {
		n, err := x.own.Read(b)
		x.mu.Lock()
		x.text.Write(b[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *Terminal) close() {
	x.File.Close() //nolint:errcheck,gosec // it may be closed already
	<-x.done
}

// Type types text, as a user does.
func (x *Terminal) Type(text string) {
	if _, err := x.own.WriteString(text); err != nil {
		x.t.Error(err)
	}
}

// Shown gives what was written so far.
func (x *Terminal) Shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// Text closes File, and gives all that was written to it.
func (x *Terminal) Text() string {
	x.close()
	return x.Shown()
}
