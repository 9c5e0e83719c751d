package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/protocol"
)

// lock makes the state folder and takes it for this process, until the file is closed or the process ends, in
// whatever way. It returns the folder's real path. When another agent has it the error names the folder and that
// agent's process.
func lock(dir string) (held *os.File, real string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("agent: Dir %q: want a folder that can be written: %w", dir, err)
	}
	real, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, "", fmt.Errorf("agent: Dir %q: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(real, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("agent: Dir %q: want a folder that can be written: %w", dir, err)
	}
	if err := take(f); err != nil {
		return nil, "", errors.Join(fmt.Errorf("agent: Dir %q: %w", dir, err), f.Close())
	}
	return f, real, nil
}

// take locks the file and writes the number of this process into it.
func take(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		owner := "another agent"
		const longest = 20
		if text, err := io.ReadAll(io.LimitReader(f, longest)); err == nil && len(text) > 0 {
			owner = "process " + strings.TrimSpace(string(text))
		}
		return protocol.Errorf(protocol.CodeInUse, "", "%s has it; want that agent ended, or another Dir (--dir) for this one, "+
			"and another Name (--name) in the same fabric", owner)
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
