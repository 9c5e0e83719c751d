package main

import (
	"testing"

	"github.com/weft-fabric/weft/bench/party"
)

func TestUnknownOrders(t *testing.T) {
	l := newLoader(nil, nil)
	if _, err := l.obey(t.Context(), party.Order{Do: "sing"}); err == nil {
		t.Error("the client of a run sings")
	}
	h := holder{sessions: nil}
	if _, err := h.obey(t.Context(), party.Order{Do: "sing"}); err == nil {
		t.Error("the holder of sessions sings")
	}
}
