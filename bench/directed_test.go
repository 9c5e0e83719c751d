package main

import "testing"

// A result is told from every other one, whatever is wrong with it.
func TestResultsOfDirectives(t *testing.T) {
	for _, size := range []int{0, 8, 9, 15, 16, 100} {
		d, ok := readDirective(directive{number: 7, result: size}.payload(directiveSize))
		if !ok {
			t.Fatal("not a directive")
		}
		result := d.obey()
		if !isResultOf(result, 7, size) || isResultOf(result, 8, size) || isResultOf(result, 7, size+9) || isResultOf(nil, 7, size) {
			t.Errorf("the result of %d bytes is not known", size)
		}
		for i := range result {
			result[i] ^= 1
			if isResultOf(result, 7, size) {
				t.Errorf("byte %d of %d is wrong, and nobody sees it", i, size)
			}
			result[i] ^= 1
		}
	}
	a, b := directive{number: 1, result: 64}.obey(), directive{number: 2, result: 64}.obey()
	copy(b[:8], a) // of another task, but for its number
	if isResultOf(b, 1, 64) {
		t.Error("the content of another task is taken for right")
	}
}
