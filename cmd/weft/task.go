package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newTask(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "task",
		Short: "See single tasks, cancel them, and run those again that were given up",
		Long: "A task is named by its session's number and its place in the session, from 1, as SESSION/TASK: 7/12 is the\n" +
			"twelfth task of session 7. Services know it by the same name (TaskContext.Key).\n\n" +
			"Tasks that were given up after their attempts are in the broker's dead-letter list, each under a number of its own:\n" +
			"weft task list --dead shows them, weft task retry runs them again, weft task drop takes them off the list.",
	})
	a.brokerFlag(cmd)
	cmd.AddCommand(newTaskList(a), newTaskGet(a), newTaskCancel(a), newTaskRetry(a), newTaskDrop(a))
	return cmd
}

// taskName is the name of a task, as users type it.
type taskName struct {
	session  protocol.SessionNumber
	sequence uint64
}

func (n taskName) String() string { return fmt.Sprintf("%d/%d", n.session, n.sequence) }

// parseTask reads the name of a task.
func parseTask(s string) (taskName, error) {
	session, sequence, ok := strings.Cut(s, "/")
	number, err := strconv.ParseUint(session, 10, 32)
	n, err2 := strconv.ParseUint(sequence, 10, 64)
	if !ok || err != nil || err2 != nil || number == 0 || n == 0 {
		return taskName{}, badInput("%q does not name a task: it is SESSION/TASK, such as 7/12 (see: weft task list SESSION)", s)
	}
	return taskName{protocol.SessionNumber(number), n}, nil
}

func newTaskList(a *app) *cobra.Command {
	var dead bool
	var filter client.Filter
	cmd := &cobra.Command{
		Use:   "list SESSION | --dead [SESSION]",
		Short: "List the unfinished tasks of a session, or the tasks that were given up",
		Long: "List the unfinished tasks of a session. With --dead list the tasks that were given up after their attempts, of all\n" +
			"sessions or of one, the oldest first.\n\n" +
			"ATTEMPTS counts executions that failed or ended their instance, LOSSES instances that were lost under the task\n" +
			"otherwise; the first execution under way has 0 of both.",
		Args: func(cmd *cobra.Command, args []string) error {
			if dead && len(args) == 0 {
				return nil
			}
			return takes("SESSION")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if dead {
				return listDead(cmd.Context(), a, filter, args)
			}
			if filter.Service != "" || filter.Environment != "" {
				return badInput("--service, --environment: only with --dead; the tasks of one session are of one service")
			}
			number, err := sessionNumber(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				tasks, err := collect(c.Tasks(ctx, number))
				if err != nil {
					return err
				}
				return showList(a, "unfinished tasks", tasks, taskColumns(a.now()), taskDetails(a.now())...)
			})
		},
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "those that were given up after their attempts")
	cmd.Flags().StringVar(&filter.Service, "service", "", "with --dead: only those of this service")
	cmd.Flags().StringVar(&filter.Environment, "environment", "", "with --dead: only those of this environment")
	a.formFlag(cmd)
	return cmd
}

func newTaskGet(a *app) *cobra.Command {
	var dead bool
	var file string
	cmd := &cobra.Command{
		Use:   "get SESSION/TASK | --dead ID",
		Short: "Show one task in full",
		Long: "Show one task in full: one that is unfinished, or, with --dead and its number, one that was given up after its\n" +
			"attempts, whose payload --payload saves.",
		Args: takes("SESSION/TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dead {
				return getDead(cmd.Context(), a, args[0], file)
			}
			if file != "" {
				return badInput("--payload: only the payloads of tasks in the dead-letter list can be had (--dead)")
			}
			name, err := parseTask(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				t, err := c.Task(ctx, name.session, name.sequence)
				if err != nil {
					return err
				}
				return printOne(a.out, a.form, name.String(), t, describeTask(t, a.now()))
			})
		},
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "one that was given up after its attempts, by its number")
	cmd.Flags().StringVar(&file, "payload", "", "with --dead: save the payload in this file, and show nothing; - is the standard output")
	a.formFlag(cmd)
	return cmd
}

