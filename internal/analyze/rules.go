package analyze

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/human"
)

func percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

func bytes(v float64) string { return human.Bytes(int64(v)) }

// times writes how often one duration goes into another.
func times(a, b time.Duration) string { return fmt.Sprintf("%.1f", share(a, b)) }

// waits writes how many tasks wait.
func waits(n int) string {
	if n == 1 {
		return "1 task waits"
	}
	return human.Plural(n, "task") + " wait"
}

// unready is what there is to say before there is anything to judge.
func (f *figures) unready() (Finding, bool) {
	if f.finished >= leastTasks || f.finished > 0 && f.Active >= leastActive || f.waitsInVain() {
		return Finding{}, false
	}
	found := Finding{
		Bottleneck: TooLittle,
		Summary:    fmt.Sprintf("%s finished so far: that says nothing yet.", human.Plural(f.finished, "task")),
		Evidence: []string{fmt.Sprintf("%s, %s in flight; %s at work for the session",
			waits(f.Waiting), human.Count(f.Flying), human.Plural(f.Instances, "instance"))},
		Advice: []string{"Ask again when more tasks were finished."},
	}
	if f.Flying > 0 && f.Active >= leastActive {
		found.Summary = fmt.Sprintf("No task was finished in %s; %s in flight.", human.Duration(f.Active), human.Plural(f.Flying, "task"))
	}
	return found, true
}

// waitsInVain says that tasks have been waiting without anything being finished, since there was no instance.
func (f *figures) waitsInVain() bool {
	return f.Starved >= leastActive && f.there < 0.5 && f.starved >= 0.5
}

// retries finds work that is done again.
func (f *figures) retries() (Finding, bool) {
	again := ratio(float64(f.Retried), float64(f.attempts))
	delayed := share(f.Delayed, f.Delayed+time.Duration(f.finished)*(f.queued+f.flight+f.back))
	if f.Retried < fewRepeats || again < repeatShare && delayed < 0.5 {
		return Finding{}, false
	}
	found := Finding{
		Bottleneck: Retries,
		Summary: fmt.Sprintf("%s of all attempts were repeats: tasks fail, or lose their instance, and are run again.",
			percent(again)),
		Evidence: []string{
			fmt.Sprintf("%s of %s; %s failed in the end, %s into the dead-letter list",
				human.Plural(f.Retried, "repeat"), human.Plural(f.finished, "task"), human.Count(f.Failed), human.Count(f.Dead)),
			fmt.Sprintf("the repeats executed for about %s", human.Duration(time.Duration(f.Retried)*f.exec)),
		},
		Advice: []string{
			"See why they fail: weft session get shows the last failure, weft session events each of the first ones.",
			"Return worker.Permanent for what will fail again, so that it is not tried again.",
		},
	}
	if f.Delayed > 0 {
		found.Evidence = append(found.Evidence, fmt.Sprintf("tasks waited for their next attempt for %s together, %s for each repeat (retry.backoff)",
			human.Duration(f.Delayed), human.Duration(f.Delayed/time.Duration(f.Retried))))
	}
	return found, true
}

// slowClient finds a client for whose results the session waits.
func (f *figures) slowClient() (Finding, bool) {
	if f.blocked < clientShare {
		return Finding{}, false
	}
	return Finding{
		Bottleneck: SlowClient,
		Summary: fmt.Sprintf("For %s of the time the client had not taken its results, and nothing else was in the way.",
			percent(f.blocked)),
		Evidence: f.clientEvidence(),
		Advice:   clientAdvice(),
	}, true
}

func (f *figures) clientEvidence() []string {
	e := []string{
		fmt.Sprintf("%s of %s with something to do were spent waiting for the client", human.Duration(f.Blocked), human.Duration(f.Active)),
	}
	if f.Returning.N() > 0 {
		e = append(e, fmt.Sprintf("a result lies at the client for %s until it is taken; a task waits and executes for %s",
			human.Duration(f.back), human.Duration(f.queued+f.flight)))
	}
	if f.Serving > 0 {
		e = append(e, fmt.Sprintf("instances executed for %s of their time", percent(f.busy)))
	}
	return append(e, fmt.Sprintf("results come at %s/s, %s each", bytes(f.rates().BytesOut), bytes(ratio(float64(f.BytesOut), float64(f.Done)))))
}

