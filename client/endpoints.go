package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// brokerVariable names the environment variable that says where the broker is, to programs and to the command weft.
const brokerVariable = "WEFT_BROKER"

// endpointsOr gives the endpoints to dial: those given, else those of the environment, else where a broker listens that
// was not told otherwise.
func endpointsOr(given string) string {
	return cmp.Or(given, os.Getenv(brokerVariable), fmt.Sprintf("tcp://127.0.0.1:%d", protocol.BasePort))
}

// lookPatience bounds the look at an endpoint that does not answer.
const lookPatience = 300 * time.Millisecond

// whyNoAnswer says, as far as can be seen from here, why no broker answers at any of the endpoints.
func whyNoAnswer(endpoints []string) string {
	ctx, stop := context.WithTimeout(context.Background(), lookPatience)
	defer stop()
	var all []string
	for _, e := range endpoints {
		if why := whySilent(ctx, e); why != "" && !strings.Contains(strings.Join(all, "; "), why) {
			all = append(all, why)
		}
	}
	return strings.Join(all, "; ")
}

// whySilent says why nobody answers at one endpoint, "" when it is not known.
func whySilent(ctx context.Context, endpoint string) string {
	scheme, address, _ := strings.Cut(endpoint, "://")
	if scheme == "inproc" {
		return ""
	}
	network := map[string]string{"tcp": "tcp", "ipc": "unix"}[scheme]
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		_ = conn.Close() // nothing was said on it
		return "something listens at " + address + ", but answers as no broker does"
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the host %q is not known", unknown.Name)
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && !failed.Timeout() {
		return fmt.Sprintf("%s: %v", address, failed.Err)
	}
	return address + " is not reached"
}
