package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher"
)

// defaultGrace is Config.Grace where it is left out.
const defaultGrace = 10 * time.Second

// Config says what an agent is and whom it obeys. Only Broker has to be given.
type Config struct {
	// Broker is the control endpoint of the broker, or those of several, separated by commas: see
	// protocol.ParseEndpoints.
	Broker string
	// Name is the node's; it is unique in the fabric. Default: the host's name in the form of protocol.ValidName.
	Name string
	// NodeType is cpu or gpu. Default: gpu when Capacity has GPUs, else cpu.
	NodeType string
	// Rack says where the node stands.
	Rack string
	// Labels say for people what the node is.
	Labels map[string]string
	// Capacity is what the node offers. Each dimension that is 0 is measured: all cores, all memory, both of the
	// control group that the agent runs in when that has less.
	Capacity protocol.Capacity
	// Dir is the state folder: a lock, and the containers' logs in logs/ID. An agent has it for itself. Default:
	// /var/lib/weft/agent-NAME for root, else weft/agent-NAME in os.UserCacheDir; none with a Launcher.
	Dir string
	// IOThreads is the number of ZeroMQ's I/O threads of this process; 0: as it is, at first 1.
	IOThreads int
	// KeepsScheme keeps instances on the transport of Broker; otherwise those on the broker's host meet it over ipc.
	KeepsScheme bool
	// Grace is what containers are given to end when the agent ends. Default 10 s.
	Grace time.Duration
	// Logger gets the agent's log. The zero Logger writes nothing.
	Logger zerolog.Logger
	// Program is what an artefact with the command protocol.OwnProgram stands for, as an absolute path. Default: the
	// program that this process runs.
	Program string
	// Launcher runs the containers; Run closes it. Default: processes, with logs in Dir.
	Launcher launcher.Launcher
}

// withDefaults fills in what was left out. Capacity is measured later.
func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("agent: Name: the host's name is not known (%w); want the name of the node", err)
		}
		c.Name = nodeName(host)
	}
	if c.NodeType == "" {
		c.NodeType = protocol.NodeTypeCPU
		if c.Capacity.GPU > 0 {
			c.NodeType = protocol.NodeTypeGPU
		}
	}
	if c.Program == "" {
		own, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("agent: Program: this process's own is not known (%w); want an absolute path", err)
		}
		c.Program = own
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Dir == "" && c.Launcher == nil {
		dir, err := defaultDir(os.Geteuid(), c.Name)
		if err != nil {
			return c, err
		}
		c.Dir = dir
	}
	return c, nil
}

// validate names the first field that cannot be.
func (c Config) validate() error {
	bad := func(field, format string, args ...any) error {
		return protocol.Errorf(protocol.CodeInvalid, "agent", field+": "+format, args...)
	}
	switch {
	case !protocol.ValidName(c.Name):
		return bad("Name", "%q is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", c.Name)
	case c.NodeType != protocol.NodeTypeCPU && c.NodeType != protocol.NodeTypeGPU:
		return bad("NodeType", "%q is neither cpu nor gpu", c.NodeType)
	case c.Capacity.Check() != nil:
		return bad("Capacity", "%v", c.Capacity.Check())
	case !filepath.IsAbs(c.Program):
		return bad("Program", "%q is not an absolute path", c.Program)
	case c.Dir != "" && !filepath.IsAbs(c.Dir):
		return bad("Dir", "%q is not an absolute path", c.Dir)
	case c.Grace < 0:
		return bad("Grace", "%v is negative", c.Grace)
	}
	return protocol.ValidateLabels("agent", c.Labels)
}

// nodeName makes the name of a host one that protocol.ValidName takes.
func nodeName(host string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-':
			return r
		}
		return '-'
	}, host)
	const ends = "._-"
	name = strings.TrimLeft(name, ends)
	const longest = 63
	name = strings.TrimRight(name[:min(len(name), longest)], ends)
	if name == "" {
		return "node"
	}
	return name
}

// defaultDir is the state folder of the agent of that name, run by that user.
func defaultDir(uid int, name string) (string, error) {
	if uid == 0 {
		return "/var/lib/weft/agent-" + name, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("agent: Dir: there is no default (%w); want a folder to keep state and logs in", err)
	}
	return filepath.Join(cache, "weft", "agent-"+name), nil
}

// ownerMark is what an agent's containers bear: the name of the node, and which of the machine's folders it uses.
func ownerMark(name, dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return name + "-" + hex.EncodeToString(sum[:6])
}
