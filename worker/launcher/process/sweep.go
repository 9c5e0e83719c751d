package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/worker/launcher"
)

// sweepTime bounds one sweep.
const sweepTime = 10 * time.Second

// processID tells a process from all others since boot.
type processID struct {
	pid     int
	started uint64 // in clock ticks since boot; tells apart processes that had the same number
}

// process is what /proc says of a running process.
type process struct {
	processID
	group   int
	session int
	zombie  bool
}

// sweep kills every process that match is true of, with its process group, until none is left, and returns those it
// found. This process is never among them. The error names those that could not be killed, or did not die within
// sweepTime or before the context ended.
func sweep(ctx context.Context, match func(process) bool) ([]launcher.Leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	s := sweeper{match: match, seen: map[processID]error{}, ownGroup: unix.Getpgrp()}
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		waiting, err := s.round()
		if err != nil {
			return s.found, err
		}
		if len(waiting) == 0 {
			return s.found, s.refusals()
		}
		select {
		case <-ctx.Done():
			return s.found, fmt.Errorf("processes %v are still alive: %w", waiting, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// sweeper is the state of one sweep.
type sweeper struct {
	match    func(process) bool
	ownGroup int
	seen     map[processID]error // what was found, and why it could not be killed
	order    []processID
	found    []launcher.Leftover
}

// round kills what matches now, and returns the numbers of those found in this or an earlier round that are not gone.
func (s *sweeper) round() ([]int, error) {
	names, err := readNames("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var matching []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		if p, ok := readProcess(pid); ok && !p.zombie && s.match(p) {
			matching = append(matching, p)
			s.note(p)
		}
	}
	for _, p := range matching { // only now: killing a group would take what is still to be noted
		s.kill(p)
	}
	var waiting []int
	for _, p := range s.order {
		if s.seen[p] == nil && p.alive() {
			waiting = append(waiting, p.pid)
		}
	}
	return waiting, nil
}

// note writes down what was found, once.
func (s *sweeper) note(p process) {
	if _, known := s.seen[p.processID]; known {
		return
	}
	_, id, _ := p.marks()
	s.seen[p.processID] = nil
	s.order = append(s.order, p.processID)
	s.found = append(s.found, launcher.Leftover{ContainerID: id, PID: p.pid, Command: p.command()})
}

// kill kills one process and its group.
func (s *sweeper) kill(p process) {
	if p.group > 1 && p.group != s.ownGroup {
		_ = unix.Kill(-p.group, unix.SIGKILL)
	}
	err := unix.Kill(p.pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		err = nil
	}
	s.seen[p.processID] = err
}

// refusals returns an error about the processes that the system did not let be killed.
func (s *sweeper) refusals() error {
	var errs []error
	for _, p := range s.order {
		if err := s.seen[p]; err != nil && p.alive() {
			errs = append(errs, fmt.Errorf("kill process %d: %w", p.pid, err))
		}
	}
	return errors.Join(errs...)
}

// readProcess reads /proc/PID/stat; false when there is no such process.
func readProcess(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	return parseStat(pid, text)
}

// parseStat reads the text of /proc/PID/stat: the number, the name in brackets (which may hold anything), the state,
// the parent, the group, the session and, 15 further on, when it started.
func parseStat(pid int, text []byte) (process, bool) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const stateAt, groupAt, sessionAt, startedAt = 0, 2, 3, 19
	if len(fields) <= startedAt {
		return process{}, false
	}
	group, err1 := strconv.Atoi(fields[groupAt])
	session, err2 := strconv.Atoi(fields[sessionAt])
	started, err3 := strconv.ParseUint(fields[startedAt], 10, 64)
	return process{
		processID: processID{pid, started}, group: group, session: session,
		zombie: strings.ContainsAny(fields[stateAt], "ZXx"),
	}, err1 == nil && err2 == nil && err3 == nil
}

// alive tells whether the process has not ended; one that waits for its parent to look has ended.
func (p processID) alive() bool {
	now, ok := readProcess(p.pid)
	return ok && !now.zombie && now.processID == p
}

// marks returns the owner and container marks in the environment variables that the process was started with; false
// when it has none, or they cannot be read.
func (p process) marks() (owner, container string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
	if err != nil {
		return "", "", false
	}
	for variable := range bytes.SplitSeq(text, []byte{0}) {
		if value, is := bytes.CutPrefix(variable, []byte(launcher.EnvOwner+"=")); is {
			owner, ok = string(value), true
		} else if value, is := bytes.CutPrefix(variable, []byte(launcher.EnvContainer+"=")); is {
			container = string(value)
		}
	}
	return owner, container, ok
}

// command returns the command line of the process, shortened.
func (p process) command() string {
	const longest = 200
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	if err != nil {
		return ""
	}
	line := strings.ToValidUTF8(strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " ")), "?")
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	return line
}
