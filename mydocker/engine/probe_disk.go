package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/overlay"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// enough is how much space doctor wants to see free, in bytes: an image or two.
const enough = 500 << 20

func probeDisk(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("statfs %s: %w", dir, err)
	}
	size := func(blocks uint64) string { return units.BytesSize(float64(blocks * uint64(st.Bsize))) }
	detail := fmt.Sprintf("%s on %s: %s of %s free", dir, fileSystem(dir), size(st.Bavail), size(st.Blocks))
	if st.Bavail*uint64(st.Bsize) < enough {
		return "", errors.New(detail)
	}
	if st.Files > 0 && st.Ffree < 10_000 {
		return "", fmt.Errorf("%s, but room for %d files only", detail, st.Ffree)
	}
	return detail, nil
}

// fileSystem names the type of the file system a directory is on, as Docker does
// in its "Backing Filesystem".
func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "<unknown>"
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "extfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case 0x2fc12fc1:
		return "zfs"
	}
	return "<unknown>"
}

func probeTypes(dir string) (string, error) {
	known, err := hasTypes(dir)
	if err == nil && !known {
		err = errors.New("the file system does not tell a file's type in its directory (d_type), which overlayfs needs")
	}
	return "d_type", err
}

// hasTypes reads a directory that is not empty, or not even that, and tells
// whether its entries have a type: byte 18 of struct linux_dirent64,
// getdents64(2), is 0 where the file system does not keep it.
func hasTypes(dir string) (bool, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	buffer := make([]byte, 4096)
	n, err := unix.Getdents(fd, buffer)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", dir, err)
	}
	for entry := buffer[:n]; len(entry) > 18; entry = entry[binary.NativeEndian.Uint16(entry[16:]):] {
		if entry[18] == unix.DT_UNKNOWN {
			return false, nil
		}
	}
	return true, nil
}

// probeAttributes sets the attributes overlayfs keeps its marks in and files
// their capabilities.
func probeAttributes(dir string) (string, error) {
	file := filepath.Join(dir, "attributes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return "", err
	}
	defer os.Remove(file)
	// vfs_cap_data, version 2, with no capabilities (linux/capability.h)
	none := binary.LittleEndian.AppendUint32(nil, 0x02000000)
	none = append(none, make([]byte, 16)...)
	for name, value := range map[string][]byte{"trusted.mydocker": []byte("x"), "security.capability": none} {
		if err := unix.Setxattr(file, name, value, 0); err != nil {
			return "", fmt.Errorf("set %s on %s: %w", name, fileSystem(dir), err)
		}
	}
	return "trusted, security", nil
}

// probeOverlay mounts an overlay, and changes and deletes in it what is below.
func probeOverlay(dir string) (string, error) {
	m := overlay.Mount{Lower: []string{filepath.Join(dir, "lower")}, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Volatile: true}
	if err := makeLower(m.Lower[0]); err != nil {
		return "", err
	}
	if err := m.Prepare(0, 0); err != nil {
		return "", err
	}
	root, err := m.Open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := unix.Fchmodat(int(root.Fd()), "changed", 0o600, 0); err != nil {
		return "", fmt.Errorf("change a file in an overlay: %w", err)
	}
	if err := unix.Unlinkat(int(root.Fd()), "deleted", 0); err != nil {
		return "", fmt.Errorf("delete a file in an overlay: %w", err)
	}
	return "mounted below " + filepath.Dir(filepath.Dir(dir)), nil
}

func makeLower(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"changed", "deleted"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// mappedRoot is the user that root is mapped to while id-mapped mounts are tried.
const mappedRoot = 100_000

// probeIDMap shows a directory with other owners by mount_setattr(2),
// MOUNT_ATTR_IDMAP (Linux 5.12, ext4, xfs and others), and puts the result below
// an overlay (Linux 5.19), as an image's layers for a container with a user
// namespace.
func probeIDMap(dir string) (string, error) {
	lower := filepath.Join(dir, "lower")
	if err := makeLower(lower); err != nil {
		return "", err
	}
	users, err := userNamespace()
	if err != nil {
		return "", err
	}
	defer users.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, lower, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return "", fmt.Errorf("mount_setattr MOUNT_ATTR_IDMAP on %s: %w", fileSystem(dir), err)
	}
	for _, name := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	return "below overlays too", namespace.OnThread(func() error { return overlayOn(tree, dir) })
}

// overlayOn attaches the tree and an overlay on it in the calling thread's own
// mount namespace, which ends with the thread.
func overlayOn(tree int, dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, "lower", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	if err := unix.Mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"); err != nil {
		return fmt.Errorf("mount overlay on an id-mapped layer: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat("merged/changed", &st); err != nil {
		return err
	}
	if st.Uid != mappedRoot {
		return fmt.Errorf("a file of root appears as user %d, not %d", st.Uid, mappedRoot)
	}
	return nil
}

// userNamespace makes a user namespace in which root is mappedRoot outside.
func userNamespace() (*os.File, error) {
	child, err := cloneWaiting(unix.CLONE_NEWUSER)
	if err != nil {
		return nil, err
	}
	defer child.end()
	var line bytes.Buffer
	fmt.Fprintf(&line, "0 %d 65536\n", mappedRoot)
	for _, file := range []string{"uid_map", "gid_map"} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", child.pid, file), line.Bytes(), 0); err != nil {
			return nil, err
		}
	}
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", child.pid))
}
