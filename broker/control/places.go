package control

import (
	"path"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/protocol"
)

// Places says where the manager loops of this broker are reached. What is left empty is not listened on.
type Places struct {
	Advertise string // tcp host that peers are to dial; empty: the one that they dialled
	Ports     []int  // tcp port of each loop
	Dir       string // folder of the ipc endpoints: control and loop-<i>
	HostID    string // as in Hello.Host: who has the same can meet over ipc
}

// Endpoint is where the sender of a HELLO reaches a loop, in kind with how it dialled: tcp by the host that was
// dialled, or the advertised one, and the loop's port; ipc by the same folder; inproc by the same name; ipc instead
// of tcp when both are on one host and the sender does not keep its scheme. An error is a *protocol.Error with
// CodeInvalid that names the endpoint.
func (p Places) Endpoint(hello protocol.Hello, loop int) (string, error) {
	scheme, rest, ok := strings.Cut(hello.Endpoint, "://")
	if !ok {
		scheme, rest = "tcp", hello.Endpoint
	}
	name := "loop-" + strconv.Itoa(loop)
	switch {
	case rest == "":
		return "", protocol.Errorf(protocol.CodeInvalid, "endpoint", "%q names nothing; it is the endpoint that was dialled", hello.Endpoint)
	case scheme == "ipc":
		return "ipc://" + path.Join(path.Dir(rest), name), nil
	case scheme == "inproc":
		return "inproc://" + rest + "/" + name, nil
	case scheme != "tcp":
		return "", protocol.Errorf(protocol.CodeInvalid, "endpoint", "%q is none of tcp://host:port, ipc:///path and inproc://name", hello.Endpoint)
	case p.Dir != "" && p.HostID != "" && p.HostID == hello.Host && !hello.KeepsScheme:
		return "ipc://" + path.Join(p.Dir, name), nil
	case loop >= len(p.Ports):
		return "", protocol.Errorf(protocol.CodeInvalid, "endpoint", "%q was dialled, but manager loop %d has no tcp port", hello.Endpoint, loop)
	}
	host := p.Advertise
	if host == "" {
		host = hostOf(rest)
	} else if strings.Contains(host, ":") && host[0] != '[' {
		host = "[" + host + "]"
	}
	return "tcp://" + host + ":" + strconv.Itoa(p.Ports[loop]), nil
}

// hostOf is what stands before the port, brackets of an IPv6 address included.
func hostOf(address string) string {
	if i := strings.LastIndexByte(address, ':'); i > strings.LastIndexByte(address, ']') {
		return address[:i]
	}
	return address
}
