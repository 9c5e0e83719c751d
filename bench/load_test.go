package main

import "testing"

func TestUnknownOrders(t *testing.T) {
	l := loader{}
	if _, err := l.obey(t.Context(), order{Do: "sing"}); err == nil {
		t.Error("the client of a run sings")
	}
	h := holder{sessions: nil}
	if _, err := h.obey(t.Context(), order{Do: "sing"}); err == nil {
		t.Error("the holder of sessions sings")
	}
}
