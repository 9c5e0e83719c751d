package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
)

// execRun is weft exec with its flags.
type execRun struct {
	*app
	template                   template
	file, dir, halt            string
	zeros, unordered, tag, dry bool
	each, most, retries        int
	limit                      string
	env                        []string
	places                     placeFlags
}

func newExec(a *app) *cobra.Command {
	f := execRun{app: a}
	cmd := &cobra.Command{
		Use:   "exec [FLAGS] COMMAND [WORD...] [::: ARGUMENT...]",
		Short: "Run a command on the cluster, once for each argument",
		Long: `Run a command on the cluster, once for each argument, as many at a time as there is room for. The arguments are those
after :::, else the lines of standard input. Each takes the place of {} in the command, or is put at its end.

  weft exec gzip -k {} ::: *.log
  find . -name '*.png' | weft exec convert {} -resize 50% small/{}
  weft exec --shell 'sort {} | uniq -c > {}.count' ::: *.txt
  seq 100000 | weft exec --tag -j 16 ./simulate --seed

A command runs on some node, in the folder of the same path as this one (--dir): folders that all nodes share are the
usual way to hand files over. It has the environment of the agent, and what --env adds. Its standard input is empty. Its
output comes back whole, in the order of the arguments, when it has ended. What it leaves running is killed.

Each command is run at most once: when a node is lost it is not known whether a command on it has run, and that is what
it is reported as. --retry runs such a command again, for commands that may run twice. (When the broker itself is lost,
what was under way may run again in any case.)

A command that fails is named on standard error with its exit code: the first ten of them, and how many more there were.

Ctrl-C kills all that runs, and prints what has ended; a second one does not wait for that. The exit code is that of the
worst command, and else:

  125  it is not known whether or how a command ran, or its output was cut
  126  a command could not be executed        127  a command was not found
  128  and the number of the signal that killed a command
  130  interrupted by Ctrl-C
  2, 4 and so on, before anything was run: see weft help exit-codes`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == ":::" {
				return badInput("%s: COMMAND is missing (see: %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.exec(cmd.Context(), args) },
	}
	a.brokerFlag(cmd)
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVarP(&f.file, "arg-file", "a", "", "read the arguments from this file instead")
	flags.BoolVarP(&f.zeros, "null", "0", false, "arguments that are read end with a zero byte, not with the line (find -print0)")
	flags.IntVarP(&f.each, "max-args", "n", 1, "arguments for each command")
	flags.StringVarP(&f.template.place, "replace", "I", "{}", "what arguments take the place of")
	flags.BoolVar(&f.template.shell, "shell", false, "COMMAND is a line for /bin/sh; arguments are quoted")
	flags.BoolVar(&f.template.asInput, "stdin", false, "hand the arguments over on standard input, each in a line")
	flags.IntVarP(&f.most, "jobs", "j", 0, "most commands at a time (default what there is room for)")
	flags.StringVar(&f.dir, "dir", "", "working folder, on the nodes (default this one)")
	flags.StringArrayVar(&f.env, "env", nil, "an environment variable to hand over: NAME, or NAME=VALUE; may be given again")
	flags.BoolVar(&f.unordered, "unordered", false, "print what a command wrote as soon as it has ended")
	flags.BoolVar(&f.tag, "tag", false, "begin each line of output with the argument and a tab")
	flags.StringVar(&f.halt, "halt", haltNever, "what a command that fails does to the others: never; soon: no more are begun; now: they are killed")
	flags.IntVar(&f.retries, "retry", 0, "times to run a command again under which a node was lost")
	flags.StringVar(&f.limit, "output-limit", "15MiB", "most output of one command; the rest is cut, which counts as a failure")
	f.places.add(cmd)
	flags.BoolVar(&f.dry, "dry-run", false, "print the commands, and run none")
	return cmd
}

// check names the first flag that cannot be.
func (f *execRun) check() error {
	switch {
	case f.each < 1:
		return badInput("--max-args: %d is less than 1", f.each)
	case f.most < 0:
		return badInput("--jobs: %d is negative", f.most)
	case f.retries < 0:
		return badInput("--retry: %d is negative", f.retries)
	case f.template.place == "":
		return badInput("--replace: is empty")
	case !slices.Contains([]string{haltNever, haltSoon, haltNow}, f.halt):
		return badInput("--halt: %q is not one of never, soon, now", f.halt)
	case strings.ContainsRune(f.dir, 0):
		return badInput("--dir: has a zero byte")
	}
	return f.places.check()
}

// setting is what all commands have in common.
func (f *execRun) setting(lookup func(string) string) (s builtin.Setting, err error) {
	limit, err := parseBytes(f.limit)
	if err != nil {
		return s, badInput("--output-limit: %w", err)
	}
	if limit < 0 || limit > 1<<30 {
		return s, badInput("--output-limit: %q is not within 0 to 1GiB", f.limit)
	}
	s.Limit, s.Dir = int(limit), f.dir
	here, err := os.Getwd()
	if err != nil {
		return s, fmt.Errorf("this folder: %w; --dir names another", err)
	}
	if s.Dir == "" {
		s.Dir = here
	} else if !strings.HasPrefix(s.Dir, "/") {
		s.Dir = here + "/" + s.Dir
	}
	for _, v := range f.env {
		name, _, has := strings.Cut(v, "=")
		if name == "" {
			return s, badInput("--env: %q is neither NAME nor NAME=VALUE", v)
		}
		if !has {
			v = name + "=" + lookup(name)
		}
		s.Env = append(s.Env, v)
	}
	return s, nil
}

// exec runs the commands, and sets the exit code to that of the worst.
func (f *execRun) exec(ctx context.Context, args []string) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	s, err := f.setting(f.getenv)
	if err != nil {
		return err
	}
	jobs, count, done, err := f.jobs(args)
	if err != nil {
		return err
	}
	defer done()
	if f.dry {
		return f.plan(jobs)
	}
	c, err := f.connect(ctx, builtin.Exec)
	if err != nil {
		return err
	}
	defer func() { err = interrupted(ctx, errors.Join(err, c.Close())) }()
	if err := c.noNodes(); err != nil {
		return err
	}
	if err := c.ensure(ctx, f.places.spec.Queue); err != nil {
		return err
	}
	parameters, err := s.Parameters()
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	session, err := c.open(ctx, append(f.places.options(), client.WithParameters(parameters), client.WithSessionName(firstWords(f.template.words)),
		client.WithInstances(c.instances(f.most, count)), client.WithWindow(f.most, 0))...)
	if err != nil {
		return err
	}
	return f.runAll(ctx, c, session, jobs, count)
}

// runAll runs the jobs in a session, and ends it.
func (f *execRun) runAll(ctx context.Context, c *fabric, session *client.Session, jobs iter.Seq2[job, error], count int) error {
	signal.Ignore(syscall.SIGPIPE) // who does not want the output any more is an error that ends the session
	r := newRunner(session, f.out, f.errOut)
	r.unordered, r.tag, r.retries, r.halt = f.unordered, f.tag, f.retries, f.halt
	r.said.hint = f.template.shellHint()
	unwatch := c.watchStart(ctx, session, r.first, func(reason string) {
		fmt.Fprintln(f.errOut, "weft exec: waiting:", reason) //nolint:errcheck // there is nobody else to tell
	})
	err := r.run(ctx, jobs, func() error {
		if err := c.kill(session); err != nil {
			return errors.Join(err, c.Close()) // which ends the tasks here
		}
		return nil
	})
	unwatch()
	if ctx.Err() == nil && err == nil && !r.halted {
		err = c.finish(session)
	} else {
		err = errors.Join(err, c.kill(session))
	}
	if r.failed > 0 {
		fmt.Fprintf(f.errOut, "weft exec: %s of %s commands failed, the worst with code %d\n", //nolint:errcheck // as above
			humanCount(r.failed), humanCount(r.printed), r.worst)
	}
	if left := r.brokenOff(count); r.halted && ctx.Err() == nil && err == nil && left != "" {
		fmt.Fprintf(f.errOut, "weft exec: halted (--halt %s): of the commands %s\n", f.halt, left) //nolint:errcheck // as above
	}
	if err != nil && r.worst > 0 { // the code is that of the commands
		fmt.Fprintln(f.errOut, "weft exec:", err) //nolint:errcheck // as above
		err = nil
	}
	f.status = r.worst
	if ctx.Err() != nil {
		f.status = exitInterrupted
		fmt.Fprintf(f.errOut, "weft exec: interrupted; %s of %s commands had ended\n", //nolint:errcheck // as above
			humanCount(r.printed-r.cut), humanCount(r.sent))
	}
	return err
}

// jobs gives the commands to run, how many arguments there are (0: not known), and what to call when they are read.
func (f *execRun) jobs(args []string) (jobs iter.Seq2[job, error], count int, done func(), err error) {
	done = func() {}
	words, rest := args, []string(nil)
	at := slices.Index(args, ":::")
	if at >= 0 {
		words, rest = args[:at], args[at+1:]
	}
	f.template.words = words
	var source iter.Seq2[string, error]
	switch {
	case at >= 0 && f.file != "":
		return nil, 0, done, badInput("--arg-file %s and arguments after \":::\": one of them is too much", f.file)
	case at >= 0:
		source, count = given(rest), len(rest)
	case f.file != "" && f.file != "-":
		file, err := os.Open(f.file)
		if err != nil {
			return nil, 0, done, badInput("--arg-file: %w", err)
		}
		done = func() { file.Close() } //nolint:errcheck,gosec // it was only read
		source = lines(file, f.zeros)
	default:
		if isTerminal(f.in) {
			fmt.Fprintln(f.errOut, "weft exec: type the arguments, one in a line; Ctrl-D ends them") //nolint:errcheck // a hint
		}
		source = lines(f.in, f.zeros)
	}
	return f.template.jobs(source, f.each), (count + f.each - 1) / f.each, done, nil
}

// plan prints the commands as a shell would take them.
func (f *execRun) plan(jobs iter.Seq2[job, error]) (err error) {
	w := bufio.NewWriter(f.out)
	defer func() { err = errors.Join(err, w.Flush()) }()
	for j, err := range jobs {
		if err != nil {
			return err
		}
		words := make([]string, len(j.args))
		for i, word := range j.args {
			words[i] = word
			if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:+@%") != "" || word == "" {
				words[i] = quote(word)
			}
		}
		line := strings.Join(words, " ")
		if len(j.input) > 0 {
			line += " <<< " + quote(strings.TrimSuffix(string(j.input), "\n"))
		}
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// instances says how many instances to ask for: for so many commands, if that is known, and at most so many at a time.
func (c *fabric) instances(jobs, count int) (least, greatest int) {
	const cores = 1000 // millicores of one instance, as its document says
	free := 0
	for _, n := range c.alive {
		free += int(n.Free.CPU / cores)
	}
	greatest = jobs
	if greatest == 0 {
		greatest = builtin.MaxInstances
	}
	return max(1, min(count, free, greatest)), greatest
}

// firstWords gives the beginning of a command, as the name of its session.
func firstWords(words []string) string {
	const longest = 40
	return abbreviated(strings.Join(words, " "), longest)
}
