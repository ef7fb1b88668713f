package security

import (
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// SetUser gives the calling thread the user's groups, group and user ID, in this
// order: without user 0 (more exactly CAP_SETGID) groups cannot be set any more.
//
// It makes raw system calls. unix.Setuid and its kin would change every thread
// of the process, as POSIX wants it; init needs its locked thread changed only.
func SetUser(user specs.User) error {
	trace.Step("setgroups", "%v", user.AdditionalGids)
	var groups unsafe.Pointer
	if len(user.AdditionalGids) > 0 {
		groups = unsafe.Pointer(&user.AdditionalGids[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(user.AdditionalGids)), uintptr(groups), 0); errno != 0 {
		return fmt.Errorf("setgroups %v: %w", user.AdditionalGids, errno)
	}
	for _, step := range [...]struct {
		name string
		call uintptr
		id   uint32
	}{{"setresgid", unix.SYS_SETRESGID, user.GID}, {"setresuid", unix.SYS_SETRESUID, user.UID}} {
		trace.Step(step.name, "%d", step.id)
		id := uintptr(step.id)
		if _, _, errno := unix.RawSyscall(step.call, id, id, id); errno != 0 {
			return fmt.Errorf("%s %d: %w", step.name, id, errno)
		}
	}
	return nil
}

// NoNewPrivileges makes execve ignore set-user-ID bits and file capabilities
// from here on (prctl(2) PR_SET_NO_NEW_PRIVS), for the calling thread. It cannot
// be undone, and it allows a thread without CAP_SYS_ADMIN to install a filter.
func NoNewPrivileges() error { return prctl("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, 1, 0) }

func prctl(name string, option int, first, second uintptr) error {
	trace.Step("prctl", "%s %d %d", name, first, second)
	if err := unix.Prctl(option, first, second, 0, 0); err != nil {
		return fmt.Errorf("prctl %s %d %d: %w", name, first, second, err)
	}
	return nil
}

// rlimitNames are the resources in the order of their numbers
// (asm-generic/resource.h, getrlimit(2)).
var rlimitNames = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

// SetRlimits sets the limits of this process, before the change of user. To
// raise a hard limit needs CAP_SYS_RESOURCE; the error says so.
//
// It must be syscall.Setrlimit: Go raises the soft RLIMIT_NOFILE of every
// program at its start and puts the old value back in syscall.Exec (Go 1.19),
// unless the program has set the limit through this very function. A raw
// prlimit(2) would silently be undone.
func SetRlimits(limits []specs.POSIXRlimit) error {
	for _, limit := range limits {
		number := slices.Index(rlimitNames[:], limit.Type)
		if number < 0 {
			return fmt.Errorf("rlimit type %q is invalid", limit.Type)
		}
		trace.Step("setrlimit", "%s soft %d hard %d", limit.Type, int64(limit.Soft), int64(limit.Hard))
		err := syscall.Setrlimit(number, &syscall.Rlimit{Cur: limit.Soft, Max: limit.Hard})
		if err == unix.EPERM {
			err = fmt.Errorf("%w (to raise a hard limit needs CAP_SYS_RESOURCE)", err)
		}
		if err != nil {
			return fmt.Errorf("set %s to soft %d, hard %d: %w", limit.Type, int64(limit.Soft), int64(limit.Hard), err)
		}
	}
	return nil
}
