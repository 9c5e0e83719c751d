package zmqx

import (
	"os"
	"testing"
)

func TestHostID(t *testing.T) {
	if _, err := os.Stat("/proc/sys/kernel/random/boot_id"); err != nil {
		t.Skip("no boot id here")
	}
	if id := HostID(); len(id) != 32 || id != HostID() {
		t.Fatalf("%q, then %q: want 32 hex digits, the same each time", id, HostID())
	}
}
