package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Everything below the container's root may have been laid out by a hostile
// image: a symbolic link in the place of a mount point that leads to the host's
// /etc, for one (CVE-2021-30465). So a path in it is resolved by openat2(2) with
// RESOLVE_IN_ROOT, where links, absolute ones and "..", cannot leave the root,
// and from then on only the descriptor is used, never the path again.

// lookup opens a path below root without opening the file itself (O_PATH).
func lookup(root *os.File, path string, flags uint64) (*os.File, error) {
	return resolve(root, path, flags, unix.RESOLVE_NO_MAGICLINKS)
}

func resolve(root *os.File, path string, flags, how uint64) (*os.File, error) {
	open := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_IN_ROOT | how}
	for {
		fd, err := unix.Openat2(int(root.Fd()), path, &open)
		// EAGAIN: a rename raced with ".."; the kernel asks to try again.
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}

// Lookup opens a path below root with O_PATH; links on the way cannot leave root.
// One at its end is opened itself, unless follow is set or a slash comes after it.
func Lookup(root *os.File, path string, follow bool) (*os.File, error) {
	if follow {
		return lookup(root, path, 0)
	}
	return lookup(root, path, unix.O_NOFOLLOW)
}

// OpenIn opens a regular file below root for reading; links in it cannot leave root.
// An absent file is an error that matches os.ErrNotExist. What else may stand there is
// looked at before it is opened: a fifo would block, and a device node do on the host, to
// whoever opens it there, what the container itself may not (/dev/watchdog reboots).
func OpenIn(root *os.File, path string) (*os.File, error) {
	at, err := lookup(root, path, 0)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	if info, err := at.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: path, Err: cmp.Or(err, errors.New("it is no regular file"))}
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", at.Fd()))
}

// MakeDir makes the directory path below root, its parents too, and opens it. Where a
// link leads to nothing, what it leads to is made.
func MakeDir(root *os.File, path string) (*os.File, error) { return makeDir(root, path, maxLinks) }

func makeDir(root *os.File, path string, links int) (*os.File, error) {
	if dir, err := lookup(root, path, unix.O_DIRECTORY); err == nil || !errors.Is(err, os.ErrNotExist) {
		return dir, err
	}
	done := "."
	dir, err := lookup(root, done, unix.O_DIRECTORY)
	names := strings.Split(path, "/")
	for i, name := range names {
		if err != nil {
			return nil, err
		}
		parent, above := dir, done
		done += "/" + name // not cleaned: ".." goes up from where links have led
		dir, err = lookup(root, done, unix.O_DIRECTORY)
		if errors.Is(err, os.ErrNotExist) {
			err = unix.Mkdirat(int(parent.Fd()), name, 0o755)
			if err == nil {
				dir, err = lookup(root, done, unix.O_DIRECTORY)
			} else if target := linkTarget(parent, name, above); target != "" && links > 0 {
				parent.Close()
				return makeDir(root, target+"/"+strings.Join(names[i+1:], "/"), links-1)
			} else {
				err = &os.PathError{Op: "mkdir", Path: path, Err: err}
			}
		}
		parent.Close()
	}
	return dir, err
}

// maxLinks is how many links that lead to nothing are followed one after the other (path_resolution(7)).
const maxLinks = 40

// linkTarget gives where a link in the directory dir leads, as a path below root; "": it is none.
func linkTarget(dir *os.File, name, path string) string {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buffer)
	if err != nil || n == 0 {
		return ""
	}
	target := string(buffer[:n])
	if !filepath.IsAbs(target) {
		target = path + "/" + target
	}
	return target
}

// makeFile makes an empty file at path below root if nothing is there, its
// parent directories too, and opens it with O_PATH.
func makeFile(root *os.File, path string) (*os.File, error) {
	for range maxLinks {
		if file, err := lookup(root, path, 0); err == nil || !errors.Is(err, os.ErrNotExist) {
			return file, err
		}
		above, name := filepath.Split(strings.TrimRight(path, "/"))
		parent, err := MakeDir(root, "/"+above)
		if err != nil {
			return nil, err
		}
		fd, err := unix.Openat(int(parent.Fd()), name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_WRONLY, 0o755)
		target := linkTarget(parent, name, above)
		parent.Close()
		switch {
		case err == nil:
			unix.Close(fd)
		case err != unix.EEXIST || target == "":
			return nil, &os.PathError{Op: "create", Path: path, Err: err}
		default:
			path = target
		}
	}
	return nil, &os.PathError{Op: "create", Path: path, Err: unix.ELOOP}
}

// target opens the mount point for a mount, made if it is missing: a directory,
// or for the bind mount of a file a file.
func target(root *os.File, m specs.Mount, directory bool) (*os.File, error) {
	point, err := openTarget(root, m, directory)
	if err == nil {
		err = refuseProc(point, m)
	}
	if err != nil {
		point.Close() // of a nil file an error, not a panic
		return nil, err
	}
	return point, nil
}

func openTarget(root *os.File, m specs.Mount, directory bool) (*os.File, error) {
	if !directory {
		return makeFile(root, m.Destination)
	}
	dir, err := MakeDir(root, m.Destination)
	if errors.Is(err, unix.ENOTDIR) {
		err = errKind
	}
	if err != nil || m.Type != "proc" && m.Type != "sysfs" {
		return dir, err
	}
	// What is masked later is looked up again: these two must be where they seem to be (CVE-2019-19921).
	dir.Close()
	dir, err = resolve(root, m.Destination, unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ELOOP) {
		err = fmt.Errorf("%q must be an ordinary directory of the image", m.Destination)
	}
	return dir, err
}

// refuseProc refuses a mount point that is the container's /proc or inside it, wherever links
// in the image have put it: a fake /proc/self/attr there would make the kernel's
// own protections be written to a file of the image (CVE-2019-16884). It looks at
// the opened point: what a path leads to may be exchanged.
func refuseProc(point *os.File, m specs.Mount) error {
	path := m.Destination
	clean := filepath.Clean("/" + path)
	var st unix.Statfs_t
	if clean == "/proc" {
		if m.Type == "proc" || m.Type == "bind" && unix.Statfs(m.Source, &st) == nil && st.Type == unix.PROC_SUPER_MAGIC {
			return nil
		}
		return fmt.Errorf("%q cannot be mounted because it is not of type proc", path)
	}
	if err := unix.Fstatfs(int(point.Fd()), &st); err != nil {
		return err
	}
	if st.Type != unix.PROC_SUPER_MAGIC {
		return nil
	}
	switch clean {
	case "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
		"/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled":
		return nil // what lxcfs and the like replace
	}
	return fmt.Errorf("%q cannot be mounted because it is inside /proc", path)
}
