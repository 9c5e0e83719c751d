package planted

import "testing"

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range All() {
		if b.String() == "" || seen[b.String()] {
			t.Errorf("bug %d is called %q, like none or like another", b, b.String())
		}
		seen[b.String()] = true
		if got, ok := Parse(b.String()); !ok || got != b {
			t.Errorf("Parse(%q) = %v, %v", b.String(), got, ok)
		}
	}
	if _, ok := Parse("no such bug"); ok {
		t.Error("a bug was found that does not exist")
	}
}

func TestNothingIsPlantedUnlessChosen(t *testing.T) {
	for _, b := range All() {
		if Is(b) {
			t.Errorf("%v is planted, and nobody chose it", b)
		}
	}
	if could := Choose(FrameNotKept); could != Enabled || Is(FrameNotKept) != Enabled {
		t.Errorf("chosen: %v, planted: %v; bugs can be planted: %v", could, Is(FrameNotKept), Enabled)
	}
	Choose(None)
}
