//go:build plantedbugs

package planted

// Enabled says whether bugs can be planted in this program.
const Enabled = true

// chosen is set before anything runs, and not changed while something does.
var chosen Bug

// Is says whether the bug is planted.
func Is(b Bug) bool { return chosen == b }

// Choose plants a bug, in place of the one before, and says whether it could. Nothing may run meanwhile.
func Choose(b Bug) bool {
	chosen = b
	return true
}
