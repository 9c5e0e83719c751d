package process

import (
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/worker/launcher"
)

// defaultPath is the PATH of a container when the agent has none itself.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns the environment variables of a container, in the order in which they were first named, and its
// PATH.
func environment(owner string, spec launcher.Spec, lookup func(string) (string, bool)) (env []string, path string) {
	at := map[string]int{}
	set := func(key, value string) {
		i, known := at[key]
		if !known {
			i = len(env)
			at[key] = i
			env = append(env, "")
		}
		env[i] = key + "=" + value
		if key == "PATH" {
			path = value
		}
	}
	set("PATH", defaultPath)
	for _, key := range []string{"PATH", "HOME", "LANG"} {
		if value, ok := lookup(key); ok {
			set(key, value)
		}
	}
	for _, variable := range spec.Env {
		key, value, _ := strings.Cut(variable, "=")
		set(key, value)
	}
	set(launcher.EnvOwner, owner)
	set(launcher.EnvContainer, spec.ID)
	if len(spec.Identity) > 0 {
		set(launcher.EnvIdentityFD, strconv.Itoa(launcher.IdentityFD))
	}
	return env, path
}
