package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// HostID returns a text that is the same for two processes exactly when they run on the same host, since the same
// boot, and in the same network namespace: then they reach each other over loopback. It is empty when that cannot be
// told; an empty id is like no other, not even another empty one. Virtual machines that were resumed from one snapshot
// share a boot, and so an id.
func HostID() string {
	id, _ := New(Options{}).hostID()
	return id
}

// hostID makes the id of the host from the boot's id and the network namespace.
func (p *Probe) hostID() (string, error) {
	boot, err := os.ReadFile(filepath.Join(p.proc, "sys/kernel/random/boot_id"))
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(boot))
	if name == "" {
		return "", fmt.Errorf("the kernel's boot id is empty")
	}
	namespace, err := os.Readlink(filepath.Join(p.proc, "self/ns/net"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(name + "\x00" + namespace))
	return hex.EncodeToString(sum[:16]), nil
}
