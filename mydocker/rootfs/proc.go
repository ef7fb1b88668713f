package rootfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// PrivateProc mounts a proc file system that stands nowhere: nobody can have
// put anything over its files.
func PrivateProc() (*os.File, error) { return newMount("proc", "proc", options{}) }

// OpenProc opens a file of such a proc file system for writing, refusing links
// and other mounts on the way.
func OpenProc(proc *os.File, path string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_WRONLY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(int(proc.Fd()), path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/proc/" + path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
