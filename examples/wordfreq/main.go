// Command wordfreq is a first weft program: it counts the words of a source tree. It is both sides of it: the service,
// of which an agent starts as many instances as there is room for, and the client, which sends them texts.
//
//	wordfreq serve             an instance of the service; an agent starts it
//	wordfreq count [FOLDER]    the client
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// serviceName is the name in service.yaml.
const serviceName = "wordfreq"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wordfreq:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx)
	}
	if len(args) == 0 || args[0] != "count" {
		return fmt.Errorf("want %q or %q; see examples/wordfreq/README.md", "serve", "count [FOLDER]")
	}
	flags := flag.NewFlagSet("wordfreq count", flag.ContinueOnError)
	broker := flags.String("broker", endpoint(), "control endpoints of the broker")
	instances := flags.Int("instances", 0, "instances of the service to ask for; 0: as service.yaml says")
	verify := flags.Bool("verify", false, "count again without the fabric, and compare")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	folder := flags.Arg(0)
	if folder == "" {
		var err error
		if folder, err = goSource(ctx); err != nil {
			return err
		}
	}
	return count(ctx, *broker, folder, *instances, *verify)
}

// endpoint is the broker's, as the environment variable says, or where a broker listens on this machine by default.
func endpoint() string {
	if broker := os.Getenv("WEFT_BROKER"); broker != "" {
		return broker
	}
	return "tcp://127.0.0.1:7700"
}

// goSource is the source of the Go distribution: a tree of texts that every Go programmer has.
func goSource(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the source of Go (or name another folder): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
}
