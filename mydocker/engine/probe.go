package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/overlay"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

func probeNamespace(flag uintptr) error {
	if flag == unix.CLONE_NEWUSER {
		users, err := userNamespace()
		users.Close() // harmless if nil
		return err
	}
	return namespace.OnThread(func() error {
		if err := unix.Unshare(int(flag)); err != nil {
			return fmt.Errorf("unshare %s: %w", namespace.Names(flag), err)
		}
		return nil
	})
}

// userNamespace makes a user namespace in which root is user 100,000 outside.
//
// A process with several threads cannot unshare one (unshare(2): EINVAL), so a
// child is born in it. Its program never runs: a traced child stops at the end of
// execve(2), and dies with its tracer's thread.
func userNamespace() (users *os.File, err error) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100_000, Size: 65536}}
	attr := &os.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Ptrace: true, Pdeathsig: unix.SIGKILL,
	}}
	err = namespace.OnThread(func() error {
		child, err := os.StartProcess("/proc/self/exe", []string{"mydocker", "version"}, attr)
		if err != nil {
			return fmt.Errorf("clone CLONE_NEWUSER: %w", err)
		}
		users, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", child.Pid))
		child.Kill()
		child.Wait()
		return err
	})
	return users, err
}

// probeSeccomp asks for an action of filters: seccomp(2), SECCOMP_GET_ACTION_AVAIL.
func probeSeccomp() error {
	return namespace.Do([]namespace.Call{namespace.NewCall("seccomp SECCOMP_GET_ACTION_AVAIL",
		unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, namespace.Pointer(new(uint32(unix.SECCOMP_RET_ERRNO))))})
}

// probeNftables asks for the generation of the rules (linux/netfilter/nf_tables.h).
// The kernel loads the module for it, and has answered when sendto(2) returns.
func probeNftables() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	request := struct {
		unix.NlMsghdr
		unix.Nfgenmsg
	}{
		unix.NlMsghdr{Len: 20, Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: unix.NLM_F_REQUEST},
		unix.Nfgenmsg{Version: unix.NFNETLINK_V0},
	}
	message := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	answer := make([]byte, 4096)
	err = unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err == nil {
		_, _, err = unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
	}
	if err == nil && binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		err = syscall.Errno(-int32(binary.NativeEndian.Uint32(answer[16:]))) // EINVAL: there is no such subsystem
	}
	if err != nil {
		return fmt.Errorf("ask nf_tables: %w", err)
	}
	return nil
}

// probeDisk wants to see room for an image or two.
func probeDisk(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("statfs %s: %w", dir, err)
	}
	size := func(blocks uint64) string { return units.BytesSize(float64(blocks * uint64(st.Bsize))) }
	detail := fmt.Sprintf("%s on %s: %s of %s and %d files free", dir, fileSystem(dir), size(st.Bavail), size(st.Blocks), st.Ffree)
	if st.Bavail*uint64(st.Bsize) < 500<<20 || st.Files > 0 && st.Ffree < 10_000 {
		return "", errors.New(detail)
	}
	return detail, nil
}

// fileSystem names the type of the file system a directory is on, as Docker does
// in its "Backing Filesystem".
func fileSystem(dir string) string {
	var st unix.Statfs_t
	unix.Statfs(dir, &st)
	return cmp.Or(map[uint32]string{
		unix.EXT4_SUPER_MAGIC: "extfs", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.F2FS_SUPER_MAGIC: "f2fs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "nfs", 0x2fc12fc1: "zfs",
	}[uint32(st.Type)], "<unknown>")
}

// probeAttributes sets an attribute of the kind overlayfs keeps its marks in, and
// one of the kind files have their capabilities in.
func probeAttributes(dir string) error {
	for _, name := range []string{"trusted.mydocker", "security.mydocker"} {
		if err := unix.Setxattr(dir, name, []byte("x"), 0); err != nil {
			return fmt.Errorf("set %s on %s: %w", name, fileSystem(dir), err)
		}
	}
	return nil
}

// probeOverlay mounts an overlay, and changes and deletes in it what is below.
func probeOverlay(dir string) error {
	m := overlay.Mount{Lower: []string{dir + "/image/lower"}, Upper: dir + "/upper", Work: dir + "/work", Volatile: true}
	err := errors.Join(os.MkdirAll(m.Lower[0]+"/deleted", 0o755), os.WriteFile(m.Lower[0]+"/changed", nil, 0o600), m.Prepare(0, 0))
	if err != nil {
		return err
	}
	root, err := m.Open()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := unix.Fchmodat(int(root.Fd()), "changed", 0o644, 0); err != nil {
		return fmt.Errorf("change a file in an overlay: %w", err)
	}
	if err := unix.Unlinkat(int(root.Fd()), "deleted", unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("delete a directory in an overlay: %w", err)
	}
	return nil
}

// probeIDMap maps the owners in a copy of a mount, attached nowhere: MOUNT_ATTR_IDMAP
// of mount_setattr(2), Linux 5.12. An overlay takes such layers since 5.19.
func probeIDMap(dir string) error {
	_, release, _ := uname()
	if err := atLeast(release, 5, 19); err != nil {
		return err
	}
	users, err := userNamespace()
	if err != nil {
		return err
	}
	defer users.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", dir, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("mount_setattr MOUNT_ATTR_IDMAP on %s: %w", fileSystem(dir), err)
	}
	return nil
}
