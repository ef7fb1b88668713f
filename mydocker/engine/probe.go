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
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

func probeNamespace(flag uintptr) error {
	if flag == unix.CLONE_NEWUSER {
		users, err := newUser()
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

// probeIDs are ids of no container.
var probeIDs = security.IDRange{First: 100_000, Size: security.RangeSize}

func newUser() (*os.File, error) { return namespace.NewUser(probeIDs.Inside(), probeIDs.Inside()) }

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

// probeOverlay mounts an overlay, and changes and deletes in it what is below; with users
// over layers that are id-mapped to that user namespace, of probeIDs.
func probeOverlay(dir string, users *os.File) error {
	m := overlay.Mount{Lower: []string{dir + "/layers/image/fs"}, Upper: dir + "/rw/upper", Work: dir + "/rw/work", Volatile: true}
	owner := 0
	if users != nil {
		owner, m.MapLower = probeIDs.Host(0), func(dir *os.File) error { return rootfs.MapIDs(dir, users, false) }
	}
	err := errors.Join(os.MkdirAll(m.Lower[0]+"/deleted", 0o755), os.WriteFile(m.Lower[0]+"/changed", nil, 0o600), m.Prepare(owner, owner))
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

// probeIDMap does the same with layers as containers in a user namespace have them: id-mapped
// mounts (mount_setattr(2)), which came with Linux 5.12, overlayfs takes for layers since 5.19.
func probeIDMap(dir string) error {
	if self, err := os.Stat("/proc/self/exe"); err == nil && self.Mode()&1 == 0 {
		return errors.New("root of a user namespace may not execute this program file: chmod o+x it")
	}
	users, err := newUser()
	if err != nil {
		return err
	}
	defer users.Close()
	return probeOverlay(dir+"/mapped", users)
}
