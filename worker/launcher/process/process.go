// Package process runs containers as plain processes of this machine. It needs no root.
//
// Each container is a session and process group of its own. It dies with its launcher: the kernel kills its first
// process when the launcher's process dies, whatever the way. When it ends, all it started dies with it: first its
// session and process group, then whatever left both but still bears the container's mark in its environment
// variables. What got away because the launcher died first is found by the owner mark when a launcher with the same
// owner calls Reap. A process that leaves its session and clears its environment is beyond both.
//
// Only Linux is supported: the package reads /proc.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/worker/launcher"
)

// Options configure a launcher. Only Owner has to be given.
type Options struct {
	// Owner is the owner mark (see launcher.ValidID for its form). It has to be the same after a restart, and no
	// two living launchers on a machine may share it: Reap of one would kill the containers of the other.
	Owner string
	// LogFolder is where containers' output is kept: LogFolder/ID/output.log, and output.log.1 and so on with what
	// is older. The folder is made when missing, and is the launcher's alone. Empty: no logs are kept.
	LogFolder string
	// LogSize is the size in bytes at which a log is rotated; 8 MiB when 0.
	LogSize int64
	// LogFiles is how many files are kept for one container, the current one included; 3 when 0.
	LogFiles int
	// KeepLogs is of how many ended containers logs are kept; 64 when 0.
	KeepLogs int
	// Platforms are what this machine runs besides its own platform, by emulation for instance.
	Platforms []platform.Platform
}

// withDefaults fills in what was not given.
func (o Options) withDefaults() Options {
	if o.LogSize == 0 {
		o.LogSize = 8 << 20
	}
	if o.LogFiles == 0 {
		o.LogFiles = 3
	}
	if o.KeepLogs == 0 {
		o.KeepLogs = 64
	}
	return o
}

// validate names the first option that cannot be.
func (o Options) validate() error {
	switch {
	case !launcher.ValidID(o.Owner):
		return fmt.Errorf("process launcher: Owner %q: want 1 to 128 letters, digits, dots, underscores and hyphens, not starting with a dot", o.Owner)
	case o.LogFolder != "" && !filepath.IsAbs(o.LogFolder):
		return fmt.Errorf("process launcher: LogFolder %q: want an absolute path", o.LogFolder)
	case o.LogSize < 0 || o.LogFiles < 0 || o.KeepLogs < 0:
		return fmt.Errorf("process launcher: LogSize %d, LogFiles %d, KeepLogs %d: want none below 0", o.LogSize, o.LogFiles, o.KeepLogs)
	}
	return nil
}

// Launcher runs containers as processes. Make one with New.
type Launcher struct {
	options   Options
	platforms []platform.Platform
	starter   *starter

	mu     sync.Mutex
	closed bool
	live   map[string]*container // nil while it is being started
	all    sync.WaitGroup        // one for each container that is being started or not done
}

var _ launcher.Launcher = (*Launcher)(nil)

// New makes a launcher. Close frees it.
func New(options Options) (*Launcher, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	if options.LogFolder != "" {
		if err := os.MkdirAll(options.LogFolder, 0o750); err != nil {
			return nil, fmt.Errorf("process launcher: LogFolder %q: want a folder that can be written: %w", options.LogFolder, err)
		}
	}
	own := platform.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
	return &Launcher{
		options:   options,
		platforms: append([]platform.Platform{own}, options.Platforms...),
		starter:   newStarter(),
		live:      map[string]*container{},
	}, nil
}

// Start starts a container; see launcher.Launcher.
func (l *Launcher) Start(ctx context.Context, spec launcher.Spec) (launcher.Container, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start container %s: %w", spec.ID, err)
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := l.reserve(spec.ID); err != nil {
		return nil, fmt.Errorf("start container %s: %w", spec.ID, err)
	}
	c, err := l.launch(ctx, spec)
	if err != nil {
		l.forget(spec.ID)
		l.all.Done()
		return nil, err
	}
	l.mu.Lock()
	l.live[spec.ID] = c
	closed := l.closed
	l.mu.Unlock()
	go func() {
		c.attend()
		l.forget(spec.ID)
		close(c.done)
		l.all.Done()
	}()
	if closed {
		c.Kill()
		<-c.Done()
		return nil, fmt.Errorf("start container %s: %w", spec.ID, launcher.ErrClosed)
	}
	return c, nil
}

