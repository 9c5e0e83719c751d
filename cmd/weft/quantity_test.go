package main

import (
	"strings"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

func TestParseBytes(t *testing.T) {
	good := map[string]int64{
		"0": 0, "1048576": 1 << 20, "64MiB": 64 << 20, "64 MiB": 64 << 20, "1.5GiB": 3 << 29, "500kB": 500_000,
		"500KB": 500_000, "2TB": 2e12, "1TiB": 1 << 40, "7B": 7, "8GB": 8e9, "3MB": 3e6, "4KiB": 4096,
	}
	for in, want := range good {
		if got, err := parseBytes(in); err != nil || got != want {
			t.Errorf("parseBytes(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "-1MiB", "64 Mib", "1e30", "0.5B", "lots", "NaN", "1/2"} {
		if got, err := parseBytes(in); err == nil || !strings.Contains(err.Error(), "64MiB") {
			t.Errorf("parseBytes(%q) = %d, %v; want an error that shows what is right", in, got, err)
		}
	}
}

func TestParseCPU(t *testing.T) {
	good := map[string]int64{
		"0": 0, "4000": 4000, "100": 100, "500m": 500, "1m": 1, "0.5": 500, "4.0": 4000, "0.0005": 1, " 2.25 ": 2250,
	}
	for in, want := range good {
		if got, err := parseCPU(in); err != nil || got != want {
			t.Errorf("parseCPU(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	bad := map[string]string{
		"": "0.5 (cores)", "-1": "0.5", "m": "0.5", "-5m": "0.5", "0.5m": "0.5", "-0.5": "0.5", "two": "0.5",
		"2": "write 2.0 or 2m", "99": "write 99.0 or 99m",
	}
	for in, want := range bad {
		if got, err := parseCPU(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseCPU(%q) = %d, %v; want an error with %q", in, got, err, want)
		}
	}
}

func TestParseCapacity(t *testing.T) {
	got, err := parseCapacity("cpu=4000,memory=8GiB, gpu=2,network=1GB,disk_io=100MB,fpga=3")
	want := protocol.Capacity{CPU: 4000, Memory: 8 << 30, GPU: 2, Network: 1e9, DiskIO: 1e8, Further: protocol.Amounts{"fpga": 3}}
	if err != nil || !got.Equal(want) {
		t.Errorf("parseCapacity = %+v, %v; want %+v", got, err, want)
	}
	if got, err := parseCapacity(""); err != nil || !got.IsZero() {
		t.Errorf("parseCapacity of nothing = %+v, %v", got, err)
	}
	bad := map[string]string{
		"cpu": "cpu=4000", "gpus=4": `gpus: there is no such resource; did you mean "gpu"?`,
		"memory=much": "memory: ", "fpga=x": "fpga: ", "FPGA=1": "\"FPGA\" is not a name", "gpu=-1": "gpu: ", "cpu=2": "write 2.0",
	}
	for in, want := range bad {
		if got, err := parseCapacity(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseCapacity(%q) = %+v, %v; want an error with %q", in, got, err, want)
		}
	}
}
