package protocol

import (
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a socket file in bytes.
const maxSocketPath = 107

// ParseEndpoints reads a list of control endpoints, one for each broker, as users write it: "tcp://host:7700",
// "host:7700" or "host" (tcp, and [BasePort], are meant when they are left out), "ipc:///path/control", "inproc://name",
// several of them separated by commas. It returns them in full, in the same order. An error is a *[Error] with
// [CodeInvalid] that names the endpoint and what would be right.
func ParseEndpoints(list string) ([]string, error) {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		endpoint, err := parseEndpoint(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other == endpoint {
				return nil, badEndpoint(part, "is named twice; each broker is named once")
			}
		}
		all = append(all, endpoint)
	}
	return all, nil
}

func badEndpoint(text, format string, args ...any) *Error {
	return Errorf(CodeInvalid, "endpoint "+strconv.Quote(text), format, args...)
}

func parseEndpoint(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "tcp", text
	}
	switch {
	case rest == "" || strings.ContainsAny(rest, "\x00 \t\n"):
		return "", badEndpoint(text, "is empty or has blanks; want tcp://host:%d, ipc:///path or inproc://name", BasePort)
	case scheme == "tcp":
		return parseTCP(text, rest)
	case scheme == "ipc" && !strings.HasPrefix(rest, "/"):
		return "", badEndpoint(text, "has a relative path; want an absolute one, as in ipc:///run/weft/control")
	case scheme == "ipc" && len(rest) > maxSocketPath:
		return "", badEndpoint(text, "has a path of %d bytes; a socket's has at most %d", len(rest), maxSocketPath)
	case scheme == "ipc" || scheme == "inproc":
		return scheme + "://" + rest, nil
	}
	return "", badEndpoint(text, "has the scheme %q; want tcp, ipc or inproc", scheme)
}

// parseTCP reads host, host:port, [address] or [address]:port.
func parseTCP(text, rest string) (string, error) {
	host, port, hasPort := rest, "", false
	if at := strings.LastIndexByte(rest, ':'); at > strings.LastIndexByte(rest, ']') {
		host, port, hasPort = rest[:at], rest[at+1:], true
	}
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	switch {
	case strings.Contains(host, ":") && !bracketed:
		return "", badEndpoint(text, "has an IPv6 address without brackets; want tcp://[%s]:%d", host, BasePort)
	case host == "" || host == "[]" || strings.ContainsAny(host, "/*"):
		return "", badEndpoint(text, "names no host; want tcp://host:%d", BasePort)
	case !hasPort:
		port = strconv.Itoa(BasePort)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", badEndpoint(text, "has the port %q; want 1 to 65535", port)
	}
	return "tcp://" + host + ":" + port, nil
}
