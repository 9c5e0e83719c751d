package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/client"
)

// Parameters are a session's: what a service in Python reads as a dataclass is a struct here, with the same names.
type Parameters struct {
	Frequent []string `msgpack:"frequent"` // most frequent first
	Limit    int      `msgpack:"limit"`    // how far a near word may be
}

// Match is a rare word, the frequent one that is nearest, and how far that is.
type Match struct {
	Word     string `msgpack:"word"`
	Near     string `msgpack:"near"`
	Distance int    `msgpack:"distance"`
}

// Answer is what the service finds for the words of one task.
type Answer struct {
	Instance string  `msgpack:"instance"`
	Matches  []Match `msgpack:"matches"`
}

// wordsPerTask is how many rare words one task has: it should take some milliseconds.
const wordsPerTask = 20

// job is what the command line asks for.
type job struct {
	broker                         string
	instances, words, often, limit int
	verify                         bool
}

// run looks for words that are probably misspelt below a folder, and prints them.
func (j *job) run(ctx context.Context, folder string) (err error) {
	texts, err := readWords(folder)
	if err != nil {
		return err
	}
	frequent, rare := texts.divide(j.often, j.words)

	// 1. Connect, and open a session with the service. Its parameters are for all tasks.
	c, err := client.Dial(ctx, j.broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	parameters, err := msgpack.Marshal(Parameters{Frequent: frequent, Limit: j.limit})
	if err != nil {
		return err
	}
	s, err := c.OpenSession(ctx, serviceName, client.WithInstances(j.instances, j.instances), client.WithParameters(parameters), client.OnWaiting(3*time.Second, waiting))
	if err != nil {
		return err
	}

	// 2. Send the rare words, some at a time. The method's types are those of the function in Python.
	begin := time.Now()
	var found []Match
	tasks := map[string]int{}
	method := client.Method[[]string, Answer]{}
	for answer, err := range method.Map(ctx, s, slices.Chunk(rare, wordsPerTask)) {
		if err != nil {
			return fmt.Errorf("look for typos: %w", err)
		}
		found = append(found, answer.Matches...)
		tasks[answer.Instance]++
	}
	elapsed := time.Since(begin)

	// 3. Close the session in order, and tell.
	if err := s.Close(ctx); err != nil {
		return err
	}
	fmt.Printf("%d files: %d words are frequent, %d of the rare ones were looked at\n", texts.files, len(frequent), len(rare))
	report(found, tasks, elapsed)
	if !j.verify {
		return nil
	}
	return j.compare(found, frequent, rare, elapsed)
}

func report(found []Match, tasks map[string]int, elapsed time.Duration) {
	for _, m := range found[:min(20, len(found))] {
		fmt.Printf("%24s  %s?\n", m.Word, m.Near)
	}
	all := 0
	for _, instance := range slices.Sorted(maps.Keys(tasks)) {
		fmt.Printf("instance %s: %d tasks\n", instance, tasks[instance])
		all += tasks[instance]
	}
	fmt.Printf("%d words are near a frequent one\n", len(found))
	fmt.Printf("%d tasks by %d instances in %.2f s: %.0f tasks/s\n",
		all, len(tasks), elapsed.Seconds(), float64(all)/elapsed.Seconds())
}

// compare looks for the same words in this process alone, by another algorithm.
func (j *job) compare(found []Match, frequent, rare []string, elapsed time.Duration) error {
	begin := time.Now()
	var serial []Match
	for _, word := range rare {
		if m, ok := nearest(word, frequent, j.limit); ok {
			serial = append(serial, m)
		}
	}
	alone := time.Since(begin)
	fmt.Printf("serial run, in Go: %.2f s, speed-up %.2f\n", alone.Seconds(), alone.Seconds()/elapsed.Seconds())
	if slices.Equal(found, serial) {
		fmt.Println("equal to the serial answer")
		return nil
	}
	return fmt.Errorf("the service found %d words, the serial run %d, and they are not equal", len(found), len(serial))
}

// waiting says why there are no results yet.
func waiting(reason string) { fmt.Fprintln(os.Stderr, "waiting:", reason) }
