package client

import (
	"net"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/protocol"
)

// parseEndpoints reads a list of control endpoints, divided by commas. An endpoint without a scheme has that of the one
// before it, the first has tcp; a tcp endpoint without a port has [protocol.BasePort].
func parseEndpoints(list string) ([]string, error) {
	scheme := "tcp"
	var endpoints []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		address := part
		if s, a, ok := strings.Cut(part, "://"); ok {
			scheme, address = s, a
		}
		switch {
		case address == "":
			return nil, protocol.Errorf(protocol.CodeInvalid, "dial",
				"endpoints: %q has an empty address; an endpoint is tcp://host:7700, ipc:///path/control or inproc://name", list)
		case scheme != "tcp" && scheme != "ipc" && scheme != "inproc":
			return nil, protocol.Errorf(protocol.CodeInvalid, "dial",
				"endpoints: %q has the scheme %q; it is one of tcp, ipc, inproc", part, scheme)
		}
		if scheme == "tcp" {
			host, port, err := splitPort(address)
			if err != nil {
				return nil, err
			}
			address = net.JoinHostPort(host, port)
		}
		endpoints = append(endpoints, scheme+"://"+address)
	}
	return endpoints, nil
}

func splitPort(address string) (host, port string, err error) {
	host, port, e := net.SplitHostPort(address)
	if e != nil { // no port
		host, port = strings.Trim(address, "[]"), strconv.Itoa(protocol.BasePort)
	}
	n, e := strconv.Atoi(port)
	if host == "" || e != nil || n < 1 || n > 65535 {
		return "", "", protocol.Errorf(protocol.CodeInvalid, "dial",
			"endpoints: %q is not host:port with a port from 1 to 65535", address)
	}
	return host, port, nil
}
