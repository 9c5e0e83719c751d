package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weft-fabric/weft/worker/launcher"
)

// logName is the name of a container's current log; older ones have .1, .2 and so on behind it.
const logName = "output.log"

// output takes what a container writes: into files that are rotated, and into memory for the last lines. A disk that
// cannot be written costs the log, never the container: writing to an output always succeeds.
type output struct {
	dir   string // "" when no log is kept
	max   int64  // bytes of one file
	files int

	mu   sync.Mutex
	file *os.File
	size int64
	tail []byte // the last bytes, at least launcher.OutputBytes of them if there were so many
	cut  bool   // tail does not start at a line's start
	err  error  // the first that befell the log
}

// openOutput opens a container's log, at its end if there is one.
func openOutput(options Options, id string) (*output, error) {
	o := &output{max: options.LogSize, files: options.LogFiles}
	if options.LogFolder == "" {
		return o, nil
	}
	o.dir = filepath.Join(options.LogFolder, id)
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return nil, err
	}
	return o, o.open()
}

// open opens the current file.
func (o *output) open() error {
	f, err := os.OpenFile(filepath.Join(o.dir, logName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	o.file, o.size = f, info.Size()
	return nil
}

// Write takes more output. It never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remember(p)
	for rest := p; len(rest) > 0 && o.file != nil; {
		if o.size >= o.max {
			if err := o.rotate(); err != nil {
				o.fail(err)
				break
			}
		}
		n, err := o.file.Write(rest[:min(int64(len(rest)), o.max-o.size)])
		o.size += int64(n)
		rest = rest[n:]
		if err != nil {
			o.fail(err) // what is written later may find room again
			break
		}
	}
	return len(p), nil
}

// remember keeps the end of what was written.
func (o *output) remember(p []byte) {
	const most = 2 * launcher.OutputBytes
	if len(p) > most {
		p, o.tail, o.cut = p[len(p)-most:], o.tail[:0], true
	}
	o.tail = append(o.tail, p...)
	if excess := len(o.tail) - launcher.OutputBytes; excess > launcher.OutputBytes {
		o.tail = append(o.tail[:0], o.tail[excess:]...)
		o.cut = true
	}
}

// lines returns the last lines, as launcher.Container promises them.
func (o *output) lines() []string {
	o.mu.Lock()
	text, cut := string(o.tail), o.cut
	o.mu.Unlock()
	if excess := len(text) - launcher.OutputBytes; excess > 0 {
		text, cut = text[excess:], true
	}
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	if cut && len(lines) > 1 {
		lines = lines[1:] // its start is lost
	}
	lines = lines[max(0, len(lines)-launcher.OutputLines):]
	for i, line := range lines {
		lines[i] = strings.ToValidUTF8(strings.TrimSuffix(line, "\r"), "?")
	}
	return lines
}

// rotate closes the current file, moves every file one on and opens a new one.
func (o *output) rotate() error {
	err := o.file.Close()
	o.file = nil
	if err != nil {
		return err
	}
	name := filepath.Join(o.dir, logName)
	for i := o.files - 1; i > 0; i-- {
		from := name
		if i > 1 {
			from = fmt.Sprintf("%s.%d", name, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", name, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if o.files == 1 {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return o.open()
}

// fail notes the first error.
func (o *output) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// close closes the log and returns the first error that it met. The last lines can still be had.
func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		if err := o.file.Close(); err != nil {
			o.fail(err)
		}
		o.file = nil
	}
	return o.err
}

// pruneLogs removes the oldest logs of ended containers, so that those of keep are left. What it cannot remove stays
// for the next time.
func pruneLogs(folder string, keep int, lives func(id string) bool) {
	type ended struct {
		dir string
		at  time.Time
	}
	var all []ended
	names, _ := readNames(folder)
	for _, name := range names {
		dir := filepath.Join(folder, name)
		if info, err := os.Stat(filepath.Join(dir, logName)); err == nil && !lives(name) {
			all = append(all, ended{dir, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b ended) int { return a.at.Compare(b.at) })
	for _, e := range all[:max(0, len(all)-keep)] {
		logs, _ := filepath.Glob(filepath.Join(e.dir, logName+"*"))
		for _, log := range logs {
			_ = os.Remove(log)
		}
		_ = os.Remove(e.dir)
	}
}
