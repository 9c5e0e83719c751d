package admin

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// patience is how long a command may take. A question to a manager takes a few seconds at most, and then there is an
// error; a change must be on record.
const patience = 15 * time.Second

// maxBody is how many bytes of JSON a request may have: as much as a body of the protocol, written out.
const maxBody = 2 * protocol.MaxBody

// resource is what there is at one path, by method.
type resource struct {
	s      *Server
	routes map[string]*route
}

// addRoutes puts the API into the mux.
func (s *Server) addRoutes(mux *http.ServeMux) {
	at := map[string]*resource{}
	all := routes()
	for i := range all {
		r := &all[i]
		if at[r.path] == nil {
			at[r.path] = &resource{s: s, routes: map[string]*route{}}
			mux.Handle(r.path, at[r.path])
		}
		at[r.path].routes[r.method] = r
	}
}

// ServeHTTP serves one command.
func (r *resource) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	method := req.Method
	if method == http.MethodHead {
		method = get
	}
	route := r.routes[method]
	if route == nil {
		wrongMethod(w, req, r.methods())
		return
	}
	answer, err := r.s.serve(w, req, route)
	switch {
	case err != nil:
		fail(w, 0, err)
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		reply(w, http.StatusOK, answer)
	}
}

func (r *resource) methods() []string {
	var all []string
	for m := range r.routes {
		all = append(all, m)
		if m == get {
			all = append(all, http.MethodHead)
		}
	}
	slices.Sort(all)
	return all
}

// wrongMethod says that the path is there, and the method is not.
func wrongMethod(w http.ResponseWriter, req *http.Request, methods []string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	var exists []string
	for _, m := range methods {
		exists = append(exists, m+" "+req.URL.Path)
	}
	fail(w, http.StatusMethodNotAllowed, protocol.Errorf(protocol.CodeInvalid, req.Method+" "+req.URL.Path,
		"the method %s is not there; there are: %s", req.Method, strings.Join(methods, ", ")), exists...)
}

// serve has the control loop carry out a command, and gives its answer; nil: it is done.
func (s *Server) serve(w http.ResponseWriter, req *http.Request, r *route) (any, error) {
	req.Body = http.MaxBytesReader(w, req.Body, maxBody)
	body, err := r.body(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	answer, err := command(ctx, s.cfg.Broker, r.kind, body)
	if err != nil || answer == nil || r.thing == "" {
		return answer, err
	}
	entries := reflect.ValueOf(answer).Elem().FieldByName("Entries")
	if entries.Len() == 0 {
		name := req.PathValue(r.wildcards()[0])
		return nil, protocol.Errorf(protocol.CodeNotFound, r.method+" "+req.URL.Path, "there is no %s %s", r.thing, name)
	}
	if r.one {
		return entries.Index(0).Interface(), nil
	}
	return answer, nil
}

// command gives a command to the control loop and decodes the answer: a pointer to its body, or nil for Done.
func command(ctx context.Context, b Broker, kind protocol.Kind, body []byte) (any, error) {
	answered, payload, err := b.Command(ctx, kind, body)
	if err != nil {
		return nil, err
	}
	answer := protocol.NewBody(answered)
	if answer == nil {
		return nil, nil
	}
	if err := protocol.Unmarshal(answered, payload, answer); err != nil {
		return nil, err
	}
	if refused, ok := answer.(*protocol.Error); ok {
		return nil, refused
	}
	return answer, nil
}
