package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// MakeNodes makes device nodes as 0, 1, 2, ... in the detached mount nodes, for a
// container that has none of the privileges for it, in its user namespace. The host's own
// nodes would not do: an owner the namespace does not know gives its root no access.
// ids are the container's.
func MakeNodes(nodes *os.File, devices []specs.LinuxDevice, ids namespace.IDs) error {
	for i, device := range devices {
		uid, gid, err := ids.Outside(owner(device))
		if err == nil {
			err = makeNode(nodes, strconv.Itoa(i), device, uid, gid)
		}
		if err != nil {
			return fmt.Errorf("make device %s: %w", device.Path, err)
		}
	}
	return nil
}

// BindDevices binds what MakeNodes has made to the devices' places below root.
func BindDevices(root *os.File, devices []specs.LinuxDevice, nodes *os.File) error {
	// A mount can be copied in parts only where it is attached (open_tree(2)): on what
	// goes away with the old root, and is looked at no more.
	if err := unix.MoveMount(int(nodes.Fd()), "", unix.AT_FDCWD, "/dev", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach the device nodes: %w", err)
	}
	for i, device := range devices {
		trace.Step("bind", "%s %s %d:%d", device.Path, device.Type, device.Major, device.Minor)
		if err := bindNode(root, device.Path, nodes, strconv.Itoa(i)); err != nil {
			return fmt.Errorf("bind device %s: %w", device.Path, err)
		}
	}
	return nil
}

func bindNode(root *os.File, path string, nodes *os.File, name string) error {
	dir, err := MakeDir(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	// Not where a link in the image or a bound /dev would lead.
	if fd, err := unix.Openat(int(dir.Fd()), filepath.Base(path), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644); err == nil {
		unix.Close(fd)
	} else if err != unix.EEXIST {
		return err
	}
	point, err := openNode(dir, filepath.Base(path))
	if err != nil {
		return err
	}
	defer point.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(point.Fd()), &st); err != nil {
		return err
	} else if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFLNK || kind == unix.S_IFDIR {
		return unix.EEXIST
	}
	fd, err := unix.OpenTree(int(nodes.Fd()), name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	mount := os.NewFile(uintptr(fd), path)
	defer mount.Close()
	return attach(mount, point)
}