func newTaskCancel(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "cancel SESSION/TASK...",
		Short: "Cancel tasks",
		Long: "Cancel tasks. One that was not begun never is. Of one that runs the context of its hook ends; when the hook does not return\n" +
			"within the service's grace (limits.grace), its instance is killed, whose other tasks are run again. All tasks of a\n" +
			"session: weft session cancel. Tasks that are over already are left as they are.",
		Args: takesSome("SESSION/TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			names := make([]taskName, len(args))
			for i, arg := range args {
				var err error
				if names[i], err = parseTask(arg); err != nil {
					return err
				}
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				for _, name := range names {
					if err := c.CancelTask(ctx, name.session, name.sequence, reason); err != nil {
						return err
					}
					t, err := c.Task(ctx, name.session, name.sequence)
					if err != nil && protocol.CodeOf(err) != protocol.CodeSessionClosed {
						return err
					}
					if _, err := fmt.Fprintf(a.out, "task %v: %s\n", name, cancelState(t)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the task's client and the session's events")
	return cmd
}

// cancelState says how far the cancel of a task has come.
func cancelState(t protocol.TaskInfo) string {
	if t.State == protocol.TaskStopping {
		return "is asked to stop on " + t.Container
	}
	return "is over"
}

// taskState is the state of a task, with the stage of its end.
func taskState(t protocol.TaskInfo) string {
	if t.Stage != "" {
		return t.State + ", " + t.Stage
	}
	return t.State
}

// since says how long ago something was, or how long it is until then; "" where that is not known.
func since(at, now time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case at.After(now):
		return "in " + humanDuration(at.Sub(now))
	default:
		return humanDuration(now.Sub(at)) + " ago"
	}
}

// taskColumns is the table of tasks.
func taskColumns(now time.Time) []column[protocol.TaskInfo] {
	type info = protocol.TaskInfo
	return []column[info]{
		{"TASK", true, func(t info) string { return taskName{t.Session, t.Sequence}.String() }},
		{"STATE", false, taskState},
		{"SINCE", true, func(t info) string { return since(t.Since, now) }},
		{"SIZE", true, func(t info) string { return humanBytes(t.Size) }},
		{"ATTEMPTS", true, func(t info) string { return humanCount(t.Attempts) }},
		{"CONTAINER", false, func(t info) string { return t.Container }},
		{"NODE", false, func(t info) string { return t.Node }},
		{"PROGRESS", false, func(t info) string { return progressOf(t.Progress) }},
		{"ERROR", false, func(t info) string { return errorLine(t.Error) }},
	}
}

// taskDetails are the further columns of the wide table of tasks.
func taskDetails(now time.Time) []column[protocol.TaskInfo] {
	type info = protocol.TaskInfo
	return []column[info]{
		{"PRIORITY", true, func(t info) string { return strconv.Itoa(t.Priority) }},
		{"LOSSES", true, func(t info) string { return humanCount(t.Losses) }},
		{"DEADLINE", true, func(t info) string { return since(t.Deadline, now) }},
		{"NEXT", true, func(t info) string { return since(t.Next, now) }},
	}
}

// describeTask is one task in full.
func describeTask(t protocol.TaskInfo, now time.Time) []pair {
	at, run, priority := t.Container, "", ""
	if t.Node != "" {
		at += " on node " + t.Node
	}
	if t.Run > 0 {
		run = humanDuration(t.Run)
	}
	if t.Priority != 0 {
		priority = strconv.Itoa(t.Priority)
	}
	why := ""
	if t.Error != nil {
		why = t.Error.Error()
	}
	pairs := []pair{
		{"task", taskName{t.Session, t.Sequence}.String()},
		{"state", taskState(t)},
	}
	if t.State == protocol.TaskOver {
		return pairs
	}
	return append(pairs, []pair{
		{"since", since(t.Since, now)},
		{"instance", at},
		{"size", humanBytes(t.Size)},
		{"priority", priority},
		{"attempts", fmt.Sprintf("%d that failed, %s", t.Attempts, plural(t.Losses, "lost instance"))},
		{"deadline", since(t.Deadline, now)},
		{"may execute", run},
		{"next attempt", since(t.Next, now)},
		{"progress", progressOf(t.Progress)},
		{"error", why},
	}...)
}

func progressOf(p *protocol.Progress) string {
	if p == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f %% %s", p.Percent, firstLine(p.Text)))
}

func errorLine(e *protocol.Error) string {
	if e == nil {
		return ""
	}
	return firstLine(e.Error())
}

// tasks gives the unfinished tasks of all sessions, as words to complete.
func tasks(ctx context.Context, c operator) ([]cobra.Completion, error) {
	sessions, err := collect(c.Sessions(ctx, client.Filter{}))
	if err != nil {
		return nil, err
	}
	var all []cobra.Completion
	for _, s := range sessions {
		n := 0
		for t, err := range c.Tasks(ctx, s.Session) {
			if n++; err != nil || n > mostTasks {
				break
			}
			all = append(all, cobra.CompletionWithDesc(taskName{t.Session, t.Sequence}.String(), taskState(t)))
		}
	}
	return all, nil
}

// mostTasks is how many tasks of each session are offered for completion.
const mostTasks = 50
