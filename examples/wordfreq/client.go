package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/progress"
)

// count counts the words of all texts below a folder in the fabric, and prints the most frequent.
func count(ctx context.Context, broker, folder string, instances int, verify bool) (err error) {
	// 1. Connect, and open a session with the service.
	c, err := client.Dial(ctx, broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := c.OpenSession(ctx, serviceName, client.WithInstances(instances, instances), client.OnWaiting(3*time.Second, waiting))
	if err != nil {
		return err
	}

	// 2. Send the texts and merge the counts. Map keeps as many tasks under way as the session may have, and reads
	// the next files while instances count.
	begin := time.Now()
	texts := tree{root: folder}
	total, tasks := Counts{}, map[string]int{}
	bar := progress.New(os.Stderr, "tasks", 1)
	method := client.Method[Texts, Counted]{}
	for counted, err := range method.Map(ctx, s, texts.batches()) {
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		total.Merge(counted.Words)
		tasks[counted.Instance]++
		bar.Total(texts.tasks + 1) // as far as is known
		bar.Add(1)
	}
	bar.Finish()
	if texts.err != nil {
		return texts.err
	}
	elapsed := time.Since(begin)

	// 3. Close the session in order, and tell.
	if err := s.Close(ctx); err != nil {
		return err
	}
	report(total, tasks, texts, elapsed)
	if !verify {
		return nil
	}
	return compare(total, folder, elapsed)
}

func report(total Counts, tasks map[string]int, texts tree, elapsed time.Duration) {
	for _, w := range total.Top(20) {
		fmt.Printf("%9d  %s\n", w.N, w.Word)
	}
	all := 0
	for _, instance := range slices.Sorted(maps.Keys(tasks)) {
		fmt.Printf("instance %s: %d tasks\n", instance, tasks[instance])
		all += tasks[instance]
	}
	fmt.Printf("%d different words in %d files, %.1f MB\n", len(total), texts.files, float64(texts.bytes)/1e6)
	fmt.Printf("%d tasks by %d instances in %.2f s: %.0f tasks/s\n",
		all, len(tasks), elapsed.Seconds(), float64(all)/elapsed.Seconds())
}

// compare counts the same texts in this process alone.
func compare(total Counts, folder string, elapsed time.Duration) error {
	begin := time.Now()
	texts := tree{root: folder}
	serial := Counts{}
	for batch := range texts.batches() {
		words := Counts{}
		for _, text := range batch {
			words.Count(text)
		}
		serial.Merge(words)
	}
	if texts.err != nil {
		return texts.err
	}
	alone := time.Since(begin)
	fmt.Printf("serial run: %.2f s, speed-up %.2f\n", alone.Seconds(), alone.Seconds()/elapsed.Seconds())
	differ := total.Differences(serial)
	if len(differ) == 0 {
		fmt.Println("equal to the serial answer")
		return nil
	}
	for _, word := range differ[:min(5, len(differ))] {
		fmt.Printf("%q: the fabric counted %d, the serial run %d\n", word, total[word], serial[word])
	}
	return fmt.Errorf("%d words differ from the serial answer", len(differ))
}

// waiting says why there are no results yet.
func waiting(reason string) { fmt.Fprintln(os.Stderr, "waiting:", reason) }
