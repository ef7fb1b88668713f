package security

import (
	"fmt"
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
	trace.Step("setresgid", "%d", user.GID)
	gid := uintptr(user.GID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return fmt.Errorf("setresgid %d: %w", gid, errno)
	}
	trace.Step("setresuid", "%d", user.UID)
	uid := uintptr(user.UID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return fmt.Errorf("setresuid %d: %w", uid, errno)
	}
	return nil
}

// NoNewPrivileges makes execve ignore set-user-ID bits and file capabilities
// from here on (prctl(2) PR_SET_NO_NEW_PRIVS), for the calling thread. It cannot
// be undone, and it allows a thread without CAP_SYS_ADMIN to install a filter.
func NoNewPrivileges() error {
	trace.Step("prctl", "PR_SET_NO_NEW_PRIVS 1")
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}
