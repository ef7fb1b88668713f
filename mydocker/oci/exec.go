package oci

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// execution is a further process of a container, and the flags of exec.
type execution struct {
	*host
	consoleSocket, cwd, user, file, pidFile string
	label, apparmor                         string
	env, caps, cgroups                      []string
	gids                                    []int64
	tty, detach, ignorePaused               bool
	noNewPrivileges                         *bool // nil: as the first process
	preserve                                int
}

func (h *host) execCommand() *cli.Command {
	x := &execution{host: h}
	return &cli.Command{Name: "exec", Usage: "execute another process in a container",
		ArgsUsage: "<container-id> <command> [arguments]  or  -p process.json <container-id>",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "console-socket", Usage: "socket to which the terminal's master is sent", Destination: &x.consoleSocket},
			&cli.StringFlag{Name: "cwd", Usage: "working directory in the container", Destination: &x.cwd},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "a variable of the environment, NAME=VALUE"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give it a terminal", Destination: &x.tty},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "UID[:GID]", Destination: &x.user},
			&cli.Int64SliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "a further group"},
			&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "file that describes the process, as in config.json", Destination: &x.file},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not wait for its end", Destination: &x.detach},
			&cli.StringFlag{Name: "pid-file", Usage: "file to write the process's number to", Destination: &x.pidFile},
			&cli.StringFlag{Name: "process-label", Usage: "SELinux label", Destination: &x.label},
			&cli.StringFlag{Name: "apparmor", Usage: "AppArmor profile", Destination: &x.apparmor},
			&cli.BoolFlag{Name: "no-new-privs", Usage: "it can gain no privileges by executing a file"},
			&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "a further capability"},
			&cli.IntFlag{Name: "preserve-fds", Usage: "how many descriptors after the standard ones and $LISTEN_FDS it gets", Destination: &x.preserve},
			&cli.StringSliceFlag{Name: "cgroup", Usage: "an existing group below the container's cgroup, [CONTROLLER,...:]PATH"},
			&cli.BoolFlag{Name: "ignore-paused", Usage: "also in a paused container, where it waits", Destination: &x.ignorePaused},
		},
		Action: func(c *cli.Context) error {
			err := arguments(c, 1, -1)
			if err != nil {
				return err
			}
			x.env, x.caps, x.cgroups, x.gids = c.StringSlice("env"), c.StringSlice("cap"), c.StringSlice("cgroup"), c.Int64Slice("additional-gids")
			if c.IsSet("no-new-privs") {
				value := c.Bool("no-new-privs")
				x.noNewPrivileges = &value
			}
			code := 0
			if err = seal(); err == nil {
				code, err = x.run(c.Args().First(), c.Args().Tail())
			}
			if err != nil {
				return &exitError{255, fmt.Errorf("exec failed: %w", err)}
			}
			return exitStatus(code)
		}}
}

// seal executes this program again from a read-only mount: until its execve the new
// process is a copy of this one, in sight of the container, which must not be able
// to write to the file on the host (CVE-2019-5736).
func seal() error {
	var st unix.Statfs_t
	if err := unix.Statfs("/proc/self/exe", &st); err == nil && st.Flags&unix.ST_RDONLY != 0 {
		return nil
	}
	program, err := runtime.OpenSelf()
	if err != nil {
		return err
	}
	return fmt.Errorf("execute the own program again: %w", syscall.Exec(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), os.Args, os.Environ()))
}

