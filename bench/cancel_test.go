package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReportOfCancels(t *testing.T) {
	good := cancelled{
		cancelConfig: cancelConfig{instances: 20, slots: 10, execution: time.Minute, grace: 3 * time.Second, slack: time.Second},
		heeding:      50 * time.Millisecond, stubborn: 3100 * time.Millisecond, free: 4 * time.Second, killed: []int{7},
	}
	var b strings.Builder
	if err := good.report(&b); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"tasks cancelled       201 of 1m0s each", "instances killed      1\n", "all stopped within 4s"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in:\n%s", line, b.String())
		}
	}
	for want, spoil := range map[string]func(*cancelled){
		"stopped within 4s":  func(k *cancelled) { k.free += time.Millisecond },
		"instances were":     func(k *cancelled) { k.killed = append(k.killed, 8) },
		"not that one alone": func(k *cancelled) { k.killed = nil },
		"the reason":         func(k *cancelled) { k.wrong = []error{errors.New("the reason")} },
	} {
		bad := good
		spoil(&bad)
		b.Reset()
		if err := bad.report(&b); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(b.String(), "all stopped") {
			t.Errorf("%s: error %v, report:\n%s", want, err, b.String())
		}
	}
}
