package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// operated changes the queues while they are used, and asks for everything by HTTP as well.
func (p *planter) operated() {
	p.t.Helper()
	limited := planned{name: "grows", queue: "limited", user: "ann", instances: 3, request: asks(400)}
	session := p.must(limited)
	p.holds(session, 2)
	p.sameByHTTP(session)
	p.w.apply(waitingWith(2000))
	p.holds(session, 3)
	p.w.serves(session, limited.name)
	p.w.apply(waitingWith(800))
	late := p.must(planned{name: "late", queue: "limited", user: "ann", instances: 1, request: asks(400)})
	p.check(late, &plant{
		what: "a maximum that was lowered", service: planned{name: "late", queue: "limited", instances: 1},
		want: protocol.Reason{Kind: "queue_max", Queue: "limited", Dimension: "cpu", Short: 800, Text: "queue limited is at its maximum of cpu: 0.4 needed, 0 of 0.8 left"},
	})
	p.holds(session, 3) // what runs is not taken away
	p.sameByHTTP(session)
	p.removed()
}

// waitingWith are the queues of [testWaiting] with another maximum of cpu for one of them; 0: without that queue.
func waitingWith(cpu int64) []protocol.Queue {
	queues := waitingQueues()
	at := slices.IndexFunc(queues, func(q protocol.Queue) bool { return q.Name == "limited" })
	if cpu == 0 {
		return slices.Delete(queues, at, at+1)
	}
	queues[at].Max = protocol.Amounts{"cpu": cpu}
	return queues
}

// removed tries to take a queue away that is used, drains it, and takes it away.
func (p *planter) removed() {
	p.t.Helper()
	without := p.w.queuesFile(waitingWith(0))
	stays := func(when string) {
		p.t.Helper()
		for _, args := range [][]string{{"queue", "apply", without}, {"queue", "apply", without, "--dry-run"}} {
			_, err := p.w.weft(args...)
			mustSay(p.t, err, "InUse", "drain", "grows@1 in limited", "late@1 in limited")
		}
		if out := p.w.must("queue", "list", "-o", "name"); !slices.Contains(strings.Fields(out), "limited") {
			p.t.Errorf("%s the queue is gone, with sessions in it: %s", when, out)
		}
	}
	stays("at first")
	p.w.must("queue", "drain", "limited")
	if _, err := p.opensIn("limited", 100); err == nil {
		p.t.Error("a queue that is drained takes a session")
	} else {
		mustSay(p.t, err, "NotAccepting", "limited")
	}
	stays("while it is drained")
	p.clear()
	p.w.must("queue", "apply", without)
	if out := p.w.must("queue", "list", "-o", "name"); slices.Contains(strings.Fields(out), "limited") {
		p.t.Errorf("the queue is still there: %s", out)
	}
	_, err := p.opensIn("limited", 100)
	mustSay(p.t, err, `there is no queue "limited"`)
	p.seen.line("a queue with running services stays; drained and empty it goes")
}

// get asks the broker by HTTP.
func (p *planter) get(path string) []byte {
	p.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	request, err := http.NewRequestWithContext(p.w.ctx, http.MethodGet, p.w.http+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := answer.Body.Close(); err != nil {
		p.t.Error(err)
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		p.t.Errorf("GET %s: %s, %v: %.200s", path, answer.Status, err, text)
	}
	return text
}

// sameByHTTP asks for everything by HTTP and on the command line, which must agree when nothing changes any more.
func (p *planter) sameByHTTP(session *client.Session) {
	p.t.Helper()
	p.get("/healthz")
	p.get("/readyz")
	number := fmt.Sprint(session.Number())
	for _, c := range []struct {
		path   string
		args   []string
		change []string // keys that are another value from moment to moment
	}{
		{"/v1/queues", []string{"queue", "list"}, nil},
		{"/v1/queues/limited", []string{"queue", "get", "limited"}, nil},
		{"/v1/nodes", []string{"node", "list"}, []string{"last_seen", "detail"}},
		{"/v1/overview", []string{"status"}, []string{"at", "uptime"}},
		{"/v1/sessions/" + number + "/explain", []string{"explain", number}, nil},
		{"/v1/services/grows/explain", []string{"explain", "grows"}, nil},
	} {
		var byHTTP, byCommand any
		same := func() bool {
			byHTTP = without(p.json(p.get(c.path)), c.change...)
			if page, ok := byHTTP.(map[string]any); ok && page["entries"] != nil {
				byHTTP = page["entries"]
			}
			byCommand = without(p.json([]byte(p.w.must(append(c.args, "-o", "json")...))), c.change...)
			return reflect.DeepEqual(byHTTP, byCommand)
		}
		if !holdsWithin(patience/6, same) {
			p.t.Errorf("GET %s says %v; weft %s says %v", c.path, byHTTP, strings.Join(c.args, " "), byCommand)
		}
	}
	var o protocol.Overview
	var missing []string
	if !holdsWithin(patience/6, func() bool { // what starts serves in between
		p.w.ask(&o, "status")
		missing = p.unmeasured(o)
		return len(missing) == 0
	}) {
		p.t.Errorf("the metrics do not say %q", missing)
	}
	p.seen.line("HTTP and the command line agree: %d containers serve, %d sessions run", o.Containers.Serving, o.Sessions.Running)
}

// unmeasured lists what the metrics do not say as weft status does.
func (p *planter) unmeasured(o protocol.Overview) []string {
	p.t.Helper()
	text := "\n" + string(p.get("/metrics"))
	return slices.DeleteFunc([]string{
		`weft_nodes{state="ready"} 3`,
		fmt.Sprintf(`weft_containers{state="serving"} %d`, o.Containers.Serving),
		fmt.Sprintf(`weft_sessions{state="running"} %d`, o.Sessions.Running),
		fmt.Sprintf("weft_services %d", o.Services),
	}, func(line string) bool { return strings.Contains(text, "\n"+line+"\n") })
}

func (p *planter) json(text []byte) (v any) {
	p.t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		p.t.Fatalf("%v: %.200s", err, text)
	}
	return v
}

// without gives a value without these keys, wherever they are in it.
func without(v any, keys ...string) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range keys {
			delete(v, k)
		}
		for _, inner := range v { // order does not matter: each is changed by itself
			without(inner, keys...)
		}
	case []any:
		for _, inner := range v {
			without(inner, keys...)
		}
	}
	return v
}
