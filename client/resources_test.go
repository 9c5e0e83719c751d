package client

import (
	"reflect"
	"testing"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/protocol"
)

// What operators ask about resources reaches the broker as it was said, and its answers come back.
func TestResources(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	var asked []any
	names := []string{"root", "day", "night"}
	shapes := protocol.Shapes{"small": {CPU: 500}}
	b.do(func() {
		b.resources = func(kind protocol.Kind, body any) (protocol.Kind, any) {
			asked = append(asked, body)
			switch kind {
			case protocol.KindApplyQueues:
				return protocol.KindQueuesApplied, protocol.QueuesApplied{DryRun: true}
			case protocol.KindListQueues:
				page := protocol.QueuePage{}
				list := body.(*protocol.ListRequest)
				if list.After == "" {
					page.Shapes = shapes
				}
				for i, name := range names {
					if list.After == "" && i == 0 || i > 0 && list.After == names[i-1] { // pages of one
						page.Entries, page.More = []protocol.QueueInfo{{Queue: protocol.Queue{Name: name}}}, i < len(names)-1
					}
				}
				return protocol.KindQueuePage, page
			case protocol.KindGetOverview:
				return protocol.KindOverview, protocol.Overview{Services: 3}
			case protocol.KindExplain:
				return protocol.KindExplained, protocol.Explained{Service: "price"}
			default:
				return protocol.KindDone, nil
			}
		}
	})
	c := b.dial(WithLogger(zerolog.Nop()))
	apply := protocol.ApplyQueues{Queues: []protocol.Queue{{Name: "root", Max: protocol.Amounts{"gpu": 0}}}, DryRun: true}
	if applied, err := c.ApplyQueues(soon(t), apply); err != nil || !applied.DryRun {
		t.Errorf("%+v, %v", applied, err)
	}
	var listed []string
	for q, err := range c.Queues(soon(t), Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, q.Queue.Name)
	}
	if !reflect.DeepEqual(listed, names) {
		t.Errorf("listed %q", listed)
	}
	if got, err := c.Shapes(soon(t)); err != nil || !reflect.DeepEqual(got, shapes) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.DrainQueue(soon(t), "day", true); err != nil {
		t.Error(err)
	}
	if err := c.CordonNode(soon(t), "n1", true, "hot"); err != nil {
		t.Error(err)
	}
	if o, err := c.Overview(soon(t)); err != nil || o.Services != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	if e, err := c.Explain(soon(t), protocol.Explain{Session: 7}); err != nil || e.Service != "price" {
		t.Errorf("%+v, %v", e, err)
	}
	b.do(func() {
		want := []any{
			&apply, &protocol.ListRequest{}, &protocol.ListRequest{After: "root"}, &protocol.ListRequest{After: "day"},
			&protocol.ListRequest{Limit: 1}, &protocol.DrainQueue{Name: "day", Undo: true}, &protocol.CordonNode{Name: "n1", On: true, Reason: "hot"},
			nil, &protocol.Explain{Session: 7},
		}
		if !reflect.DeepEqual(asked, want) {
			t.Errorf("asked\n%+v, want\n%+v", asked, want)
		}
	})
}