func (x *execution) run(id string, args []string) (int, error) {
	c, err := x.load(id)
	if err != nil {
		return 0, err
	}
	status, first, err := c.status()
	if err != nil {
		return 0, err
	}
	switch {
	case status == specs.StateStopped:
		return 0, errors.New("cannot exec in a stopped container")
	case status == paused && !x.ignorePaused:
		return 0, errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	defer first.Close()
	spec, err := c.spec()
	if err != nil {
		return 0, err
	}
	process, err := x.process(spec, args)
	if err != nil {
		return 0, err
	}
	group, err := x.group(c)
	if err != nil {
		return 0, err
	}
	files, err := preserved(process, x.preserve)
	if err != nil {
		return 0, err
	}
	stdio := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	f := &foreground{}
	if !x.detach {
		f.catch()
	}
	p, err := runtime.Exec(spec, first, process, group, runtime.Options{Stdio: stdio, PreserveFDs: files, State: c.State})
	if err != nil {
		return 0, fmt.Errorf("unable to start container process: %w", err)
	}
	defer p.Close()
	if err := x.hand(p); err != nil {
		p.Signal(unix.SIGKILL)
		p.Wait()
		return 0, err
	}
	if x.detach {
		return 0, nil
	}
	if p.Terminal != nil {
		if err := f.connect(p.Terminal); err != nil {
			return 0, err
		}
		defer f.disconnect()
	}
	return f.wait(p), nil
}

// group is the cgroup of the process: the container's, or what --cgroup names below it.
func (x *execution) group(c *container) (cgroup.Group, error) {
	if len(x.cgroups) == 0 {
		return c.group()
	}
	paths := maps.Clone(c.Cgroup.Paths)
	for _, text := range x.cgroups {
		controllers, below, named := strings.Cut(text, ":")
		if !named {
			controllers, below = "", text
		}
		found := false
		for name, dir := range c.Cgroup.Paths {
			if named && !slices.Contains(strings.Split(controllers, ","), name) {
				continue
			}
			found, paths[name] = true, filepath.Join(dir, filepath.Clean("/"+below))
			if _, err := os.Stat(paths[name]); err != nil {
				return cgroup.Group{}, fmt.Errorf("--cgroup %s: %w", text, err)
			}
		}
		if !found {
			return cgroup.Group{}, fmt.Errorf("--cgroup %s: unknown controller %s", text, controllers)
		}
	}
	return cgroup.Reopen(paths)
}

// hand gives the caller what it asked for.
func (x *execution) hand(p *runtime.Process) error {
	if x.consoleSocket != "" {
		if err := sendTerminal(x.consoleSocket, p.Terminal); err != nil {
			return err
		}
	}
	return writePid(x.pidFile, p.Pid)
}

// process is the process to execute: a file's, or the container's own with changes.
func (x *execution) process(spec *specs.Spec, args []string) (*specs.Process, error) {
	process := *spec.Process
	if x.file != "" {
		data, err := os.ReadFile(x.file)
		if err != nil {
			return nil, err
		}
		process = specs.Process{}
		if err := json.Unmarshal(data, &process); err != nil {
			return nil, fmt.Errorf("read %s: %w", x.file, err)
		}
	} else if err := x.change(&process, args); err != nil {
		return nil, err
	}
	switch {
	case process.Cwd == "":
		return nil, errors.New("cwd property must not be empty")
	case !filepath.IsAbs(process.Cwd):
		return nil, errors.New("cwd must be an absolute path")
	case len(process.Args) == 0:
		return nil, errors.New("process args cannot be empty")
	case process.Terminal && x.detach && x.consoleSocket == "":
		return nil, fmt.Errorf("cannot allocate tty if %s will detach without setting console socket", name)
	case (!process.Terminal || !x.detach) && x.consoleSocket != "":
		return nil, fmt.Errorf("cannot use console socket if %s will not detach or allocate tty", name)
	}
	return &process, isSocket(x.consoleSocket)
}

// change applies the flags.
func (x *execution) change(process *specs.Process, args []string) (err error) {
	process.Args, process.Terminal = args, x.tty
	process.Env = append(process.Env, x.env...)
	process.Cwd = cmp.Or(x.cwd, process.Cwd)
	process.ApparmorProfile = cmp.Or(x.apparmor, process.ApparmorProfile)
	process.SelinuxLabel = cmp.Or(x.label, process.SelinuxLabel)
	if x.noNewPrivileges != nil {
		process.NoNewPrivileges = *x.noNewPrivileges
	}
	if len(x.caps) > 0 {
		var caps specs.LinuxCapabilities
		if process.Capabilities != nil {
			caps = *process.Capabilities
		}
		caps.Bounding, caps.Effective, caps.Permitted = append(caps.Bounding, x.caps...), append(caps.Effective, x.caps...), append(caps.Permitted, x.caps...)
		process.Capabilities = &caps
	}
	if x.user != "" {
		if process.User.UID, process.User.GID, err = parseUser(x.user, process.User.GID); err != nil {
			return err
		}
	}
	for _, gid := range x.gids {
		if gid < 0 || gid > 1<<32-2 {
			return fmt.Errorf("additional-gids must be a positive number, not %d", gid)
		}
		process.User.AdditionalGids = append(process.User.AdditionalGids, uint32(gid))
	}
	return nil
}

// parseUser reads UID[:GID].
func parseUser(text string, otherwise uint32) (uid, gid uint32, err error) {
	first, second, both := strings.Cut(text, ":")
	n, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("parsing %s as int for uid failed: %w", first, err)
	}
	uid, gid = uint32(n), otherwise
	if both {
		if n, err = strconv.ParseUint(second, 10, 32); err != nil {
			return 0, 0, fmt.Errorf("parsing %s as int for gid failed: %w", second, err)
		}
		gid = uint32(n)
	}
	return uid, gid, nil
}
