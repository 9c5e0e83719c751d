package launcher

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ReadIdentity is for the program inside a container: it reads the identity that the launcher handed over, to its
// end, and closes the descriptor. The lookup is os.LookupEnv. Without EnvIdentityFD it returns nil: the program was
// started by hand. It can be called once.
func ReadIdentity(lookup func(string) (string, bool)) ([]byte, error) {
	text, ok := lookup(EnvIdentityFD)
	if !ok {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < IdentityFD {
		return nil, fmt.Errorf("%s=%q: want the number of a descriptor, %d or higher", EnvIdentityFD, text, IdentityFD)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return nil, fmt.Errorf("%s=%q: want an open descriptor: %w", EnvIdentityFD, text, err)
	}
	f := os.NewFile(uintptr(fd), "identity")
	defer f.Close() //nolint:errcheck // it was only read
	identity, err := io.ReadAll(io.LimitReader(f, MaxIdentity+1))
	if err != nil {
		return nil, fmt.Errorf("read the identity from descriptor %d: %w", fd, err)
	}
	if len(identity) > MaxIdentity {
		return nil, fmt.Errorf("identity from descriptor %d: want at most %d bytes", fd, MaxIdentity)
	}
	return identity, nil
}
