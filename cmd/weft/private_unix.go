package main

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate refuses a folder that somebody else made or may enter: who can put sockets there could pose as the broker.
func checkPrivate(folder string, uid int) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return fmt.Errorf("runtime folder: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return badInput("runtime folder: %s is not a folder", folder)
	case !ok || int(owner.Uid) != uid:
		return badInput("runtime folder: %s belongs to somebody else: remove it, or name a folder by XDG_RUNTIME_DIR", folder)
	case info.Mode().Perm()&0o077 != 0:
		return badInput("runtime folder: %s is open to others (%v): it must have mode 0700", folder, info.Mode().Perm())
	}
	return nil
}
