package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// watching shows again and again what do writes: in the same place on a terminal, one after the other elsewhere. The end
// of ctx ends it in order.
func (a *app) watching(ctx context.Context, c operator, do func(context.Context, operator) error) error {
	out := a.out
	defer func() { a.out = out }()
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	for first := true; ; first = false {
		var text bytes.Buffer
		a.out = &text
		err := asking(ctx, c, do)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.redraw(out, text.Bytes(), first); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// redraw writes one look of --watch.
func (a *app) redraw(out io.Writer, text []byte, first bool) error {
	head := ""
	table := a.form != formJSON && a.form != formYAML && a.form != formName
	switch {
	case isTerminal(out):
		head = fmt.Sprintf("%severy %v, at %s; Ctrl-C ends it\n\n", clearScreen, a.interval, a.now().Format(time.TimeOnly))
	case a.form == formYAML && !first:
		head = "---\n"
	case table && !first:
		head = "\n"
	}
	_, err := out.Write(append([]byte(head), text...))
	return err
}
