//go:build !linux

package headroom

func giveUp([]byte) {}
