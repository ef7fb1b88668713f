package oci

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// caller is what whoever starts a process gives it and gets of it: the flags that
// create, run and exec have in common.
type caller struct {
	consoleSocket, pidFile string
	preserve               int
	detach                 bool
}

func (o *caller) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "console-socket", Usage: "socket to which the terminal's master is sent", Destination: &o.consoleSocket},
		&cli.StringFlag{Name: "pid-file", Usage: "file to write the process's number to", Destination: &o.pidFile},
		&cli.IntFlag{Name: "preserve-fds", Usage: "how many descriptors after the standard ones and $LISTEN_FDS the process gets", Destination: &o.preserve},
	}
}

func (o *caller) detachFlag() cli.Flag {
	return &cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not wait for the process's end", Destination: &o.detach}
}

// check is made before anything else is.
func (o *caller) check(p *specs.Process) error {
	switch {
	case p.Terminal && o.detach && o.consoleSocket == "":
		return fmt.Errorf("cannot allocate tty if %s will detach without setting console socket", name)
	case o.consoleSocket == "":
		return nil
	case !p.Terminal || !o.detach:
		return fmt.Errorf("cannot use console socket if %s will not detach or allocate tty", name)
	}
	info, err := os.Stat(o.consoleSocket)
	if err == nil && info.Mode()&os.ModeSocket == 0 {
		err = fmt.Errorf("%s is not a socket", o.consoleSocket)
	}
	if err != nil {
		return fmt.Errorf("console-socket: %w", err)
	}
	return nil
}

// options are the descriptors of the process: the caller's standard streams, and from 3
// on those of socket activation (sd_listen_fds(3)) and the asked number more.
func (o *caller) options(p *specs.Process) (runtime.Options, error) {
	options := runtime.Options{Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, Orphan: o.detach}
	n := o.preserve
	if listen := os.Getenv("LISTEN_FDS"); listen != "" {
		count, err := strconv.Atoi(listen)
		if err != nil || count < 0 {
			return options, fmt.Errorf("LISTEN_FDS %q is not a number", listen)
		}
		n += count
		p.Env = append(p.Env, "LISTEN_FDS="+listen, "LISTEN_PID=1")
	}
	for fd := 3; fd < 3+n; fd++ {
		// Close-on-exec are this program's own, which lead to the host: never in a container.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 {
			err = unix.EBADF
		}
		if err != nil {
			return options, fmt.Errorf("please check that preserved-fd %d (of %d) is present: %w", fd, n, err)
		}
		options.PreserveFDs = append(options.PreserveFDs, os.NewFile(uintptr(fd), "preserved"))
	}
	return options, nil
}

// hand gives the caller what it asked for: to the socket goes one message, the
// terminal's name with the descriptor of its master (SCM_RIGHTS, unix(7)).
func (o *caller) hand(p *runtime.Process) error {
	if o.consoleSocket != "" {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: o.consoleSocket, Net: "unix"})
		if err == nil {
			defer conn.Close()
			unix.SetNonblock(int(p.Terminal.Fd()), false) // who gets it expects a master to block
			_, _, err = conn.WriteMsgUnix([]byte("/dev/ptmx"), unix.UnixRights(int(p.Terminal.Fd())), nil)
		}
		if err != nil {
			return fmt.Errorf("send terminal to console-socket: %w", err)
		}
	}
	if o.pidFile == "" {
		return nil
	}
	return disk.WriteFile(o.pidFile, []byte(strconv.Itoa(p.Pid)), 0o644, disk.Volatile)
}

// giveStreams makes the process's user the owner of the standard streams, so that it
// can open /dev/stdout again. What is not possible (a read-only file system, a
// socket) is no error.
func giveStreams(streams [3]*os.File, spec *specs.Spec) {
	var null, st unix.Stat_t
	if err := unix.Stat("/dev/null", &null); err != nil {
		return
	}
	uid := spec.Process.User.UID
	for _, m := range spec.Linux.UIDMappings {
		if id := spec.Process.User.UID; id >= m.ContainerID && id-m.ContainerID < m.Size {
			uid = m.HostID + id - m.ContainerID
		}
	}
	for _, stream := range streams {
		if err := unix.Fstat(int(stream.Fd()), &st); err == nil && st.Uid != uid && st.Rdev != null.Rdev {
			unix.Fchown(int(stream.Fd()), int(uid), -1)
		}
	}
}
