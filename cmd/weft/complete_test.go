package main

import (
	"errors"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, _, code := weft(t, &scripted{}, "completion", shell); code != exitOK || !strings.Contains(out, "weft") {
			t.Errorf("weft completion %s: exit %d, %.80q", shell, code, out)
		}
	}
	env := map[string]string{"WEFT_CONFIG": written(t, "config.yaml", "contexts:\n  lab: {broker: tcp://lab:1}\n")}
	cases := []struct{ line, want string }{
		{"service info |", "price\tprices trades by-hand"},
		{"service deregister pr|", "price"},
		{"service info price |", ""},
		{"session get |", "7\t 12\t"},
		{"session list --service |", "price by-hand"},
		{"node list --context |", "lab\ttcp://lab:1"},
		{"node cordon |", "n1"},
		{"queue get |", "root risk risk.eod\tcapacity default\tfifo"},
		{"exec --queue |", "risk.eod\tcapacity default\tfifo"},
		{"explain |", "7\t price\tprices by-hand"},
		{"context use |", "lab"},
		{"node list -o |", "table wide json yaml name"},
		{"broker --log-level |", "debug info warn error"},
	}
	for _, c := range cases {
		line, _, _ := strings.Cut(c.line, "|")
		out, errOut, code := weftWith(t, &scripted{}, env, append([]string{"__complete"}, strings.Split(line, " ")...)...)
		if code != exitOK {
			t.Errorf("%s: exit %d, %s", c.line, code, errOut)
		}
		for _, word := range strings.Split(c.want, " ") {
			if !strings.Contains(out, word) {
				t.Errorf("%s: no %q in %q", c.line, word, out)
			}
		}
		if c.want == "" && strings.TrimSpace(strings.Split(out, ":")[0]) != "" {
			t.Errorf("%s: %q, want nothing", c.line, out)
		}
	}
	out, _, code := weft(t, &scripted{err: errors.New("no")}, "__complete", "service", "info", "")
	if code != exitOK || strings.Contains(out, "price") {
		t.Errorf("without a broker: exit %d, %q", code, out)
	}
}

func TestHelpTopics(t *testing.T) {
	for _, topic := range helpTopics() {
		out, _, code := weft(t, &scripted{}, "help", topic.name)
		if code != exitOK || !strings.Contains(out, topic.text) {
			t.Errorf("weft help %s: exit %d, %q", topic.name, code, out)
		}
	}
}
