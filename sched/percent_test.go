package sched_test

import (
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched"
)

func TestPercentIsExact(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "100": "100", "33.3": "33.3", "0.1": "0.1", "007.50": "7.5", "1e2": "100", "5e-1": "0.5", "12.5E+1": "125",
		"-3.25": "-3.25", "0.000000001": "0.000000001", "1.0000000000000": "1", "0e99999": "0", "-0": "0", "+4": "4",
	} {
		p, err := ParsePercent(text)
		if err != nil || p.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, p, err, want)
		}
		if again, err := ParsePercent(p.String()); err != nil || again != p {
			t.Errorf("%s: read back as %s, %v", p, again, err)
		}
	}
	var sum Percent
	for _, text := range []string{"0.1", "0.2", "99.7"} {
		p, err := ParsePercent(text)
		if err != nil {
			t.Fatal(err)
		}
		sum += p
	}
	if sum != Hundred {
		t.Errorf("they sum to %s", sum)
	}
	if got := (25 * OnePercent).Of(10); got != 2.5 {
		t.Errorf("25 %% of 10 is %v", got)
	}
}

func TestParsePercentRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "not a number", "x": "not a number", "1.": "not a number", ".5": "not a number", "1e": "not a number", "--1": "not a number",
		"5%": "not a number", "1.2.3": "not a number", "0x10": "not a number", "NaN": "not a number",
		"0.0000000001": "more than the 9 decimals", "1e-10": "more than the 9 decimals", "1e20": "absurdly large", "1e999999": "absurdly large",
		"99999999999999999999": "absurdly large",
	} {
		if p, err := ParsePercent(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v, want %s", text, p, err, want)
		}
	}
}
