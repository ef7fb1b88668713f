package monitor

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"minidocker/mydocker/container"
	"minidocker/mydocker/spec"
	"minidocker/mydocker/volume"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"
	"golang.org/x/sys/unix"
)

// openVolumes opens the container's volumes. They are mounted nowhere on the host: init
// puts each where the container is to see it.
func (m *Monitor) openVolumes(j *joined, f *spec.Facts) error {
	for i := range f.Mounts {
		one := &f.Mounts[i]
		if one.Type != mount.TypeVolume {
			continue
		}
		opened, v, err := m.store.Volumes.Open(*one)
		if err != nil {
			return err
		}
		j.given[one.Target] = opened
		if volume.IsTmpfs(v) && volume.Options(*one).Subpath == "" {
			shared, err := m.sharedTmpfs(j, v.Name)
			if err != nil {
				return err
			}
			if shared != nil {
				opened.Close()
				j.given[one.Target] = shared
			}
			j.memory[one.Target] = shared == nil
		}
		one.Source = v.Mountpoint
		m.journal.Append(container.VolumeEvent(events.ActionMount, v.Name, map[string]string{"container": m.id(),
			"destination": one.Target, "propagation": "", "read/write": strconv.FormatBool(!one.ReadOnly)}))
	}
	return nil
}

// sharedTmpfs gives a volume in memory as another container has it that runs: what one
// writes the other sees. nil: none runs.
func (m *Monitor) sharedTmpfs(j *joined, name string) (*os.File, error) {
	users, _ := m.store.VolumeUsers() // one that cannot be read is not asked
	for _, id := range users[name] {
		record, err := m.store.Record(id)
		if err != nil || id == m.id() {
			continue
		}
		donor, _, err := m.donor(j, id)
		if err != nil {
			continue
		}
		mounts, err := j.open(donor, "ns/mnt")
		if err != nil {
			continue
		}
		for _, other := range record.Inherited {
			if other.Source != name || volume.Options(other).Subpath != "" {
				continue
			}
			shared, err := copyMount(mounts, other.Target, record.UserNamespace.Mode == container.Private)
			if errors.Is(err, unix.ENOSYS) {
				return nil, fmt.Errorf("volume %s in memory: container %s runs with it, whose user ids are others: to share it needs Linux 6.15, or both made with --userns host", name, record.Name)
			}
			if err != nil {
				continue
			}
			var fs unix.Statfs_t
			if unix.Fstatfs(int(shared.Fd()), &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
				// As new: what the other may not do with it is its own matter.
				attr := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
				unix.MountSetattr(int(shared.Fd()), "", unix.AT_EMPTY_PATH, &attr)
				return shared, nil
			}
			shared.Close()
		}
	}
	return nil, nil
}

// closedVolumes records that a life has ended which had volumes.
func (m *Monitor) closedVolumes() {
	for _, one := range m.record().Inherited {
		if one.Type == mount.TypeVolume {
			m.journal.Append(container.VolumeEvent(events.ActionUnmount, one.Source, map[string]string{"container": m.id()}))
		}
	}
}
