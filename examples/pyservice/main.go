// Command pyservice is a client in Go of a service in Python: it looks for words that are probably misspelt in the texts
// of a folder. The client counts the words; the service, typos.py, finds for each rare one the frequent one that is
// nearest.
//
//	pyservice [FOLDER]
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
const serviceName = "typos"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pyservice:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var job job
	flags := flag.NewFlagSet("pyservice", flag.ContinueOnError)
	flags.StringVar(&job.broker, "broker", endpoint(), "control endpoints of the broker")
	flags.IntVar(&job.instances, "instances", 0, "instances of the service to ask for; 0: as service.yaml says")
	flags.IntVar(&job.words, "words", 4000, "rare words to look at; they are picked evenly")
	flags.IntVar(&job.often, "often", 20, "how often a word that is spelt right is there at least")
	flags.IntVar(&job.limit, "limit", 1, "how many letters of a misspelt word are wrong at most")
	flags.BoolVar(&job.verify, "verify", false, "look again without the fabric, and compare")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder := flags.Arg(0)
	if folder == "" {
		var err error
		if folder, err = goSource(ctx); err != nil {
			return err
		}
	}
	return job.run(ctx, folder)
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
