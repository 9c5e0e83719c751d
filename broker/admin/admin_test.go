package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBroker answers commands as a test says.
type fakeBroker struct {
	mu      sync.Mutex
	kinds   []protocol.Kind // of the commands
	bodies  [][]byte
	answer  func(protocol.Kind) (protocol.Kind, any)         // nil: done
	asked   func(protocol.Kind, []byte) (protocol.Kind, any) // in place of answer
	stuck   bool                                             // nothing is answered
	loops   []Loop
	census  *control.Census
	surveys int
}

func (b *fakeBroker) Command(ctx context.Context, kind protocol.Kind, body []byte) (protocol.Kind, []byte, error) {
	b.mu.Lock()
	b.kinds, b.bodies = append(b.kinds, kind), append(b.bodies, body)
	stuck, answer := b.stuck, b.answer
	if b.asked != nil {
		answer = func(k protocol.Kind) (protocol.Kind, any) { return b.asked(k, body) }
	}
	b.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return 0, nil, protocol.Errorf(protocol.CodeUnavailable, "broker", "%v", context.Cause(ctx))
	}
	if answer == nil {
		return protocol.KindDone, nil, nil
	}
	k, v := answer(kind)
	return k, protocol.Marshal(v), nil
}

func (b *fakeBroker) Census(ctx context.Context) (*control.Census, error) {
	b.mu.Lock()
	b.surveys++
	stuck, census := b.stuck, b.census
	b.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return nil, errors.New("no answer")
	}
	return census, nil
}

func (b *fakeBroker) Loops() []Loop {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loops
}

func (b *fakeBroker) Memory() (held, limit int64) { return 300, 1000 }

func (b *fakeBroker) setStuck(stuck bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stuck = stuck
}

func newServer(b *fakeBroker) *Server {
	log := zerolog.Nop()
	return New(Config{Broker: b, Build: Build{Version: "v1.2.3", Go: "go1", Libzmq: "4.3.4", Platform: "linux/amd64", Protocol: "1 to 1"}, Logger: &log})
}

// ask sends a request to a handler.
func ask(h http.Handler, method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
	return w
}

// failureOf reads an answer that is an error.
func failureOf(t *testing.T, w *httptest.ResponseRecorder) (f failure) {
	t.Helper()
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || w.Header().Get("Content-Type") != "application/json" || f.Name != f.Code.String() {
		t.Fatalf("an error %d is told as %+v, %v", w.Code, f, err)
	}
	return f
}

