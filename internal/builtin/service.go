// Package builtin has the services that weft's own program serves, so that they are on every node that has an agent:
// weft.ping, which answers, and weft.exec, which runs commands. It has both sides of them: their documents and how a
// client sees to it that they are registered, what a client and an instance say to each other, and the instance.
package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// The names of the services.
const (
	Ping = "weft.ping"
	Exec = "weft.exec"
)

// idle is how long instances stay without work: long enough for the next command of a script.
const idle = 10 * time.Second

// pingIdle is the same for [Ping], whose instances may be more than anybody else leaves room for.
const pingIdle = 2 * time.Second

// MaxInstances is the greatest number of instances that a session of a built-in service may ask for.
const MaxInstances = 100_000

// document describes a service, without version and platforms.
func document(name string) protocol.Service {
	s := protocol.Service{
		Name: name, Tags: []string{"weft"}, Slots: 1, Sessions: 16,
		Instances: protocol.Instances{Min: 1, Max: MaxInstances},
		Limits:    protocol.Limits{Idle: protocol.Duration(idle)},
	}
	switch name {
	case Ping:
		s.Limits.Idle = protocol.Duration(pingIdle)
		s.Function = "answers weft ping: a self-test and small benchmark of the fabric"
		s.Requests = []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 50, Memory: 32 << 20}}}
	case Exec:
		s.Function = "runs the commands of weft exec"
		s.Requests = []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 1000, Memory: 64 << 20}}}
		// A command is run once, or its client is told that it may have been: it may not be fit to be run again. What
		// an instance gave back without having begun it does not count.
		s.Retry.HostLosses = 1
	}
	return s
}

// alwaysFor are platforms that a document is for, whether nodes of them are there or not: so it seldom changes.
var alwaysFor = []string{"linux/amd64", "linux/arm64"}

// Document gives the document of the service of that name for nodes of these platforms, in a queue; empty: the default one,
// which not every fabric has. Its version names the weft that made it and, by a sum, the content: another content is another
// version.
func Document(name, build, queue string, platforms []string) protocol.Service {
	s := document(name)
	s.Queue = queue
	kind, _ := strings.CutPrefix(name, "weft.")
	s.Artefacts = protocol.Artefacts{}
	for _, p := range slices.Concat(alwaysFor, platforms) {
		s.Artefacts[p] = protocol.Artefact{Command: protocol.OwnProgram, Args: []string{"serve", kind}}
	}
	sum := sha256.Sum256(protocol.Marshal(s))
	s.Version = versionOf(build) + "-" + hex.EncodeToString(sum[:4])
	return s
}

var notInVersion = regexp.MustCompile(`[^A-Za-z0-9.+_-]+`)

// versionOf gives what of a build's version may be in that of a service.
func versionOf(build string) string {
	const longest = 63 - 1 - 8
	v := strings.Trim(notInVersion.ReplaceAllString(build, "-"), ".+_-")
	if v == "" {
		return "unknown"
	}
	return v[:min(len(v), longest)]
}

// Catalogue is what [Ensure] needs of a client; *client.Client is it.
type Catalogue interface {
	RegisterService(ctx context.Context, s protocol.Service) error
	DeregisterService(ctx context.Context, name, version string) error
	Services(ctx context.Context, f client.Filter) iter.Seq2[protocol.ServiceInfo, error]
}

// stale is after what time a version of a built-in service that nobody uses is taken out of the catalogue: who has just
// registered one is about to open a session with it.
const stale = time.Hour

// Ensure registers a built-in service, of which s is the [Document]. It stays registered, since that costs
// nothing and the next command finds its instances warm; other versions that are older than an hour and have no
// sessions are deregistered.
func Ensure(ctx context.Context, c Catalogue, now time.Time, s protocol.Service) error {
	if err := c.RegisterService(ctx, s); err != nil {
		return fmt.Errorf("register %s: %w", s.Name, err)
	}
	for other, err := range c.Services(ctx, client.Filter{Name: s.Name}) {
		if err != nil {
			return fmt.Errorf("look for other versions of %s: %w", s.Name, err)
		}
		v := other.Service.Version
		if v == s.Version || other.Sessions > 0 || now.Sub(other.Registered) < stale {
			continue
		}
		if err := c.DeregisterService(ctx, s.Name, v); err != nil && !gone(err) {
			return fmt.Errorf("deregister version %s of %s: %w", v, s.Name, err)
		}
	}
	return nil
}

// gone says that a version is in use again, or was deregistered by somebody else.
func gone(err error) bool {
	return errors.Is(err, client.ErrNoService) || protocol.CodeOf(err) == protocol.CodeInUse
}

// Kinds are what [Serve] serves: the last parts of the services' names.
func Kinds() []string { return []string{"exec", "ping"} }

// Serve is one instance of a built-in service, as worker.Serve is.
func Serve(ctx context.Context, kind string, opts ...worker.Option) error {
	switch "weft." + kind {
	case Ping:
		return worker.Serve(ctx, newEcho(), opts...)
	case Exec:
		return worker.Serve(ctx, newExec(), opts...)
	default:
		return protocol.Errorf(protocol.CodeInvalid, "serve", "%q is not one of %s", kind, strings.Join(Kinds(), ", "))
	}
}
