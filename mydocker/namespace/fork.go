package namespace

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// job is all the child of rawSpawn needs, laid out before the fork: after it
// the child can neither allocate nor call anything but the kernel.
type job struct {
	pidfd, joinFlags uintptr
	program          uintptr
	empty            *byte
	argv, envv       **byte
	files            []int32 // becomes descriptors 0, 1, 2, ...; scratch space too
	above            int32   // a descriptor number above all of files
	report           uintptr // pipe on which the child tells the step and errno that failed
	clone            cloneArgs
	oldMask          *[16]uint32
	failure          [2]uint32
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// steps names what the child does, for the error it reports by number.
var steps = [...]string{"", "prctl PR_SET_DUMPABLE", "setns", "dup3", "execveat"}

func rawSpawn(pidfd, joinFlags int, child Child, attr syscall.SysProcAttr) (int, error) {
	argv, err := syscall.SlicePtrFromStrings(child.Args)
	if err != nil {
		return 0, err
	}
	envv, err := syscall.SlicePtrFromStrings(child.Env)
	if err != nil {
		return 0, err
	}
	reader, writer, err := os.Pipe() // close-on-exec: EOF says execveat succeeded
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	j := job{pidfd: uintptr(pidfd), joinFlags: uintptr(joinFlags), program: child.Program.Fd(), empty: new(byte),
		argv: &argv[0], envv: &envv[0], report: writer.Fd(), oldMask: new([16]uint32)}
	j.clone.exitSignal = uint64(syscall.SIGCHLD)
	if attr.UseCgroupFD {
		j.clone.flags, j.clone.cgroup = unix.CLONE_INTO_CGROUP, uint64(attr.CgroupFD)
	}
	j.above = int32(max(uintptr(len(child.Files)), j.pidfd, j.program, j.report)) + 1
	for _, file := range child.Files {
		j.files = append(j.files, int32(file.Fd()))
		j.above = max(j.above, int32(file.Fd())+1)
	}
	pid, errno := fork(&j)
	writer.Close()
	runtime.KeepAlive(child)
	runtime.KeepAlive(argv)
	runtime.KeepAlive(envv)
	if errno != 0 {
		return 0, fmt.Errorf("fork: %w", errno)
	}
	var failure [2]uint32
	if n, _ := reader.Read((*[8]byte)(unsafe.Pointer(&failure))[:]); n == 8 {
		unix.Wait4(pid, nil, 0, nil)
		return 0, fmt.Errorf("join container: %s: %w", steps[failure[0]], syscall.Errno(failure[1]))
	}
	return pid, nil
}

// fork is clone3(2) without sharing anything: the child has a copy of the memory and
// one thread. All signals are blocked around it, because a handler of the Go
// runtime must not run in a process that has no Go runtime any more; the child
// restores the mask just before it executes the program.
//
//go:nosplit
//go:norace
func fork(j *job) (pid int, errno syscall.Errno) {
	var all [16]uint32
	for i := range all {
		all[i] = ^uint32(0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)),
		uintptr(unsafe.Pointer(j.oldMask)), 8, 0, 0)
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&j.clone)), unsafe.Sizeof(j.clone), 0, 0, 0, 0)
	if errno == 0 && r == 0 {
		inChild(j)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(j.oldMask)), 0, 8, 0, 0)
	return int(r), errno
}

// inChild joins, arranges the descriptors and executes the program.
//
//go:nosplit
//go:norace
func inChild(j *job) {
	// Not dumpable: a process of the container must not ptrace this one while
	// it still holds the host's descriptors (CVE-2016-9962).
	step := uint32(1)
	_, _, errno := syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
	if errno != 0 {
		goto failed
	}
	step = 2
	if _, _, errno = syscall.RawSyscall6(unix.SYS_SETNS, j.pidfd, j.joinFlags, 0, 0, 0, 0); errno != 0 {
		goto failed
	}
	step = 3
	// First all out of the way, then all into place: a plain second pass alone
	// could overwrite a descriptor that is still to be moved.
	for i := range j.files {
		_, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, uintptr(j.files[i]), uintptr(j.above+int32(i)), unix.O_CLOEXEC, 0, 0, 0)
		if errno != 0 {
			goto failed
		}
		j.files[i] = j.above + int32(i)
	}
	// The descriptors this function itself needs may stand in the way too.
	{
		next := j.above + int32(len(j.files))
		if _, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, j.program, uintptr(next), unix.O_CLOEXEC, 0, 0, 0); errno != 0 {
			goto failed
		}
		j.program = uintptr(next)
		if _, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, j.report, uintptr(next+1), unix.O_CLOEXEC, 0, 0, 0); errno != 0 {
			goto failed
		}
		j.report = uintptr(next + 1)
	}
	for i := range j.files {
		if _, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, uintptr(j.files[i]), uintptr(i), 0, 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	step = 4
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(j.oldMask)), 0, 8, 0, 0)
	_, _, errno = syscall.RawSyscall6(unix.SYS_EXECVEAT, j.program, uintptr(unsafe.Pointer(j.empty)),
		uintptr(unsafe.Pointer(j.argv)), uintptr(unsafe.Pointer(j.envv)), unix.AT_EMPTY_PATH, 0)
failed:
	j.failure[0], j.failure[1] = step, uint32(errno)
	syscall.RawSyscall6(unix.SYS_WRITE, j.report, uintptr(unsafe.Pointer(&j.failure)), 8, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}
