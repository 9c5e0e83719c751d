package process

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/worker/launcher"
)

// findCommand returns the path of a spec's command, once it is known to be something that this machine runs.
func findCommand(spec launcher.Spec, searchPath string, runs []platform.Platform) (string, error) {
	if filepath.IsAbs(spec.Command) {
		return spec.Command, checkCommand(spec.ID, spec.Command, runs)
	}
	for _, dir := range filepath.SplitList(searchPath) {
		path := filepath.Join(dir, spec.Command)
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && !info.IsDir() && unix.Access(path, unix.X_OK) == nil {
			return path, checkCommand(spec.ID, path, runs)
		}
	}
	return "", &launcher.StartError{
		ID: spec.ID, Path: spec.Command, Err: launcher.ErrMissing,
		Want: "an absolute path, or the name of an executable in PATH, which is " + searchPath,
	}
}

// checkCommand refuses a file that this machine does not run.
func checkCommand(id, path string, runs []platform.Platform) error {
	refuse := func(err error, want string) error {
		return &launcher.StartError{ID: id, Path: path, Want: want, Err: err}
	}
	executable := "an executable for " + list(runs)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return refuse(launcher.ErrMissing, executable)
	case err != nil:
		return refuse(err, executable)
	case !info.Mode().IsRegular():
		return refuse(fmt.Errorf("%w: it is a folder or a special file", launcher.ErrNotExecutable), executable)
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return refuse(fmt.Errorf("%w: its mode is %v: %w", launcher.ErrNotExecutable, info.Mode(), err),
			"permission to execute it (chmod +x), on a file system that is not mounted noexec")
	}
	header, err := readHeader(path)
	if err != nil {
		return nil // a file that may be executed and not read is left to the kernel
	}
	made, err := platform.Of(header)
	switch {
	case errors.Is(err, platform.ErrNotProgram):
		return refuse(fmt.Errorf("%w: %w", launcher.ErrNotExecutable, err), executable)
	case err != nil:
		return refuse(fmt.Errorf("%w: %w", launcher.ErrPlatform, err), executable)
	}
	for _, p := range runs {
		if p.Runs(made) {
			return nil
		}
	}
	return refuse(fmt.Errorf("%w, %v", launcher.ErrPlatform, made), executable)
}

// list writes platforms for people.
func list(platforms []platform.Platform) string {
	names := make([]string, len(platforms))
	for i, p := range platforms {
		names[i] = p.String()
	}
	return strings.Join(names, " or ")
}

// readHeader reads a file's first bytes.
func readHeader(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	header := make([]byte, platform.HeaderSize)
	n, err := io.ReadFull(f, header)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return header[:n], err
}

// explain says why the kernel refused to start a file that looked right.
func explain(id, path string, err error) error {
	failed := &launcher.StartError{ID: id, Path: path, Err: err}
	var number unix.Errno
	if !errors.As(err, &number) {
		return failed
	}
	failed.Err = number // the rest of what Go says repeats the path
	if number == unix.ENOENT {
		if name := interpreter(path); name != "" {
			failed.Err = fmt.Errorf("its interpreter %s: %w", name, launcher.ErrMissing)
			failed.Want = "an interpreter that is installed on this node, or a static executable"
		}
	}
	return failed
}

// interpreter returns the program that a file wants to be run by: the first line of a script, the loader of a
// dynamic executable, or "".
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // it was only read
	const longest = 4096
	line, err := bufio.NewReader(io.LimitReader(f, longest)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	if script, ok := bytes.CutPrefix(line, []byte("#!")); ok {
		if words := strings.Fields(string(script)); len(words) > 0 {
			return words[0]
		}
		return ""
	}
	program, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			name, _ := io.ReadAll(io.LimitReader(part.Open(), longest))
			return string(bytes.TrimRight(name, "\x00"))
		}
	}
	return ""
}
