//go:build !plantedbugs

package sim

import (
	"testing"

	"github.com/weft-fabric/weft/internal/planted"
)

// TestBugsCannotBePlanted holds that this program has no bugs to be planted: `make sim-bugs` builds one that has, and
// finds them.
func TestBugsCannotBePlanted(t *testing.T) {
	for _, bug := range planted.All() {
		if planted.Enabled || planted.Choose(bug) || planted.Is(bug) {
			t.Errorf("%v can be planted in a program without the tag plantedbugs", bug)
		}
	}
}
