package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// creation is a container in the making, and the flags of create and run.
type creation struct {
	*container
	*host
	spec    *specs.Spec
	cgroup  cgroup.Group
	process *runtime.Process
	unlock  func()

	bundle, pidFile, consoleSocket    string
	noPivot, noNewKeyring             bool
	detach, keep, noSubreaper, starts bool
	preserve                          int
}

func (n *creation) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory of the bundle, by default the current", Destination: &n.bundle},
		&cli.StringFlag{Name: "console-socket", Usage: "socket to which the terminal's master is sent", Destination: &n.consoleSocket},
		&cli.StringFlag{Name: "pid-file", Usage: "file to write the process's number to", Destination: &n.pidFile},
		&cli.BoolFlag{Name: "no-pivot", Usage: "change the root by chroot: for a root on a ramdisk, from which pivot_root is impossible", Destination: &n.noPivot},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "let the container have the session keyring of the caller", Destination: &n.noNewKeyring},
		&cli.IntFlag{Name: "preserve-fds", Usage: "how many descriptors after the standard ones and $LISTEN_FDS the container gets", Destination: &n.preserve},
	}
}

func (h *host) createCommand() *cli.Command {
	n := &creation{host: h, detach: true}
	return &cli.Command{Name: "create", Usage: "create a container", ArgsUsage: "<container-id>", Flags: n.flags(),
		Action: h.on(func(_ *cli.Context, id string) error {
			err := n.create(id)
			if err != nil {
				return fmt.Errorf("%s create failed: %w", name, err)
			}
			n.unlock()
			return nil
		})}
}

// create makes the container and takes its process to where start lets it go. The
// lock is held on success.
func (n *creation) create(id string) (err error) {
	if err := n.load(); err != nil {
		return err
	}
	dir, unlock, err := n.make(id)
	if err != nil {
		return err
	}
	n.unlock = unlock
	n.container = &container{dir: dir, record: record{Created: time.Now().UTC(), Rootfs: n.spec.Root.Path,
		State: specs.State{Version: specs.Version, ID: id, Bundle: n.bundle, Annotations: n.spec.Annotations}}}
	defer func() {
		if err != nil {
			n.warn(n.destroy())
			n.unlock()
		}
	}()
	if err := copyFile(filepath.Join(n.bundle, "config.json"), filepath.Join(dir, "config.json")); err != nil {
		return err
	}
	if err := n.prepareGroup(); err != nil {
		return err
	}
	files, err := preserved(n.spec.Process, n.preserve)
	if err != nil {
		return err
	}
	stdio := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	giveStreams(stdio, n.spec)
	n.process, err = runtime.Create(n.spec, dir, n.cgroup, runtime.Options{Stdio: stdio, Connect: n.recordProcess, State: n.State, PreserveFDs: files,
		NoPivot: n.noPivot, NoNewKeyring: n.noNewKeyring})
	if err != nil {
		return fmt.Errorf("unable to start container process: %w", err)
	}
	if n.consoleSocket != "" {
		if err := sendTerminal(n.consoleSocket, n.process.Terminal); err != nil {
			return err
		}
	}
	if err := writePid(n.pidFile, n.process.Pid); err != nil {
		return err
	}
	return n.publish()
}

// recordProcess is called when the process exists and waits.
func (n *creation) recordProcess(pid int) (err error) {
	n.Pid = pid
	if n.StartTime, err = startTime(pid); err != nil {
		return err
	}
	return n.save()
}

// load reads the bundle and checks it against the flags.
func (n *creation) load() (err error) {
	if n.bundle, err = filepath.Abs(n.bundle); err != nil {
		return err
	}
	if n.spec, err = runtime.Load(n.bundle); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			if _, err := os.Stat(n.bundle); err != nil {
				return fmt.Errorf("bundle: %w", err)
			}
			return errors.New("JSON specification file config.json not found")
		}
		return err
	}
	s := n.spec
	switch {
	case s.Version != "" && !strings.HasPrefix(s.Version, "1."):
		return fmt.Errorf("ociVersion %q of config.json is not supported: this runtime knows %s", s.Version, specs.Version)
	case s.Process == nil:
		return errors.New("process property must not be empty")
	case s.Linux == nil:
		return errors.New("linux property must not be empty")
	case s.Root == nil || s.Root.Path == "":
		return errors.New("root property must not be empty")
	case n.detach && s.Process.Terminal && n.consoleSocket == "":
		return fmt.Errorf("cannot allocate tty if %s will detach without setting console socket", name)
	case (!n.detach || !s.Process.Terminal) && n.consoleSocket != "":
		return fmt.Errorf("cannot use console socket if %s will not detach or allocate tty", name)
	}
	if err := isSocket(n.consoleSocket); err != nil {
		return err
	}
	if info, err := os.Stat(s.Root.Path); err != nil || !info.IsDir() {
		return fmt.Errorf("rootfs (%s) does not exist", s.Root.Path)
	}
	return nil
}

// destroy undoes a creation, and ends a container that ran in the foreground.
func (n *creation) destroy() error {
	if n.process != nil {
		if !n.process.Done() {
			n.process.Signal(unix.SIGKILL)
		}
		n.process.Wait()
		n.process.Close()
	}
	return n.remove(n.container, n.spec)
}

// writePid writes the file for the caller, whole or not at all.
func writePid(path string, pid int) error {
	if path == "" {
		return nil
	}
	return disk.WriteFile(path, []byte(strconv.Itoa(pid)), 0o644, disk.Volatile)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	return err
}

// preserved are the descriptors from 3 on which the process gets: those of socket
// activation (sd_listen_fds(3)), and n more.
func preserved(process *specs.Process, n int) (files []*os.File, err error) {
	if listen := os.Getenv("LISTEN_FDS"); listen != "" {
		count, err := strconv.Atoi(listen)
		if err != nil || count < 0 {
			return nil, fmt.Errorf("LISTEN_FDS %q is not a number", listen)
		}
		n += count
		process.Env = append(process.Env, "LISTEN_FDS="+listen, "LISTEN_PID=1")
	}
	for fd := 3; fd < 3+n; fd++ {
		// Close-on-exec are this process's own, which lead to the host: never in a container.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 {
			err = unix.EBADF
		}
		if err != nil {
			return nil, fmt.Errorf("please check that preserved-fd %d (of %d) is present: %w", fd, n, err)
		}
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprint("preserved ", fd)))
	}
	return files, nil
}
