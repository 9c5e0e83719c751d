package e2e

import (
	"testing"

	"github.com/weft-fabric/weft/internal/tcpproxy"
)

// proxyHost is where proxies listen: on the ports of the broker, so that whoever dials the control loop through one is
// referred to the manager loops through it.
const proxyHost = "127.0.0.2"

// newProxy makes a proxy for a broker with this base port.
func newProxy(t *testing.T, base, loops int) *tcpproxy.Proxy {
	t.Helper()
	p, err := tcpproxy.Start(proxyHost, "127.0.0.1", append([]int{base}, loopPorts(base, loops)...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
