package oci

import (
	"fmt"
	"io"
	"net"
	"os"
	"unsafe"

	"github.com/moby/term"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// isSocket checks the path of --console-socket, before anything is made.
func isSocket(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("console-socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("console-socket %s is not a socket", path)
	}
	return nil
}

// sendTerminal sends a terminal's master to who listens at the socket: one message,
// the terminal's name with the descriptor (SCM_RIGHTS, unix(7)).
func sendTerminal(path string, terminal *os.File) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("console-socket: %w", err)
	}
	defer conn.Close()
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	if controlErr := raw.Control(func(fd uintptr) {
		unix.SetNonblock(int(fd), false) // for programs that expect a master to block
		_, _, err = conn.WriteMsgUnix([]byte("/dev/ptmx"), unix.UnixRights(int(fd)), nil)
	}); controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return fmt.Errorf("send terminal to console-socket: %w", err)
	}
	return nil
}

// connect makes the own terminal the container's: in raw mode, and of one size.
func (f *foreground) connect(terminal *os.File) error {
	f.restore = func() {}
	if term.IsTerminal(0) {
		state, err := term.SetRawTerminal(0)
		if err != nil {
			return fmt.Errorf("set terminal to raw mode: %w", err)
		}
		f.restore = func() { term.RestoreTerminal(0, state) }
	}
	f.resize(terminal)
	f.output = make(chan struct{})
	go io.Copy(terminal, os.Stdin)
	go func() {
		io.Copy(os.Stdout, terminal) // to EIO: no process has the other side open
		close(f.output)
	}()
	return nil
}

func (f *foreground) disconnect() { f.restore() }

// resize gives the container's terminal the size of the own.
func (f *foreground) resize(terminal *os.File) {
	if terminal == nil {
		return
	}
	if size, err := term.GetWinsize(0); err == nil {
		term.SetWinsize(terminal.Fd(), size)
	}
}

// childOf reads the process number waitid(2) has filled in, 0 for none. On 64-bit
// machines the union that holds it begins at byte 16 of siginfo_t.
func childOf(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}

// giveStreams makes the process's user the owner of the standard streams, so that it
// can open /dev/stdout again. What is not possible (a read-only file system, a
// socket) is no error.
func giveStreams(streams [3]*os.File, spec *specs.Spec) {
	var null unix.Stat_t
	if err := unix.Stat("/dev/null", &null); err != nil {
		return
	}
	uid := hostID(spec.Process.User.UID, spec.Linux.UIDMappings)
	for _, stream := range streams {
		var st unix.Stat_t
		if err := unix.Fstat(int(stream.Fd()), &st); err == nil && st.Uid != uid && st.Rdev != null.Rdev {
			unix.Fchown(int(stream.Fd()), int(uid), -1)
		}
	}
}

// hostID is the number an ID of the container has outside.
func hostID(id uint32, mappings []specs.LinuxIDMapping) uint32 {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID
		}
	}
	return id
}
