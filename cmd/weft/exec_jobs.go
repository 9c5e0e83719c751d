package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// job is one command of weft exec.
type job struct {
	args  []string // the program and its arguments
	input []byte   // standard input
	label string   // the arguments that it is for
}

// template makes commands of arguments.
type template struct {
	words   []string // the command, with places where arguments go
	place   string   // what such a place looks like
	shell   bool     // the words are a line for a shell
	asInput bool     // the arguments go to the standard input instead
}

// job makes the command for some arguments.
func (t template) job(args []string) job {
	j := job{label: strings.Join(args, " ")}
	words := t.words
	switch {
	case t.asInput:
		j.input = []byte(strings.Join(args, "\n") + "\n")
		args = nil
	case !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, t.place) }):
		words = append(slices.Clone(words), t.place)
	}
	if t.shell {
		quoted := make([]string, len(args))
		for i, a := range args {
			quoted[i] = quote(a)
		}
		line := strings.Join(words, " ")
		if !t.asInput {
			line = strings.ReplaceAll(line, t.place, strings.Join(quoted, " "))
		}
		j.args = []string{"/bin/sh", "-c", line}
		return j
	}
	for _, w := range words {
		switch {
		case t.asInput:
			j.args = append(j.args, w)
		case w == t.place:
			j.args = append(j.args, args...)
		default:
			j.args = append(j.args, strings.ReplaceAll(w, t.place, strings.Join(args, " ")))
		}
	}
	return j
}

// quote makes one word of a shell's line of any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// jobs makes commands of n arguments each; the last may have fewer.
func (t template) jobs(args iter.Seq2[string, error], n int) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		var some []string
		for a, err := range args {
			if err != nil {
				yield(job{}, err)
				return
			}
			if some = append(some, a); len(some) == n {
				if !yield(t.job(some), nil) {
					return
				}
				some = nil
			}
		}
		if len(some) > 0 {
			yield(t.job(some), nil)
		}
	}
}

// given yields arguments of the command line.
func given(args []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, a := range args {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// lines yields what is read, line by line, as it comes; empty lines are left out. With zeros, arguments end with a zero
// byte, and none is left out.
func lines(in io.Reader, zeros bool) iter.Seq2[string, error] {
	end := byte('\n')
	if zeros {
		end = 0
	}
	return func(yield func(string, error) bool) {
		r := bufio.NewReader(in)
		for {
			b, err := r.ReadBytes(end)
			if err != nil && !errors.Is(err, io.EOF) {
				yield("", fmt.Errorf("read arguments: %w", err))
				return
			}
			a, ended := bytes.CutSuffix(b, []byte{end})
			if !zeros {
				a = bytes.TrimSuffix(a, []byte{'\r'})
			}
			if len(a) > 0 || zeros && ended {
				if !yield(string(a), nil) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}
