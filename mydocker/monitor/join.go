package monitor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"unsafe"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/runtime"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// joined is what a container is made of besides its root, held open until it is in:
// what it shares with others, and its volumes.
type joined struct {
	files []*os.File
	given map[string]*os.File // detached mounts by where they go: binds, volumes, the other's /dev/shm

	namespaces map[specs.LinuxNamespaceType]string // by their paths
	shm        string                              // stands for the other's /dev/shm
	memory     map[string]bool                     // of given: volumes in memory that nobody else has
}

func (j *joined) close() {
	for _, file := range slices.AppendSeq(j.files, maps.Values(j.given)) {
		file.Close()
	}
}

// join opens the namespaces of other containers that this one is to be in, and gives the
// user namespace, its own or another's; nil: the host's. That its IDs have been leased to
// somebody else since it was last started is an error.
func (m *Monitor) join(j *joined) (users *os.File, err error) {
	host, ids := m.record().HostConfig, m.record().UserNamespace
	j.namespaces = map[specs.LinuxNamespaceType]string{}
	if host.IpcMode.IsContainer() {
		if err := m.joinIPC(j, host.IpcMode.Container()); err != nil {
			return nil, fmt.Errorf("can't join IPC of container %s: %w", host.IpcMode.Container(), err)
		}
	}
	for _, other := range []struct {
		kind     specs.LinuxNamespaceType
		id, file string
	}{
		{specs.PIDNamespace, host.PidMode.Container(), "ns/pid"},
		{specs.NetworkNamespace, host.NetworkMode.ConnectedContainer(), "ns/net"},
	} {
		if other.id == "" {
			continue
		}
		donor, _, err := m.donor(j, other.id)
		if errors.Is(err, errDonorStopped) && other.kind == specs.NetworkNamespace {
			return nil, fmt.Errorf("cannot join network of a non running container: %s", other.id)
		}
		if err == nil {
			j.namespaces[other.kind], err = j.open(donor, other.file)
		}
		if err != nil {
			return nil, err
		}
	}
	if ids.Mode != container.Private {
		return nil, nil
	}
	if err := m.store.RenewIDs(m.record()); err != nil {
		return nil, err
	}
	if ids.Container == "" {
		return m.users()
	}
	donor, _, err := m.donor(j, ids.Container)
	if err == nil {
		_, err = j.open(donor, "ns/user")
	}
	if err != nil {
		return nil, err
	}
	return j.files[len(j.files)-1], nil
}

func (m *Monitor) joinIPC(j *joined, id string) error {
	donor, mode, err := m.donor(j, id)
	if err != nil {
		return err
	}
	if mode.IsPrivate() || mode.IsNone() { // what it joined itself, or the host's, it may pass on
		return fmt.Errorf("non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
	}
	if j.namespaces[specs.IPCNamespace], err = j.open(donor, "ns/ipc"); err != nil {
		return err
	}
	mounts, err := j.open(donor, "ns/mnt")
	if err != nil {
		return err
	}
	shm, err := copyMount(mounts, "/dev/shm", false)
	if err == nil {
		j.shm, j.given["/dev/shm"] = runtime.JoinedShm, shm
	}
	return err
}

// copyMount copies the mount at path in another mount namespace, as only who is in it can
// (open_tree(2): EINVAL). The path is looked up in the other's root, so it cannot lead to the host.
// With unmap the copy is not id-mapped any more, which takes Linux 6.15.
func copyMount(mounts, path string, unmap bool) (copied *os.File, err error) {
	err = namespace.OnThread(func() error {
		if err := namespace.Enter([]specs.LinuxNamespace{{Type: specs.MountNamespace, Path: mounts}}); err != nil {
			return err
		}
		fd, err := openCopy(path, unmap)
		if err != nil {
			return fmt.Errorf("open_tree %s: %w", path, err)
		}
		copied = os.NewFile(uintptr(fd), path)
		return nil
	})
	return copied, err
}

// openCopy is open_tree(2), or open_tree_attr(2), which alone can undo MOUNT_ATTR_IDMAP.
func openCopy(path string, unmap bool) (int, error) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_SYMLINK_NOFOLLOW
	name, err := unix.BytePtrFromString(path)
	if err != nil || !unmap {
		return unix.OpenTree(unix.AT_FDCWD, path, flags)
	}
	attr, here := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_IDMAP}, unix.AT_FDCWD
	fd, _, errno := unix.Syscall6(unix.SYS_OPEN_TREE_ATTR, uintptr(here), uintptr(unsafe.Pointer(name)), flags, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// donorRestarts tells whether another container that this one joins is between two
// lives, or about to be: both have often ended together.
func (m *Monitor) donorRestarts() bool {
	j, host := &joined{}, m.record().HostConfig
	defer j.close()
	for _, id := range []string{host.IpcMode.Container(), host.PidMode.Container(), host.NetworkMode.ConnectedContainer()} {
		if id == "" {
			continue
		}
		if _, _, err := m.donor(j, id); errors.Is(err, errDonorRestarts) || errors.Is(err, errDonorEnds) {
			return true
		}
	}
	return false
}

var (
	errDonorStopped  = errors.New("is not running")
	errDonorEnds     = fmt.Errorf("%w", errDonorStopped) // its monitor has yet to record it
	errDonorRestarts = errors.New("is restarting, wait until the container is running")
)

// donor opens the /proc directory of a running container's first process. It
// belongs to that process for good, and is empty once that has ended, whoever gets
// its number. That it had not ended before is known from the cgroup: a process of
// that number is in it after the directory was opened.
func (m *Monitor) donor(j *joined, id string) (*os.File, api.IpcMode, error) {
	record, err := m.store.Record(id)
	if err != nil {
		return nil, "", err
	}
	state, err := m.store.State(id)
	if err != nil {
		return nil, "", err
	}
	if state.Status == api.StateRestarting {
		return nil, "", fmt.Errorf("container %s %w", id, errDonorRestarts)
	}
	alive, err := m.store.Alive(id)
	if state.Pid == 0 || err != nil || !alive {
		return nil, "", fmt.Errorf("container %s %w", id, errDonorStopped)
	}
	ends := fmt.Errorf("container %s %w", id, errDonorEnds)
	fd, err := unix.Open(fmt.Sprintf("/proc/%d", state.Pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", ends
	}
	dir := os.NewFile(uintptr(fd), "donor")
	j.files = append(j.files, dir)
	group, err := cgroup.Open(record.CgroupPath(m.instance))
	if err != nil {
		return nil, "", err
	}
	pids, _ := group.Pids() // a group that is gone has none
	if !slices.Contains(pids, state.Pid) {
		return nil, "", ends
	}
	return dir, record.HostConfig.IpcMode, nil
}

// open opens a namespace and gives a path for it that lasts until close.
func (j *joined) open(donor *os.File, name string) (string, error) {
	fd, err := unix.Openat(int(donor.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s of the other container: %w", name, err)
	}
	j.files = append(j.files, os.NewFile(uintptr(fd), name))
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), nil
}
