package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	specs "github.com/opencontainers/runtime-spec/specs-go"
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
	process.Terminal, process.ConsoleSize = r.Tty, consoleSize(r.ConsoleSize)
	process.Args, process.User = r.Cmd, user
	hostname := ""
	if i := indexOfVariable(s.Process.Env, "HOSTNAME"); i >= 0 {
		hostname = strings.TrimPrefix(s.Process.Env[i], "HOSTNAME=")
	}
	process.Env = environment(config, hostname, home, r.Tty, r.Env)
	if r.WorkingDir != "" {
		process.Cwd = workingDirectory(r.WorkingDir)
	}
	bounding := s.Process.Capabilities.Bounding
	if r.Privileged {
		bounding = available
	}
	process.Capabilities = capabilitySets(bounding, user)
	return &process, nil
}

// environment is what a process in the container starts with: Docker's defaults,
// overridden by config.Env, overridden by extra. A name without "=" removes the
// variable. HOME is added last, if nobody has set it; dockerd leaves that to runc.
func environment(config *api.Config, hostname, home string, tty bool, extra []string) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + hostname}
	if tty {
		env = append(env, "TERM=xterm")
	}
	for _, variable := range slices.Concat(config.Env, extra) {
		name, _, hasValue := strings.Cut(variable, "=")
		i := indexOfVariable(env, name)
		switch {
		case i >= 0 && hasValue:
			env[i] = variable
		case i >= 0:
			env = slices.Delete(env, i, i+1)
		case hasValue:
			env = append(env, variable)
		}
	}
	if indexOfVariable(env, "HOME") < 0 && home != "" {
		env = append(env, "HOME="+home)
	}
	return env
}

func indexOfVariable(env []string, name string) int {
	return slices.IndexFunc(env, func(v string) bool { return v == name || strings.HasPrefix(v, name+"=") })
}

func workingDirectory(dir string) string { return path.Join("/", dir) }

// Merge completes config, what the user asked for, by the image's configuration,
// as Docker does at create. The result has a command, or the error is ErrNoCommand.
//
// An entrypoint of the user's own makes the image's command void: it was written
// for the image's entrypoint. An entrypoint of one empty string removes the
// image's and is then none.
func Merge(config *api.Config, image *dockerspec.DockerOCIImageConfig) error {
	config.User = cmp.Or(config.User, image.User)
	config.WorkingDir = cmp.Or(config.WorkingDir, image.WorkingDir)
	config.StopSignal = cmp.Or(config.StopSignal, image.StopSignal)
	config.Labels = union(config.Labels, image.Labels)
	config.Volumes = union(config.Volumes, image.Volumes)
	for _, variable := range image.Env {
		name, _, _ := strings.Cut(variable, "=")
		if indexOfVariable(config.Env, name) < 0 {
			config.Env = append(config.Env, variable)
		}
	}
	ports := network.PortSet{}
	for name := range image.ExposedPorts {
		port, err := network.ParsePort(name)
		if err != nil {
			return fmt.Errorf("exposed port of the image: %w", err)
		}
		ports[port] = struct{}{}
	}
	config.ExposedPorts = union(config.ExposedPorts, ports)
	if len(config.Entrypoint) == 0 {
		if len(config.Cmd) == 0 {
			config.Cmd = slices.Clone(image.Cmd)
		}
		if config.Entrypoint == nil {
			config.Entrypoint = slices.Clone(image.Entrypoint)
		}
	}
	if len(config.Entrypoint) == 1 && config.Entrypoint[0] == "" {
		config.Entrypoint = nil
	}
	if image.Healthcheck != nil {
		mergeHealthcheck(config, *image.Healthcheck)
	}
	_, err := Command(config)
	return err
}

func mergeHealthcheck(config *api.Config, image dockerspec.HealthcheckConfig) {
	if config.Healthcheck == nil {
		config.Healthcheck = &api.HealthConfig{}
	}
	check := config.Healthcheck
	if len(check.Test) == 0 {
		check.Test = image.Test
	}
	check.Interval = cmp.Or(check.Interval, image.Interval)
	check.Timeout = cmp.Or(check.Timeout, image.Timeout)
	check.StartPeriod = cmp.Or(check.StartPeriod, image.StartPeriod)
	check.StartInterval = cmp.Or(check.StartInterval, image.StartInterval)
	check.Retries = cmp.Or(check.Retries, image.Retries)
}

// union has what is in either map; of two values the first map's.
func union[M ~map[K]V, K comparable, V any](first, second M) M {
	all := M{}
	maps.Copy(all, second)
	maps.Copy(all, first)
	return all
}
