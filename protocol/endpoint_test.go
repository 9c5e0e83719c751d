package protocol

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseEndpoints(t *testing.T) {
	for text, want := range map[string][]string{
		"tcp://10.0.0.1:7700,10.0.0.2:7800": {"tcp://10.0.0.1:7700", "tcp://10.0.0.2:7800"},
		"10.0.0.1":                          {"tcp://10.0.0.1:7700"},
		" broker , other:1 ":                {"tcp://broker:7700", "tcp://other:1"},
		"[::1]":                             {"tcp://[::1]:7700"},
		"tcp://[::1]:9":                     {"tcp://[::1]:9"},
		"ipc:///run/weft/control":           {"ipc:///run/weft/control"},
		"inproc://a":                        {"inproc://a"},
		"tcp://a:7700,ipc:///b":             {"tcp://a:7700", "ipc:///b"},
	} {
		got, err := ParseEndpoints(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseEndpointsRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                   "is empty",
		"a,":                                 "is empty",
		"a b":                                "blanks",
		"tcp://":                             "is empty",
		"udp://a:1":                          `"udp"`,
		"tcp://:7700":                        "names no host",
		"tcp://*:7700":                       "names no host",
		"tcp://a/b":                          "names no host",
		"[]:1":                               "names no host",
		"a:":                                 `the port ""`,
		"a:0":                                `the port "0"`,
		"a:65536":                            "1 to 65535",
		"a:http":                             "1 to 65535",
		"::1":                                "brackets",
		"fe80::1:7700":                       "brackets",
		"ipc://control":                      "absolute",
		"ipc:///" + strings.Repeat("x", 107): "at most 107",
		"a,tcp://a:7700":                     "named twice",
	} {
		got, err := ParseEndpoints(text)
		if !errors.Is(err, &Error{Code: CodeInvalid}) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v; want an error that says %q", text, got, err, says)
		}
	}
}
