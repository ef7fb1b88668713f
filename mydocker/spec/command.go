package spec

import (
	"errors"
	"path"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/container"
)

// ErrNoCommand reports that neither the user nor the image names a command.
var ErrNoCommand = errors.New("no command specified")

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Command is what the container runs: the entrypoint followed by the command.
func Command(config *api.Config) ([]string, error) {
	command := slices.Concat(config.Entrypoint, config.Cmd)
	if len(command) == 0 {
		return nil, ErrNoCommand
	}
	return command, nil
}

// Environment is what a process in the container starts with: Docker's defaults,
// overridden by config.Env, overridden by extra. A name without "=" removes the
// variable. HOME is added last, if nobody has set it; dockerd leaves that to runc.
func Environment(config *api.Config, hostname, home string, tty bool, extra []string) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + hostname}
	if tty {
		env = append(env, "TERM=xterm")
	}
	for _, list := range [][]string{config.Env, extra} {
		for _, variable := range list {
			env = setVariable(env, variable)
		}
	}
	if indexOfVariable(env, "HOME") < 0 && home != "" {
		env = append(env, "HOME="+home)
	}
	return env
}

// setVariable replaces a variable where it stands, or appends it. Its value is
// never interpreted: it may contain "=" and anything else.
func setVariable(env []string, variable string) []string {
	name, _, hasValue := strings.Cut(variable, "=")
	i := indexOfVariable(env, name)
	switch {
	case i < 0 && !hasValue:
		return env
	case i < 0:
		return append(env, variable)
	case !hasValue:
		return slices.Delete(env, i, i+1)
	}
	env[i] = variable
	return env
}

func indexOfVariable(env []string, name string) int {
	return slices.IndexFunc(env, func(v string) bool {
		n, _, _ := strings.Cut(v, "=")
		return n == name
	})
}

func workingDirectory(dir string) string {
	if dir == "" {
		return "/"
	}
	return path.Clean(dir)
}