func clientAdvice() []string {
	return []string{
		"Do less in the callback, or where results are taken; hand the work on to other goroutines, or use more than one client.",
		"Return less: smaller results, or only what has changed.",
	}
}

// lateClient finds a client that takes its results much later than they come, though nothing waits for that.
func (f *figures) lateClient() (Finding, bool) {
	if f.starved >= clientShare || f.Returning.N() < fewRepeats || f.back < 10*time.Millisecond || f.back < 2*(f.queued+f.flight) {
		return Finding{}, false
	}
	return Finding{
		Bottleneck: SlowClient,
		Summary: fmt.Sprintf("Results lie at the client for %s until they are taken, %s times as long as all that was before.",
			human.Duration(f.back), times(f.back, f.queued+f.flight)),
		Evidence: f.clientEvidence(),
		Advice:   clientAdvice(),
	}, true
}

// noInstances finds that there was nobody to work.
func (f *figures) noInstances() (Finding, bool) {
	if f.there >= 0.5 || f.starved < 0.5 {
		return Finding{}, false
	}
	return Finding{
		Bottleneck: TooFewInstances,
		Summary:    fmt.Sprintf("For %s of the time tasks waited, mostly without any instance there.", percent(f.starved)),
		Evidence: []string{
			fmt.Sprintf("%.1f instances on average, %d now, at most %d", f.there, f.Instances, f.Most),
			waits(f.Waiting) + " now",
		},
		Advice: []string{
			"See why there are none: weft session get and weft service info give the reason.",
			"Keep instances for longer when there are no sessions (limits.idle), or start with more (instances.min).",
		},
	}, true
}

// moving says that time goes into moving bytes: there are many, and the hook does little with them.
func (f *figures) moving() bool {
	if f.size < bigTask || f.queued+f.flight < 2*f.exec {
		return false
	}
	touching := time.Duration(f.size / touchSpeed * float64(time.Second))
	return f.busy < 0.5 || f.exec < touching
}

// bigPayloads finds time that goes into moving bytes.
func (f *figures) bigPayloads() (Finding, bool) {
	if !f.moving() {
		return Finding{}, false
	}
	r := f.rates()
	return Finding{
		Bottleneck: BigPayloads,
		Summary: fmt.Sprintf("A task and its result have %s; moving them takes longer than executing: %s of %s.",
			bytes(f.size), human.Duration(max(0, f.flight-f.exec)), human.Duration(f.flight)),
		Evidence: []string{
			fmt.Sprintf("payloads of %s, results of %s; %s/s go out and %s/s come back", bytes(ratio(float64(f.BytesIn), float64(f.Submitted))),
				bytes(ratio(float64(f.BytesOut), float64(f.Done))), bytes(r.BytesIn), bytes(r.BytesOut)),
			fmt.Sprintf("a task is queued for %s, at an instance for %s, and executes for %s of that (which includes copying it)",
				human.Duration(f.queued), human.Duration(f.flight), human.Duration(f.exec)),
			fmt.Sprintf("instances executed for %s of their time", percent(f.busy)),
		},
		Advice: []string{
			"Send less: a name or a range of what is to be worked on instead of the data, or the data compressed.",
			"Send what all tasks need once, as the session's parameters or data.",
			"More instances help where they are on other nodes, and the network of one is full.",
		},
	}, true
}

