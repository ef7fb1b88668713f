package spec

import (
	"slices"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Exec is the process of an exec request in the container with specification s,
// which was built of config. user and home belong to r.User if it names one
// (ResolveUser), and otherwise to the container's; available are the host's
// capabilities, which a privileged exec gets all. Limits, no_new_privs and the
// seccomp profile are the container's.
func Exec(s *specs.Spec, config *api.Config, r api.ExecCreateRequest, user specs.User, home string, available []string) (*specs.Process, error) {
	if len(r.Cmd) == 0 {
		return nil, ErrNoCommand
	}
	process := *s.Process
	process.Terminal, process.ConsoleSize = r.Tty, nil
	if r.Tty && r.ConsoleSize != nil {
		process.ConsoleSize = &specs.Box{Height: r.ConsoleSize[0], Width: r.ConsoleSize[1]}
	}
	process.Args = slices.Clone(r.Cmd)
	process.User = user
	process.User.Umask = s.Process.User.Umask
	process.Env = Environment(config, variable(s.Process.Env, "HOSTNAME"), home, r.Tty, r.Env)
	if r.WorkingDir != "" {
		process.Cwd = workingDirectory(r.WorkingDir)
	}
	selected := s.Process.Capabilities.Bounding
	if r.Privileged {
		selected = available
	}
	process.Capabilities = capabilitySets(slices.Clone(selected), user)
	return &process, nil
}

func variable(env []string, name string) string {
	if i := indexOfVariable(env, name); i >= 0 {
		return env[i][len(name)+1:]
	}
	return ""
}
