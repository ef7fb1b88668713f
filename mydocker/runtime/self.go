package runtime

import (
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// OpenSelf opens the program that is running, for execution of a process that
// ends up in a container, or whose children do: through a detached read-only mount
// of its own. A process of the container can reach the file by /proc/PID/exe, and
// have it executed by "#!/proc/self/exe"; by this mount it cannot open it for
// writing and replace the engine on the host (CVE-2019-5736).
func OpenSelf() (*os.File, error) {
	self, err := os.OpenFile("/proc/self/exe", unix.O_PATH, 0)
	if err != nil {
		return nil, fmt.Errorf("open the own program: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(self.Fd()), &st); err == nil && st.Flags&unix.ST_RDONLY != 0 {
		return self, nil // this process was started that way itself
	}
	defer self.Close()
	trace.Step("open_tree", "/proc/self/exe: the own program, on a read-only mount")
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open_tree of the own program: %w", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make the own program read-only: %w", err)
	}
	return os.NewFile(uintptr(fd), "mydocker"), nil
}
