package engine

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/security"

	"golang.org/x/sys/unix"
)

// waiting is a child process that does nothing until it is ended, by end or by
// the end of this process.
type waiting struct {
	pid  int
	hold *os.File
}

// cloneWaiting makes a child in new namespaces. It executes no program, so it may
// only make system calls: it waits for the end of a pipe.
func cloneWaiting(flags uintptr) (*waiting, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	pid, errno := cloneAndWait(flags|uintptr(unix.SIGCHLD), reader.Fd(), writer.Fd(), new([16]uint32), new(byte))
	if errno != 0 {
		writer.Close()
		return nil, fmt.Errorf("clone %s: %w", namespace.Names(flags), errno)
	}
	return &waiting{pid, writer}, nil
}

// cloneAndWait is clone(2) with all signals blocked, because in the child no
// handler of the Go runtime must run.
//
//go:nosplit
//go:norace
func cloneAndWait(flags, reader, writer uintptr, oldMask *[16]uint32, buffer *byte) (int, syscall.Errno) {
	var all [16]uint32
	for i := range all {
		all[i] = ^uint32(0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(oldMask)), 8, 0, 0)
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall6(unix.SYS_CLOSE, writer, 0, 0, 0, 0, 0) // or it would wait for itself
		syscall.RawSyscall6(unix.SYS_READ, reader, uintptr(unsafe.Pointer(buffer)), 1, 0, 0, 0)
		for {
			syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
		}
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(oldMask)), 0, 8, 0, 0)
	return int(pid), errno
}

func (w *waiting) end() {
	w.hold.Close()
	for {
		if _, err := unix.Wait4(w.pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// probeMountAPI uses the system calls of Linux 5.2 and 5.12 that work on mounts
// which are attached nowhere.
func probeMountAPI() (string, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &readOnly); err != nil {
		return "", fmt.Errorf("mount_setattr: %w", err)
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return "", fmt.Errorf("fsconfig: %w", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("fsmount: %w", err)
	}
	unix.Close(mount)
	return "open_tree, mount_setattr, fsopen, fsmount", nil
}

// probeSeccomp gives a thread a filter that allows everything.
func probeSeccomp() (string, error) {
	allow := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	return "filters work", namespace.OnThread(func() error { return security.Install(allow, nil) })
}

func probePidfd() (string, error) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return "", fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, 0, nil, 0); err != nil {
		return "", fmt.Errorf("pidfd_send_signal: %w", err)
	}
	return "", nil
}

// probeNftables asks the kernel for the generation of its rules (netlink(7);
// NFT_MSG_GETGEN in linux/netfilter/nf_tables.h). The kernel loads the modules
// when they are asked for.
func probeNftables() (string, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return "", fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	request := struct { // nlmsghdr, nfgenmsg
		Length                uint32
		Type, Flags           uint16
		Sequence, Port        uint32
		Family, Version       uint8
		ResourceNetworkEndian uint16
	}{20, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, unix.NLM_F_REQUEST, 1, 0, unix.AF_UNSPEC, unix.NFNETLINK_V0, 0}
	message, err := binary.Append(nil, binary.NativeEndian, request)
	if err != nil {
		return "", err
	}
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return "", fmt.Errorf("ask nf_tables: %w", err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < 20 {
		return "", fmt.Errorf("answer of nf_tables (%d bytes): %w", n, err)
	}
	if binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		if errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(answer[16:]))); errno != 0 {
			return "", fmt.Errorf("nf_tables: %w", errno) // EINVAL: nobody answers for this subsystem
		}
	}
	return "", nil
}