func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		method, url, body string
		kind              protocol.Kind
		want              string // the request, as JSON
	}{
		{get, "/v1/services?words=fast+pricing&limit=5&after=a", "", protocol.KindListServices, `{"after":"a","limit":5,"words":"fast pricing"}`},
		{get, "/v1/services/price?version=2", "", protocol.KindListServices, `{"name":"price","version":"2"}`},
		{post, "/v1/services", `{"name":"price","limits":{"idle":"30s"},"artefacts":{"linux/amd64":{"command":"/opt/p"}}}`, protocol.KindRegisterService, `{"name":"price","limits":{"idle":"30s"},"artefacts":{"linux/amd64":{"command":"/opt/p"}}}`},
		{del, "/v1/services/price?version=2", "", protocol.KindDeregisterService, `{"name":"price","version":"2"}`},
		{post, "/v1/services/price/move", `{"loop":3}`, protocol.KindMoveService, `{"name":"price","loop":3}`},
		{post, "/v1/services/price/restart", ``, protocol.KindRestartService, `{"name":"price"}`},
		{post, "/v1/services/price/restart", `{"name":"price","idle":true}`, protocol.KindRestartService, `{"name":"price","idle":true}`},
		{get, "/v1/services/price/stats", "", protocol.KindGetStats, `{"service":"price"}`},
		{get, "/v1/sessions?all&environment=eod", "", protocol.KindListSessions, `{"environment":"eod","all":true}`},
		{get, "/v1/sessions?all=false", "", protocol.KindListSessions, `{}`},
		{get, "/v1/sessions/17/stats", "", protocol.KindGetStats, `{"session":17}`},
		{del, "/v1/sessions/17", "", protocol.KindCloseSession, `{"session":17,"mode":"finish"}`},
		{del, "/v1/sessions/17?mode=kill&reason=too%20late", "", protocol.KindCloseSession, `{"session":17,"mode":"kill","reason":"too late"}`},
		{post, "/v1/sessions/17/steer", `{"action":"suspend"}`, protocol.KindSteerSession, `{"session":17,"action":"suspend"}`},
		{del, "/v1/sessions/17/tasks/5?reason=x", "", protocol.KindCancelTask, `{"session":17,"sequence":5,"reason":"x"}`},
		{post, "/v1/environments", `{"name":"eod"}`, protocol.KindCreateEnvironment, `{"name":"eod"}`},
		{del, "/v1/environments/eod?force", "", protocol.KindDeleteEnvironment, `{"name":"eod","force":true}`},
		{get, "/v1/overview", "", protocol.KindGetOverview, ``},
		{post, "/v1/nodes/n1/cordon", `{"reason":"a fan"}`, protocol.KindCordonNode, `{"name":"n1","on":true,"reason":"a fan"}`},
		{post, "/v1/nodes/n1/uncordon", ``, protocol.KindCordonNode, `{"name":"n1"}`},
		{put, "/v1/queues?dry_run", `{"queues":[{"name":"root"}]}`, protocol.KindApplyQueues, `{"queues":[{"name":"root"}],"dry_run":true}`},
		{post, "/v1/queues/root.eod/undrain", ``, protocol.KindDrainQueue, `{"name":"root.eod","undo":true}`},
		{get, "/v1/dead-letters/5?offset=9000000000", "", protocol.KindGetDead, `{"id":5,"offset":9000000000}`},
		{del, "/v1/dead-letters?ids=3,4&service=price", "", protocol.KindDropDead, `{"ids":[3,4],"service":"price"}`},
	} {
		b := &fakeBroker{}
		w := ask(newServer(b).Handler(), tt.method, tt.url, tt.body)
		if w.Code != http.StatusNoContent && w.Code != http.StatusOK || len(b.kinds) != 1 || b.kinds[0] != tt.kind {
			t.Errorf("%s %s: status %d %s, commands %v", tt.method, tt.url, w.Code, w.Body, b.kinds)
			continue
		}
		want := protocol.NewBody(tt.kind)
		if want == nil {
			if len(b.bodies[0]) > 0 {
				t.Errorf("%s %s: a body %q", tt.method, tt.url, b.bodies[0])
			}
			continue
		}
		if err := json.Unmarshal([]byte(tt.want), want); err != nil {
			t.Fatal(err)
		}
		if string(b.bodies[0]) != string(protocol.Marshal(want)) {
			t.Errorf("%s %s: the request is %q, want %s", tt.method, tt.url, b.bodies[0], tt.want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	for _, tt := range []struct {
		method, url, body string
		status            int
		says              string
	}{
		{get, "/v1/services?colour=red", "", 400, "colour: the query has no such field; there are: after, limit, name, version, tag, words"},
		{get, "/v1/overview?all", "", 400, "there are: none"},
		{get, "/v1/services?limit=many", "", 400, `limit: "many" is not a whole number`},
		{get, "/v1/services?limit=%zz", "", 400, "query:"},
		{get, "/v1/services/pri*", "", 400, `name: "pri*" is no name`},
		{get, "/v1/sessions/first", "", 400, `session: "first" is not a whole number that is not negative`},
		{get, "/v1/sessions/4294967296", "", 400, "4294967296"},
		{get, "/v1/sessions?all=maybe", "", 400, `all: "maybe" is not true or false`},
		{del, "/v1/dead-letters?ids=1,x", "", 400, `ids: "1,x" is not whole numbers`},
		{post, "/v1/services", `{"name":"price","colour":"red"}`, 400, `unknown field "colour"`},
		{post, "/v1/services", `{"name":5}`, 400, "body:"},
		{post, "/v1/services", `{"name":"price"`, 400, "body:"},
		{post, "/v1/services", `{"name":"a"}{"name":"b"}`, 400, "more after the first value"},
		{post, "/v1/services", `{"limits":{"idle":"soon"}}`, 400, `"soon" is not a duration`},
		{post, "/v1/services", `"` + strings.Repeat("x", maxBody) + `"`, 413, "larger than 2097152 bytes"},
		{put, "/v1/queues", "", 400, "body: is empty; it is a JSON object"},
		{post, "/v1/services/price/move", `{"name":"other"}`, 400, "name: the body says other; here it is price"},
		{get, "/v1", "", 404, "nothing at /v1"},
		{get, "/", "", 404, "nothing at /"},
		{get, "/v1/teapots", "", 404, "nothing at /v1/teapots"},
		{put, "/v1/services", "", 405, "the method PUT is not there; there are: GET, HEAD, POST"},
		{http.MethodOptions, "/v1/nodes/n1/cordon", "", 405, "there are: POST"},
		{post, "/metrics", "", 405, "GET, HEAD"},
	} {
		b := &fakeBroker{}
		w := ask(newServer(b).Handler(), tt.method, tt.url, tt.body)
		f := failureOf(t, w)
		if w.Code != tt.status || !strings.Contains(f.Message, tt.says) || len(b.kinds) > 0 {
			t.Errorf("%s %s: status %d, %q, commands %v; want %d, %q", tt.method, tt.url, w.Code, f.Message, b.kinds, tt.status, tt.says)
		}
		switch tt.status {
		case 404:
			if all := strings.Join(f.Exists, "\n"); !strings.Contains(all, "GET /v1/services/{name}") || !strings.Contains(all, "GET /healthz") {
				t.Errorf("%s %s: there is %q", tt.method, tt.url, all)
			}
		case 405:
			if allow := w.Header().Get("Allow"); allow == "" || !strings.Contains(f.Message, allow) || len(f.Exists) == 0 {
				t.Errorf("%s %s: allowed is %q", tt.method, tt.url, allow)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	page := protocol.NodePage{Entries: []protocol.NodeInfo{{Name: "n1", State: "ready", LastSeen: time.Second}}, More: true}
	b := &fakeBroker{answer: func(protocol.Kind) (protocol.Kind, any) { return protocol.KindNodePage, page }}
	h := newServer(b).Handler()
	var got protocol.NodePage
	w := ask(h, get, "/v1/nodes", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || !got.More || len(got.Entries) != 1 || got.Entries[0].LastSeen != time.Second {
		t.Errorf("a page: status %d, %+v, %v", w.Code, got, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", w.Header())
	}
	var one protocol.NodeInfo
	w = ask(h, get, "/v1/nodes/n1", "")
	if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil || w.Code != 200 || one.Name != "n1" {
		t.Errorf("one: status %d, %+v, %v", w.Code, one, err)
	}
	page.Entries = []protocol.NodeInfo{}
	if w = ask(h, get, "/v1/nodes", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"entries":[]`) {
		t.Errorf("an empty page: status %d, %s", w.Code, w.Body)
	}
	w = ask(h, get, "/v1/nodes/n9", "")
	if f := failureOf(t, w); w.Code != 404 || f.Code != protocol.CodeNotFound || f.Message != "there is no node n9" {
		t.Errorf("none: status %d, %+v", w.Code, f)
	}
	b.answer = nil
	if w = ask(h, del, "/v1/sessions/5", ""); w.Code != 204 || w.Body.Len() > 0 {
		t.Errorf("done: status %d, %s", w.Code, w.Body)
	}
	b.answer = func(protocol.Kind) (protocol.Kind, any) {
		return protocol.KindError, &protocol.Error{Code: protocol.CodeOverloaded, Op: "open", Msg: "too many", RetryAfter: 1200 * time.Millisecond}
	}
	w = ask(h, get, "/v1/sessions", "")
	if f := failureOf(t, w); w.Code != 503 || f.Op != "open" || f.Message != "too many" || f.RetryAfter != "1.2s" || w.Header().Get("Retry-After") != "2" {
		t.Errorf("a refusal: status %d, %+v, %v", w.Code, f, w.Header())
	}
	if w = ask(h, get, "/version", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"libzmq":"4.3.4"`) {
		t.Errorf("version: %d, %s", w.Code, w.Body)
	}
}

// Every code has a status that was chosen for it: only what is a defect is told as one.
func TestStatusOfCodes(t *testing.T) {
	for _, c := range protocol.Codes() {
		if got := statusOf(c); (got == http.StatusInternalServerError) != (c == protocol.CodeInternal) || got < 400 || http.StatusText(got) == "" {
			t.Errorf("%v has status %d", c, got)
		}
	}
}

func TestHead(t *testing.T) {
	b := &fakeBroker{answer: func(protocol.Kind) (protocol.Kind, any) { return protocol.KindNodePage, protocol.NodePage{} }}
	s := httptest.NewServer(newServer(b).Handler())
	defer s.Close()
	for _, path := range []string{"/v1/nodes", "/healthz", "/version"} {
		res, err := s.Client().Head(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != 200 || len(body) != 0 || res.ContentLength <= 0 {
			t.Errorf("HEAD %s: status %d, length %d, body %q, %v", path, res.StatusCode, res.ContentLength, body, err)
		}
	}
}
