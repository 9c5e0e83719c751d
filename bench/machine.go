package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/zmqx"
)

// version is the commit that this program was built from, which make sets.
var version = "unknown"

// machine describes where and when something was measured, and what.
type machine struct {
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Virtual    bool      `json:"virtual"` // it is a virtual machine
	Kernel     string    `json:"kernel"`
	Go         string    `json:"go"`
	LibZMQ     string    `json:"libzmq"`
	Commit     string    `json:"commit"` // of weft
	Date       time.Time `json:"date"`
	LoadBefore string    `json:"load_before"` // of the last 1, 5 and 15 minutes
}

// describeMachine describes this machine, as it is now. What cannot be known is called unknown.
func describeMachine(now time.Time) machine {
	major, minor, patch := zmqx.Version()
	m := machine{
		Cores: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version(), LibZMQ: fmt.Sprintf("%d.%d.%d", major, minor, patch),
		Commit: version, Date: now.UTC().Truncate(time.Second), LoadBefore: "unknown",
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	m.CPU, m.Virtual = parseModel(string(text))
	var names unix.Utsname
	if unix.Uname(&names) == nil {
		m.Kernel = unix.ByteSliceToString(names.Sysname[:]) + " " + unix.ByteSliceToString(names.Release[:])
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) >= 3 {
			m.LoadBefore = strings.Join(fields[:3], " ")
		}
	}
	return m
}

// parseModel reads the model of the processor from the text of /proc/cpuinfo, and whether it is a virtual machine's.
func parseModel(text string) (model string, virtual bool) {
	model = "unknown"
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags":
			virtual = virtual || slices.Contains(strings.Fields(value), "hypervisor")
		}
	}
	return model, virtual
}

// String describes the machine in a line.
func (m machine) String() string {
	kind := ""
	if m.Virtual {
		kind = " (virtual)"
	}
	return fmt.Sprintf("%d x %s%s, %s, %s, libzmq %s, load before %s, %s", m.Cores, m.CPU, kind, m.Kernel, m.Go, m.LibZMQ,
		m.LoadBefore, m.Date.Format(time.DateTime+" MST"))
}
