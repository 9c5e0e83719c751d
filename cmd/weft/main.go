// Command weft is the whole fabric in one binary: its daemons (broker, agent), both at once for trying it out (dev), and
// the tools that ask and tell a broker.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/weft-fabric/weft/internal/zmqx"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], newApp())
	stop()
	if err := zmqx.Terminate(); err != nil && code == exitOK {
		fmt.Fprintln(os.Stderr, "weft:", err)
		code = exitFailure
	}
	os.Exit(code)
}