// reserve takes an id before its container exists.
func (l *Launcher) reserve(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return launcher.ErrClosed
	}
	if _, taken := l.live[id]; taken {
		return launcher.ErrDuplicate
	}
	l.live[id] = nil
	l.all.Add(1)
	return nil
}

// forget gives an id back.
func (l *Launcher) forget(id string) {
	l.mu.Lock()
	delete(l.live, id)
	l.mu.Unlock()
}

// lives tells whether an id is that of a container of this launcher.
func (l *Launcher) lives(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.live[id]
	return ok
}

// launch starts the process of a container.
func (l *Launcher) launch(ctx context.Context, spec launcher.Spec) (*container, error) {
	env, searchPath := environment(l.options.Owner, spec, os.LookupEnv)
	path, err := findCommand(spec, searchPath, l.platforms)
	if err != nil {
		return nil, err
	}
	dir := spec.Dir
	if dir == "" {
		dir = "/"
	} else if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &launcher.StartError{ID: spec.ID, Path: dir, Want: "a folder that exists, to work in", Err: launcher.ErrMissing}
	}
	out, err := openOutput(l.options, spec.ID)
	if err != nil {
		return nil, &launcher.StartError{ID: spec.ID, Path: l.options.LogFolder, Want: "a folder that logs can be written to", Err: err}
	}
	if l.options.LogFolder != "" {
		pruneLogs(l.options.LogFolder, l.options.KeepLogs, l.lives)
	}
	p, err := openPipes(len(spec.Identity) > 0)
	if err != nil {
		out.close() //nolint:errcheck // the error to tell is the one before
		return nil, &launcher.StartError{ID: spec.ID, Path: path, Err: err}
	}
	proc, err := l.starter.start(ctx, path, append([]string{spec.Command}, spec.Args...), &os.ProcAttr{Dir: dir, Env: env, Files: p.child})
	p.closeChild()
	if err != nil {
		p.closeOwn()
		out.close() //nolint:errcheck // the error to tell is the one before
		return nil, explain(spec.ID, path, err)
	}
	c := &container{
		id: spec.ID, owner: l.options.Owner, pid: proc.Pid, proc: proc, out: out, pipes: p,
		done: make(chan struct{}),
	}
	c.talk(spec.Identity)
	return c, nil
}

// Reap kills what an earlier launcher with the same owner mark left; see launcher.Launcher. It gives up after 10
// seconds, or when the context ends.
func (l *Launcher) Reap(ctx context.Context) ([]launcher.Leftover, error) {
	return sweep(ctx, func(p process) bool {
		owner, id, ok := p.marks()
		return ok && owner == l.options.Owner && !l.lives(id)
	})
}

// Close kills all containers and waits until they are gone; see launcher.Launcher.
func (l *Launcher) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	for _, c := range l.live {
		if c != nil {
			c.Kill()
		}
	}
	l.mu.Unlock()
	l.all.Wait()
	if first {
		l.starter.close()
	}
	return nil
}

// pipes are the descriptors between a launcher and one container.
type pipes struct {
	child       []*os.File // the container's, by number
	output      *os.File   // what it writes is read here
	identity    *os.File   // what is written here it reads; nil without identity
	ownReleased sync.Once
}

// openPipes makes them.
func openPipes(identity bool) (*pipes, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	p := &pipes{child: []*os.File{null}}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, null.Close())
	}
	p.output, p.child = read, append(p.child, write, write)
	if identity {
		read, write, err := os.Pipe()
		if err != nil {
			p.closeChild()
			p.closeOwn()
			return nil, err
		}
		p.identity, p.child = write, append(p.child, read)
	}
	return p, nil
}

// closeChild closes what only the container needs. Standard output and error are one file.
func (p *pipes) closeChild() {
	for i, f := range p.child {
		if i != 2 {
			_ = f.Close()
		}
	}
}

// closeOwn closes what only the launcher needs.
func (p *pipes) closeOwn() {
	p.ownReleased.Do(func() {
		_ = p.output.Close()
		if p.identity != nil {
			_ = p.identity.Close()
		}
	})
}
