package human

import (
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	cases := []struct{ got, want string }{
		{Bytes(0), "0 B"},
		{Bytes(1023), "1023 B"},
		{Bytes(64 << 20), "64 MiB"},
		{Bytes(5 << 28), "1.25 GiB"},
		{Bytes(1 << 62), "4 EiB"},
		{Cores(4000), "4"},
		{Cores(250), "0.25"},
		{Count(0), "0"},
		{Count(999), "999"},
		{Count(1000), "1,000"},
		{Count(uint64(1234567)), "1,234,567"},
		{Count(-1234), "-1,234"},
		{Plural(0, "task"), "0 tasks"},
		{Plural(1, "task"), "1 task"},
		{Plural(uint64(1234), "task"), "1,234 tasks"},
		{Duration(0), "0 s"},
		{Duration(7), "7 ns"},
		{Duration(12500), "12.5 us"},
		{Duration(350 * time.Millisecond), "350 ms"},
		{Duration(12 * time.Second), "12 s"},
		{Duration(1500 * time.Millisecond), "1.5 s"},
		{Duration(192 * time.Second), "3m12s"},
		{Duration(5*time.Hour + 7*time.Minute), "5h07m"},
		{Duration(12*24*time.Hour + 4*time.Hour), "12d04h"},
		{Duration(-2 * time.Second), "-2 s"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
