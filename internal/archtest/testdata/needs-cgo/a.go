// Package needscgo does not build without cgo.
package needscgo

// int one(void) { return 1; }
import "C"

// One is one.
func One() int { return int(C.one()) }