// tooFew finds that tasks wait because all instances work.
func (f *figures) tooFew() (Finding, bool) {
	atWork := f.busy >= 0.5 || f.starved >= 0.3 && f.exec >= tinyTask
	if f.moving() || f.wait <= f.exec || !atWork {
		return Finding{}, false
	}
	found := Finding{
		Bottleneck: TooFewInstances,
		Summary: fmt.Sprintf("Tasks wait for %s until they are executed for %s, while %s at work.",
			human.Duration(f.wait), human.Duration(f.exec), f.everyInstance()),
		Evidence: []string{
			fmt.Sprintf("tasks waited for an instance for %s of the time; %s now", percent(f.starved), waits(f.Waiting)),
			fmt.Sprintf("instances executed for %s of their time; there were %.1f on average, with %s each; there may be %d",
				percent(f.busy), f.there, human.Plural(max(1, f.Slots), "slot"), f.Most),
			f.hookEvidence(),
		},
	}
	if f.team() >= f.Most {
		found.Advice = append(found.Advice, fmt.Sprintf("Allow more than %d: instances.max of the service, or of the session.", f.Most))
	} else {
		found.Advice = append(found.Advice, fmt.Sprintf("See why there are not more: there may be %d. weft session get says what is in the way; it may be that nodes are missing.", f.Most))
	}
	found.Advice = append(found.Advice, "Let an instance execute more at once (slots), if its hook mostly waits.",
		"A faster hook helps as much: each task executes for "+human.Duration(f.exec)+".")
	return found, true
}

// team is how many instances there are, or were when it was at work.
func (f *figures) team() int { return max(f.Instances, int(f.there+0.5)) }

// everyInstance names all of them, with the verb.
func (f *figures) everyInstance() string {
	switch n := f.team(); n {
	case 0:
		return "its instances are"
	case 1:
		return "the only instance is"
	default:
		return fmt.Sprintf("all %s are", human.Plural(n, "instance"))
	}
}

func (f *figures) hookEvidence() string {
	p50, p99 := f.Executing.Quantile(0.5), f.Executing.Quantile(0.99)
	text := fmt.Sprintf("OnTaskExec takes %s on average; half of the tasks take at most %s, 99 of 100 at most %s", human.Duration(f.exec), human.Duration(p50), human.Duration(p99))
	if p99 > 8*p50 {
		text += ": few tasks take far longer than the others"
	}
	return text
}

// slowHook finds that nearly all time is spent executing.
func (f *figures) slowHook() (Finding, bool) {
	total := f.queued + max(f.flight, f.exec)
	if f.moving() || f.exec < tinyTask || f.exec < f.wait {
		return Finding{}, false
	}
	if f.back > total { // the client has it for longer
		return Finding{}, false
	}
	return Finding{
		Bottleneck: SlowHook,
		Summary: fmt.Sprintf("A task spends %s of its time in OnTaskExec: %s of %s.",
			percent(share(f.exec, total)), human.Duration(f.exec), human.Duration(total)),
		Evidence: []string{
			f.hookEvidence(),
			fmt.Sprintf("it waits for %s before, in the queue and at its instance", human.Duration(f.wait)),
			fmt.Sprintf("instances executed for %s of their time", percent(f.busy)),
		},
		Advice: []string{
			"Make the hook faster, or divide a task into several that can be executed at once.",
			fmt.Sprintf("Send more tasks at once if there are more: %.1f instances were there on average.", f.there),
		},
	}, true
}

// nothing says that nothing is in the way.
func (f *figures) nothing() Finding {
	found := Finding{
		Bottleneck: Nothing,
		Summary:    "Nothing of the service or its instances holds it up.",
		Evidence: []string{
			fmt.Sprintf("a task is queued for %s, at an instance for %s, and executes for %s of that",
				human.Duration(f.queued), human.Duration(f.flight), human.Duration(f.exec)),
			fmt.Sprintf("instances executed for %s of their time", percent(f.busy)),
		},
	}
	lived := f.At.Sub(f.Since)
	switch {
	case lived > 0 && share(f.Active, lived) < 0.5:
		found.Evidence = append(found.Evidence, fmt.Sprintf("there was something to do for %s of %s", human.Duration(f.Active), human.Duration(lived)))
		found.Advice = []string{"If it should be faster, send tasks earlier, and more of them at once: the fabric waits for them."}
	case f.starved >= 0.5 && f.exec < tinyTask:
		found.Summary = fmt.Sprintf("Nothing of the service holds it up: its tasks are so short, %s, that to bring them there takes longer.", human.Duration(f.exec))
		found.Advice = []string{"Put more work into one task."}
	}
	return found
}
