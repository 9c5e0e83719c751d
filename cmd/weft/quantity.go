package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/protocol"
)

// byteUnits are the suffixes of an amount of bytes: powers of 1024 with an i, of 1000 without.
var byteUnits = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// parseBytes reads an amount such as 64MiB, 1.5GiB, 500kB or 1048576.
func parseBytes(s string) (int64, error) {
	number, factor := strings.TrimSpace(s), 1.0
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	v *= factor
	if err != nil || math.IsNaN(v) || v < 0 || v >= math.MaxInt64 || v != math.Trunc(v) {
		return 0, fmt.Errorf("%q is not an amount of bytes such as 64MiB, 1.5GiB or 1048576", s)
	}
	return int64(v), nil
}

// leastMillicores is the smallest whole number that is taken for millicores without a suffix: below it the writer has
// most likely meant cores.
const leastMillicores = 100

// parseCPU reads millicores (4000 or 500m) or, with a decimal point, cores (0.5 or 4.0).
func parseCPU(s string) (int64, error) {
	number := strings.TrimSpace(s)
	if milli, ok := strings.CutSuffix(number, "m"); ok {
		v, err := strconv.ParseInt(milli, 10, 64)
		if err != nil || v < 0 {
			return 0, errNotCPU(s)
		}
		return v, nil
	}
	if strings.Contains(number, ".") {
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || v < 0 || v > 1e9 {
			return 0, errNotCPU(s)
		}
		return int64(math.Round(v * 1000)), nil
	}
	v, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil || v < 0:
		return 0, errNotCPU(s)
	case v > 0 && v < leastMillicores:
		return 0, fmt.Errorf("%q could be cores or thousandths of a core: write %d.0 or %dm", s, v, v)
	}
	return v, nil
}

func errNotCPU(s string) error {
	return fmt.Errorf("%q is not an amount of CPU such as 0.5 (cores), 500m or 500 (thousandths of a core)", s)
}

// parseCapacity reads the form of --capacity: cpu=4000,memory=8GiB,gpu=1. What is not named stays 0.
func parseCapacity(s string) (protocol.Capacity, error) {
	var c protocol.Capacity
	if s == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return c, fmt.Errorf("%q is not of the form cpu=4000,memory=8GiB", part)
		}
		if err := setAmount(&c, key, value); err != nil {
			return c, fmt.Errorf("%s: %w", key, err)
		}
	}
	return c, nil
}

// setAmount sets one amount as it is written. A resource that is none of weft's own is one that the fabric has beside them,
// in whole numbers, unless it looks like a slip of the pen.
func setAmount(c *protocol.Capacity, name, value string) (err error) {
	switch name {
	case "cpu":
		c.CPU, err = parseCPU(value)
	case "gpu":
		c.GPU, err = parseCount(value)
	case "memory":
		c.Memory, err = parseBytes(value)
	case "network":
		c.Network, err = parseBytes(value)
	case "disk_io":
		c.DiskIO, err = parseBytes(value)
	default:
		if near, ok := nearest.Of(name, protocol.Dimensions()); ok {
			return fmt.Errorf("there is no such resource; did you mean %q?", near)
		}
		n, err := parseCount(value)
		if err != nil {
			return err
		}
		if c.Further == nil {
			c.Further = protocol.Amounts{}
		}
		c.Further[name] = n
		return c.Check()
	}
	return err
}

func parseCount(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%q is not a whole number of at least 0", s)
	}
	return v, nil
}
