package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// DefaultDevices are the nodes every container has (OCI runtime specification,
// config-linux.md, "Default Devices"); /dev/console and /dev/ptmx come beside them.
func DefaultDevices() []specs.LinuxDevice {
	mode := os.FileMode(0o666)
	device := func(path string, major, minor int64) specs.LinuxDevice {
		return specs.LinuxDevice{Path: path, Type: "c", Major: major, Minor: minor, FileMode: &mode}
	}
	return []specs.LinuxDevice{
		device("/dev/null", 1, 3), device("/dev/zero", 1, 5), device("/dev/full", 1, 7),
		device("/dev/random", 1, 8), device("/dev/urandom", 1, 9), device("/dev/tty", 5, 0),
	}
}

// MakeDevices makes the device nodes below root.
func MakeDevices(root *os.File, devices []specs.LinuxDevice) error {
	for _, device := range devices {
		if err := makeDevice(root, device); err != nil {
			return fmt.Errorf("make device %s: %w", device.Path, err)
		}
	}
	return nil
}

func makeDevice(root *os.File, device specs.LinuxDevice) error {
	dir, err := MakeDir(root, filepath.Dir(device.Path))
	if err != nil {
		return err
	}
	defer dir.Close()
	uid, gid := owner(device)
	return makeNode(dir, filepath.Base(device.Path), device, int(uid), int(gid))
}

func owner(device specs.LinuxDevice) (uid, gid uint32) {
	if device.UID != nil {
		uid = *device.UID
	}
	if device.GID != nil {
		gid = *device.GID
	}
	return uid, gid
}

func makeNode(dir *os.File, name string, device specs.LinuxDevice, uid, gid int) error {
	kind, err := deviceKind(device.Type)
	if err != nil {
		return err
	}
	permissions := os.FileMode(0o666)
	if device.FileMode != nil {
		permissions = device.FileMode.Perm()
	}
	number := int(unix.Mkdev(uint32(device.Major), uint32(device.Minor)))
	trace.Step("mknod", "%s %s %d:%d", device.Path, device.Type, device.Major, device.Minor)
	err = unix.Mknodat(int(dir.Fd()), name, kind|uint32(permissions), number)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	// It may be in a volume, and another container exchange what is there for a link, which
	// leads to the host before the pivot: so what has the name is opened, and then looked at.
	node, err := openNode(dir, name)
	if err != nil {
		return err
	}
	defer node.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(node.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != kind || st.Rdev != uint64(number) && kind != unix.S_IFIFO {
		return unix.EEXIST
	}
	// mknod obeys the umask; the specification's mode does not.
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", node.Fd()), uint32(permissions)); err != nil {
		return err
	}
	return unix.Fchownat(int(node.Fd()), "", uid, gid, unix.AT_EMPTY_PATH)
}

// openNode opens what has a name, and no link that it may be.
func openNode(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func deviceKind(t string) (uint32, error) {
	switch t {
	case "c", "u":
		return unix.S_IFCHR, nil
	case "b":
		return unix.S_IFBLK, nil
	case "p":
		return unix.S_IFIFO, nil
	}
	return 0, fmt.Errorf("unknown device type %q", t)
}

// MakeLinks makes the symbolic links that belong into /dev.
func MakeLinks(root *os.File) error {
	dev, err := MakeDir(root, "/dev")
	if err != nil {
		return err
	}
	defer dev.Close()
	links := [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	}
	if _, err := os.Stat("/proc/kcore"); err == nil {
		links = append(links, [2]string{"/proc/kcore", "core"})
	}
	for _, link := range links {
		if link[1] == "ptmx" {
			unix.Unlinkat(int(dev.Fd()), "ptmx", 0) // the host's, in an image that has one
		}
		if err := unix.Symlinkat(link[0], int(dev.Fd()), link[1]); err != nil && err != unix.EEXIST {
			return fmt.Errorf("link /dev/%s: %w", link[1], err)
		}
	}
	return nil
}

// OpenTerminal makes a pseudo-terminal in the container's own /dev/pts, owned by
// uid, and returns both ends. The host's terminals are not visible in the
// container, and this one goes with it. Its group is what the mount option gid says, or
// the caller's, or gid if the container's user namespace does not know that.
func OpenTerminal(root *os.File, uid, gid int) (master, slave *os.File, err error) {
	// The device numbers of a devpts instance are its own: opening by the
	// container's /dev/pts/ptmx, checked to be devpts, and never by /dev/ptmx,
	// which the image may have replaced; nor what the container may have mounted over it.
	point, err := lookup(root, "/dev/pts", unix.O_DIRECTORY)
	if err != nil {
		return nil, nil, err
	}
	defer point.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(point.Fd()), &st); err != nil || st.Type != unix.DEVPTS_SUPER_MAGIC {
		return nil, nil, fmt.Errorf("/dev/pts is no devpts file system: %w", unix.ENODEV)
	}
	trace.Step("open", "/dev/pts/ptmx: a new pseudo-terminal of the container")
	how := unix.OpenHow{Flags: unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(point.Fd()), "ptmx", &how)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/pts/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock pseudo-terminal: %w", err)
	}
	// TIOCGPTPEER opens the other end without a path (since 4.13).
	peer, err := openPeer(fd)
	if err != nil {
		return nil, nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	slave = os.NewFile(uintptr(peer), "/dev/console")
	if err = unix.Fchown(peer, uid, -1); errors.Is(err, unix.EOVERFLOW) {
		err = unix.Fchown(peer, uid, gid)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("chown pseudo-terminal: %w", err)
	}
	return master, slave, nil
}

func openPeer(master int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// BindConsole shows the terminal as /dev/console. The bind is made from the open
// descriptor, so what stands at its path does not matter (CVE-2025-52565).
func BindConsole(root, slave *os.File) error {
	point, err := makeFile(root, "/dev/console")
	if err != nil {
		return err
	}
	defer point.Close()
	fd, err := unix.OpenTree(int(slave.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("open_tree of the terminal: %w", err)
	}
	mount := os.NewFile(uintptr(fd), "console")
	defer mount.Close()
	if err := attach(mount, point); err != nil {
		return fmt.Errorf("bind /dev/console: %w", err)
	}
	return nil
}
