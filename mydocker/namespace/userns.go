package namespace

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// NewUser makes a user namespace with these maps (user_namespaces(7)) and gives a
// descriptor that keeps it. The caller has CAP_SETUID and CAP_SETGID, so the maps may
// name any ids of its own namespace, and setgroups(2) stays allowed inside.
//
// Only a process with one thread can enter a new user namespace, and only one outside can
// write these maps. So a child is forked into it, which lives until they are written.
func NewUser(uids, gids []specs.LinuxIDMapping) (user *os.File, err error) {
	maps := map[string]string{"uid_map": idMap(uids), "gid_map": idMap(gids)}
	made := func(pid int) error {
		for name, text := range maps {
			// A map is written once, by one write.
			if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, name), []byte(text), 0); err != nil {
				return fmt.Errorf("write %s %q: %w", name, text, err)
			}
		}
		user, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
		return err
	}
	if len(uids) == 0 || len(gids) == 0 {
		return nil, errors.New("make user namespace: there are no id mappings")
	}
	pid, err := fork(&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_VM}, made, func(report int) ([]Call, int) {
		return []Call{NewCall("exit_group", unix.SYS_EXIT_GROUP, 0)}, report
	})
	if err == nil {
		unix.Wait4(pid, nil, 0, nil)
		return user, nil
	}
	if user != nil {
		user.Close()
	}
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w (the sysctl user.max_user_namespaces says how many there may be)", err)
	}
	return nil, fmt.Errorf("make user namespace: %w", err)
}

// ActAs makes the calling thread, which is to end (OnThread), another user's and group's. It
// keeps its privileges.
func ActAs(uid, gid int) error {
	const noSetuidFixup = 1 << 2 // SECBIT_NO_SETUID_FIXUP of capabilities(7)
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noSetuidFixup, 0, 0, 0); err != nil {
		return fmt.Errorf("set securebits: %w", err)
	}
	// Not unix.Setresuid, which changes all threads.
	_, _, err := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
	if err == 0 {
		_, _, err = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
	}
	if err != 0 {
		return fmt.Errorf("act as %d:%d: %w", uid, gid, err)
	}
	// A process that changes users is not dumpable any more, and its /proc/self the host's root's.
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
}

// idMap writes mappings as /proc/PID/uid_map takes them.
func idMap(mappings []specs.LinuxIDMapping) string {
	var text strings.Builder
	for _, m := range mappings {
		fmt.Fprintln(&text, m.ContainerID, m.HostID, m.Size)
	}
	return text.String()
}

// IDs are the id maps of a process's user namespace, as the caller sees them: of users,
// and of groups.
type IDs [2][]specs.LinuxIDMapping

// ReadIDs reads the maps of a process.
func ReadIDs(pid int) (ids IDs, err error) {
	for i, name := range [...]string{"uid_map", "gid_map"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		switch {
		case errors.Is(err, os.ErrNotExist): // a kernel without user namespaces
			text = []byte("0 0 4294967295")
		case err != nil:
			return ids, err
		}
		for line := range strings.Lines(string(text)) {
			var m specs.LinuxIDMapping
			if _, err := fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size); err != nil {
				return ids, fmt.Errorf("read %s of process %d: %w", name, pid, err)
			}
			ids[i] = append(ids[i], m)
		}
	}
	return ids, nil
}

// Outside gives the ids that are uid and gid inside.
func (ids IDs) Outside(uid, gid uint32) (outsideUID, outsideGID int, err error) {
	var outside [2]int
	for i, id := range [...]uint32{uid, gid} {
		n := slices.IndexFunc(ids[i], func(m specs.LinuxIDMapping) bool { return id >= m.ContainerID && id-m.ContainerID < m.Size })
		if n < 0 {
			return 0, 0, fmt.Errorf("the user namespace has no mapping of the %s %d", [...]string{"uid", "gid"}[i], id)
		}
		outside[i] = int(ids[i][n].HostID + id - ids[i][n].ContainerID)
	}
	return outside[0], outside[1], nil
}
