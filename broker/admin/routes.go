package admin

import (
	"net/http"

	"github.com/weft-fabric/weft/protocol"
)

// route is one resource under /v1 with one method: a request of the protocol by another name. What the request says comes
// from the JSON object that is sent with POST and PUT, from the path and from the query, by the names of its fields.
type route struct {
	method, path string // in the path {name} is the field of that name
	kind         protocol.Kind
	query        string // fields that the query may set; x=y: y is what it is where the query leaves it out
	fixed        string // fields that have this value
	thing        string // what there is at least one of, or else it is not found; empty: a list may be empty
	one          bool   // it is answered by the one entry, not by a page
	doc          string
}

const (
	get  = http.MethodGet
	post = http.MethodPost
	put  = http.MethodPut
	del  = http.MethodDelete
)

// routes is the whole of the API, in the order in which docs/http.md has it.
func routes() []route {
	return []route{
		{method: get, path: "/v1/overview", kind: protocol.KindGetOverview, doc: "the state of the fabric at a glance"},

		{method: get, path: "/v1/services", kind: protocol.KindListServices, query: "after limit name version tag words", doc: "the catalogue; `name` may have `*` and `?`"},
		{method: post, path: "/v1/services", kind: protocol.KindRegisterService, doc: "register a service"},
		{method: get, path: "/v1/services/{name}", kind: protocol.KindListServices, query: "after limit version", thing: "service", doc: "the versions of a service"},
		{method: del, path: "/v1/services/{name}", kind: protocol.KindDeregisterService, query: "version", doc: "deregister a version, or all"},
		{method: get, path: "/v1/services/{service}/stats", kind: protocol.KindGetStats, query: "version", doc: "what was counted of its sessions"},
		{method: get, path: "/v1/services/{service}/explain", kind: protocol.KindExplain, query: "version", doc: "why it has not what it wants"},
		{method: post, path: "/v1/services/{name}/move", kind: protocol.KindMoveService, doc: "move its session managers to another manager loop"},
		{method: post, path: "/v1/services/{name}/restart", kind: protocol.KindRestartService, doc: "replace its instances, or end those that idle"},

		{method: get, path: "/v1/sessions", kind: protocol.KindListSessions, query: "after limit name service version environment all", doc: "the sessions that are open; with `all` also those that are over"},
		{method: get, path: "/v1/sessions/{session}", kind: protocol.KindListSessions, fixed: "all=true", thing: "session", one: true, doc: "a session"},
		{method: del, path: "/v1/sessions/{session}", kind: protocol.KindCloseSession, query: "mode=finish reason", doc: "close a session: `finish` what was accepted, or `kill`"},
		{method: post, path: "/v1/sessions/{session}/steer", kind: protocol.KindSteerSession, doc: "stop-submission, accept, suspend, resume or cancel"},
		{method: get, path: "/v1/sessions/{session}/events", kind: protocol.KindListEvents, query: "after limit", doc: "what happened to it"},
		{method: get, path: "/v1/sessions/{session}/stats", kind: protocol.KindGetStats, doc: "what was counted of it"},
		{method: get, path: "/v1/sessions/{session}/explain", kind: protocol.KindExplain, doc: "why it has not what it wants"},
		{method: get, path: "/v1/sessions/{session}/tasks", kind: protocol.KindListTasks, query: "after limit", doc: "its unfinished tasks"},
		{method: get, path: "/v1/sessions/{session}/tasks/{sequence}", kind: protocol.KindGetTask, doc: "a task"},
		{method: del, path: "/v1/sessions/{session}/tasks/{sequence}", kind: protocol.KindCancelTask, query: "reason", doc: "cancel a task"},

		{method: get, path: "/v1/environments", kind: protocol.KindListEnvironments, query: "after limit", doc: "the environments"},
		{method: post, path: "/v1/environments", kind: protocol.KindCreateEnvironment, doc: "create an environment"},
		{method: get, path: "/v1/environments/{name}", kind: protocol.KindListEnvironments, thing: "environment", one: true, doc: "an environment"},
		{method: del, path: "/v1/environments/{name}", kind: protocol.KindDeleteEnvironment, query: "force", doc: "delete an environment; with `force` its sessions are killed"},

		{method: get, path: "/v1/nodes", kind: protocol.KindListNodes, query: "after limit all", doc: "the compute nodes; with `all` also those that are lost or left"},
		{method: get, path: "/v1/nodes/{name}", kind: protocol.KindListNodes, fixed: "all=true", thing: "node", one: true, doc: "a compute node"},
		{method: post, path: "/v1/nodes/{name}/cordon", kind: protocol.KindCordonNode, fixed: "on=true", doc: "it takes no new containers"},
		{method: post, path: "/v1/nodes/{name}/uncordon", kind: protocol.KindCordonNode, fixed: "on=false", doc: "it takes containers again"},

		{method: get, path: "/v1/queues", kind: protocol.KindListQueues, query: "after limit", doc: "the queues, parents before their children, and the shapes of containers"},
		{method: put, path: "/v1/queues", kind: protocol.KindApplyQueues, query: "dry_run", doc: "replace the tree of queues and the shapes, as a whole; with `dry_run` say what would change"},
		{method: get, path: "/v1/queues/{name}", kind: protocol.KindListQueues, thing: "queue", one: true, doc: "a queue"},
		{method: post, path: "/v1/queues/{name}/drain", kind: protocol.KindDrainQueue, fixed: "undo=false", doc: "it takes no new sessions"},
		{method: post, path: "/v1/queues/{name}/undrain", kind: protocol.KindDrainQueue, fixed: "undo=true", doc: "it takes sessions again"},

		{method: get, path: "/v1/dead-letters", kind: protocol.KindListDead, query: "after limit service version environment session", doc: "the tasks that were given up"},
		{method: del, path: "/v1/dead-letters", kind: protocol.KindDropDead, query: "ids service all", doc: "drop those that are named: by `ids`, with commas, by `service`, or `all`"},
		{method: get, path: "/v1/dead-letters/{id}", kind: protocol.KindGetDead, query: "offset", doc: "one of them, with a part of its payload from `offset` on"},
	}
}

// Command is one line of the API for its documentation.
type Command struct {
	Method, Path string
	Query        []string // what the query may say; x=y: y where it is left out
	Request      string   // name of the kind
	Doc          string
}

// Commands gives the API under /v1 in the order of its documentation.
func Commands() []Command {
	var all []Command
	for _, r := range routes() {
		all = append(all, Command{Method: r.method, Path: r.path, Query: fields(r.query), Request: r.kind.String(), Doc: r.doc})
	}
	return all
}
