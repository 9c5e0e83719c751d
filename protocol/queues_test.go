package protocol_test

import (
	"encoding/json"
	"testing"

	. "github.com/weft-fabric/weft/protocol"
)

func TestDecimalsKeepWhatWasWritten(t *testing.T) {
	for text, want := range map[string]Decimal{"33.30": "33.30", `"33.30"`: "33.30", "0": "0", "-5": "-5", "null": "", `""`: ""} {
		var d Decimal
		if err := json.Unmarshal([]byte(text), &d); err != nil || d != want {
			t.Errorf("%s: %q, %v", text, d, err)
		}
	}
	for _, text := range []string{`"a third"`, "1e2", "true", "[1]", `"01"`, `"."`, `"5."`} {
		var d Decimal
		if err := json.Unmarshal([]byte(text), &d); CodeOf(err) != CodeInvalid {
			t.Errorf("%s: %q, %v", text, d, err)
		}
	}
	for d, want := range map[Decimal]string{"33.30": "33.30", "": "null", `a "third"`: `"a \"third\""`} {
		if b, err := json.Marshal(d); err != nil || string(b) != want {
			t.Errorf("%q: %s, %v", d, b, err)
		}
	}
}

// Equal bodies give equal bytes, whatever is in their maps.
func TestMapsAreWrittenInOrder(t *testing.T) {
	q := Queue{Name: "a", Min: Amounts{}, Max: Amounts{}}
	for _, d := range []string{"network", "cpu", "memory", "gpu", "disk_io"} {
		q.Min[d], q.Max[d] = 1, 2
	}
	body := ApplyQueues{Queues: []Queue{q}, Shapes: Shapes{"b": {CPU: 1}, "a": {CPU: 2}, "c": {}}}
	want := string(Marshal(body))
	for range 20 {
		if string(Marshal(body)) != want {
			t.Fatal("the same body gave other bytes")
		}
	}
}

func TestAContainerIsSomeOfAShape(t *testing.T) {
	service := func(r ContainerRequest) Service {
		return Service{Name: "a", Requests: []ContainerRequest{r}}.WithDefaults()
	}
	s := service(ContainerRequest{Shape: "small", Multiple: 2})
	if err := s.Validate(); err != nil || !s.Requests[0].Capacity.IsZero() {
		t.Errorf("%+v, %v: its capacity is the broker's to fill in", s.Requests[0], err)
	}
	for _, r := range []ContainerRequest{{Shape: "Small"}, {Multiple: 2}, {Shape: "small", Multiple: -1}, {Shape: "small", Multiple: 4097}} {
		if err := service(r).Validate(); CodeOf(err) != CodeInvalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
