package archtest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// workflowFolder is where GitHub finds workflows.
const workflowFolder = ".github/workflows"

var (
	uses   = regexp.MustCompile(`^\s*(?:-\s*)?["']?uses["']?\s*:\s*(.*)$`)
	pinned = regexp.MustCompile(`^([^@\s]+)@[0-9a-f]{40} # v[0-9][0-9A-Za-z.-]*$`)
	grants = regexp.MustCompile(`^\s*(?:permissions:\s*\S|[a-z-]+:\s*(?:write|admin)\b)`)
)

// CheckWorkflows checks that workflows use no actions but those allowed, each pinned by the hash of a commit with its
// version beside it, and that they ask for no right but to read. A tag can be moved to other code, a hash cannot.
func CheckWorkflows(fsys fs.FS, allowed []string) ([]Finding, error) {
	entries, err := fs.ReadDir(fsys, workflowFolder)
	if err != nil {
		return nil, fmt.Errorf("archtest: %w", err)
	}
	var found []Finding
	checked := 0
	for _, e := range entries {
		name := path.Join(workflowFolder, e.Name())
		if ext := path.Ext(name); ext != ".yml" && ext != ".yaml" {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("archtest: %w", err)
		}
		checked++
		found = append(found, checkWorkflow(name, string(text), allowed)...)
	}
	if checked == 0 {
		return nil, errors.New("archtest: no workflows: nothing was checked")
	}
	return found, nil
}

// checkWorkflow checks one workflow.
func checkWorkflow(name, text string, allowed []string) []Finding {
	var found []Finding
	at := 0
	bad := func(format string, args ...any) {
		found = append(found, Finding{fmt.Sprintf("%s:%d", name, at), fmt.Sprintf(format, args...)})
	}
	if !strings.Contains(text, "\npermissions:\n  contents: read\n") {
		bad("it does not say \"permissions: contents: read\" for all of its jobs: without it their rights are the repository's")
	}
	for line := range strings.Lines(text) {
		at++
		line = strings.TrimRight(line, "\r\n")
		if grants.MatchString(line) {
			bad("%q grants more than to read the code", strings.TrimSpace(line))
		}
		m := uses.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		p := pinned.FindStringSubmatch(m[1])
		switch {
		case p == nil:
			bad("%q is not pinned: want owner/name@<40 hexadecimal digits> # v1.2.3", m[1])
		case !slices.Contains(allowed, p[1]):
			bad("action %s is none of %s", p[1], strings.Join(allowed, ", "))
		}
	}
	return found
}
