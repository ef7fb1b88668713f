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

// execution is a further process of a container.
type execution struct {
	*host
	caller
	c *cli.Context // the other flags
}

func (x *execution) flags() []cli.Flag {
	return append(x.caller.flags(), x.detachFlag(),
		text("cwd", "working directory in the container"), several("env,e", "a variable of the environment, NAME=VALUE"), on("tty,t", "give it a terminal"),
		text("user,u", "UID[:GID]"), several("additional-gids,g", "a further group"), several("cap,c", "a further capability"),
		text("process,p", "file that describes the process, as in config.json"), text("process-label", "SELinux label"), text("apparmor", "AppArmor profile"),
		on("no-new-privs", "it can gain no privileges by executing a file"),
		several("cgroup", "an existing group below the container's cgroup, [CONTROLLER,...:]PATH"),
		on("ignore-paused", "also in a paused container, where it waits"))
}

func (x *execution) action(c *cli.Context, id string) error {
	code, err := 0, seal()
	if x.c = c; err == nil {
		code, err = x.run(id)
	}
	if err != nil {
		return &exitError{255, fmt.Errorf("exec failed: %w", err)}
	}
	return &exitError{code: code}
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

func (x *execution) run(id string) (int, error) {
	c, err := x.load(id)
	if err != nil {
		return 0, err
	}
	v, err := c.look()
	if err != nil {
		return 0, err
	}
	defer v.close()
	switch {
	case v.status == specs.StateStopped:
		return 0, errors.New("cannot exec in a stopped container")
	case v.status == paused && !x.c.Bool("ignore-paused"):
		return 0, errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	spec, err := c.spec()
	if err != nil {
		return 0, err
	}
	process, err := x.process(*spec.Process)
	if err != nil {
		return 0, err
	}
	group, err := x.group(c, v.group)
	if err != nil {
		return 0, err
	}
	options, err := x.options(process)
	if err != nil {
		return 0, err
	}
	options.State = c.State
	f := &foreground{}
	if !x.detach {
		f.catch()
	}
	p, err := runtime.Exec(spec, v.process, process, group, options)
	if err != nil {
		return 0, fmt.Errorf("unable to start container process: %w", err)
	}
	defer p.Close()
	if err = x.hand(p); err == nil && !x.detach {
		err = f.connect(p.Terminal)
	}
	switch {
	case err != nil:
		p.Signal(unix.SIGKILL)
		p.Wait()
		return 0, err
	case x.detach:
		return 0, nil
	}
	return f.wait(p), nil
}

// group is the cgroup of the process: the container's, or what --cgroup names below it.
func (x *execution) group(c *container, own cgroup.Group) (cgroup.Group, error) {
	asked := x.c.StringSlice("cgroup")
	if len(asked) == 0 {
		return own, nil
	}
	paths := maps.Clone(c.Cgroup.Paths)
	for _, text := range asked {
		controllers, below, named := strings.Cut(text, ":")
		if !named {
			below = text
		}
		found := false
		for name, dir := range c.Cgroup.Paths {
			if named && !slices.Contains(strings.Split(controllers, ","), name) {
				continue
			}
			found, paths[name] = true, filepath.Join(dir, below)
			_, err := os.Stat(paths[name])
			if !strings.HasPrefix(paths[name]+"/", dir+"/") {
				err = errors.New("not below the container's")
			}
			if err != nil {
				return cgroup.Group{}, fmt.Errorf("--cgroup %s: %w", text, err)
			}
		}
		if !found {
			return cgroup.Group{}, fmt.Errorf("--cgroup %s: unknown controller %s", text, controllers)
		}
	}
	return cgroup.Reopen(paths)
}

// process is the process to execute: a file's, or the container's first with changes.
func (x *execution) process(process specs.Process) (*specs.Process, error) {
	file := x.c.String("process")
	data, err := []byte(nil), error(nil)
	if file == "" {
		err = x.change(&process)
	} else if data, err = os.ReadFile(file); err == nil {
		process = specs.Process{}
		err = json.Unmarshal(data, &process)
	}
	if err != nil {
		return nil, err
	}
	return &process, x.check(&process)
}

// change applies the flags.
func (x *execution) change(p *specs.Process) error {
	p.Args, p.Terminal = x.c.Args().Tail(), x.c.Bool("tty")
	p.Env = append(p.Env, x.c.StringSlice("env")...)
	p.Cwd = cmp.Or(x.c.String("cwd"), p.Cwd)
	p.ApparmorProfile = cmp.Or(x.c.String("apparmor"), p.ApparmorProfile)
	p.SelinuxLabel = cmp.Or(x.c.String("process-label"), p.SelinuxLabel)
	if x.c.IsSet("no-new-privs") {
		p.NoNewPrivileges = x.c.Bool("no-new-privs")
	}
	if more := x.c.StringSlice("cap"); len(more) > 0 {
		if p.Capabilities == nil {
			p.Capabilities = &specs.LinuxCapabilities{}
		}
		for _, set := range []*[]string{&p.Capabilities.Bounding, &p.Capabilities.Effective, &p.Capabilities.Permitted} {
			*set = append(*set, more...)
		}
	}
	groups := make([]uint32, len(x.c.StringSlice("additional-gids")))
	for i, text := range x.c.StringSlice("additional-gids") {
		if err := parseID(&groups[i], "additional-gids", text); err != nil {
			return err
		}
	}
	p.User.AdditionalGids = append(p.User.AdditionalGids, groups...)
	uid, gid, both := strings.Cut(x.c.String("user"), ":")
	err := error(nil)
	if uid != "" || both {
		err = parseID(&p.User.UID, "uid", uid)
	}
	if both {
		err = errors.Join(err, parseID(&p.User.GID, "gid", gid))
	}
	return err
}

func parseID(to *uint32, what, text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("parsing %s as int for %s failed: %w", text, what, err)
	}
	*to = uint32(n)
	return nil
}
