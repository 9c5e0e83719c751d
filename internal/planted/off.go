//go:build !plantedbugs

package planted

// Enabled says whether bugs can be planted in this program.
const Enabled = false

// Is says whether the bug is planted: never.
func Is(Bug) bool { return false }

// Choose plants a bug, and says whether it could: not in this program.
func Choose(Bug) bool { return false }
