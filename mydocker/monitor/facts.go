package monitor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/runtime"
	"minidocker/mydocker/security"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// facts looks up what the specification depends on: on the host, in the image
// whose root is given, and writes the files the container sees in /etc.
func (m *Monitor) facts(l *life, root *os.File, rootPath string) (spec.Facts, error) {
	config, host := m.record().Config, m.record().HostConfig
	hierarchies, err := cgroup.Host()
	if err != nil {
		return spec.Facts{}, err
	}
	f := spec.Facts{
		ID:         m.id(),
		IDs:        m.record().UserNamespace.IDRange,
		Rootfs:     rootPath,
		CgroupPath: m.record().CgroupPath(m.instance),
		CgroupV2:   hierarchies.Version == 2,
	}
	if f.Hostname, err = os.Hostname(); err != nil {
		return f, err
	}
	if f.User, f.Home, err = m.resolveUser(root, config.User); err != nil {
		return f, err
	}
	if f.Capabilities, err = security.AvailableCapabilities(); err != nil {
		return f, err
	}
	if f.MaskedPaths, err = filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"); err != nil {
		return f, err
	}
	f.Devices = map[string][]specs.LinuxDevice{}
	for _, path := range devicePaths(&host.Resources) {
		f.Devices[path], err = spec.DevicesAt(path)
		if errors.Is(err, os.ErrNotExist) {
			err = &runtime.Error{Message: err.Error(), Code: 127} // as Docker's run
		}
		if err != nil {
			return f, err
		}
	}
	f.InitPath = os.Getenv(ProgramVariable)
	if host.Privileged {
		if f.HostDevices, err = spec.HostDevices(); err != nil {
			return f, err
		}
	}
	if f.Mounts, err = m.mounts(); err != nil {
		return f, err
	}
	return f, m.writeFiles(l, &f)
}

// devicePaths are the paths of the host by which devices are asked for.
func devicePaths(r *api.Resources) (paths []string) {
	for _, device := range r.Devices {
		paths = append(paths, device.PathOnHost)
	}
	for _, device := range r.BlkioWeightDevice {
		paths = append(paths, device.Path)
	}
	for _, device := range slices.Concat(r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps, r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps) {
		paths = append(paths, device.Path)
	}
	return paths
}

// resolveUser finds a user in the files of the container's own /etc.
func (m *Monitor) resolveUser(root *os.File, user string) (found specs.User, home string, err error) {
	passwd, err := openOptional(root, "etc/passwd")
	if err != nil {
		return found, "", err
	}
	defer passwd.Close()
	group, err := openOptional(root, "etc/group")
	if err != nil {
		return found, "", err
	}
	defer group.Close()
	found, home, err = spec.ResolveUser(user, m.record().HostConfig.GroupAdd, passwd, group)
	ids, highest := m.record().UserNamespace, max(found.UID, slices.Max(append(found.AdditionalGids, found.GID)))
	if err == nil && ids.Size > 0 && highest >= ids.Size {
		err = fmt.Errorf("user or group %d: the container has the ids 0 to %d, unless it is made with --userns host", highest, ids.Size-1)
	}
	return found, home, err
}

// openOptional opens a regular file of the image, as empty if there is none.
func openOptional(root *os.File, path string) (io.ReadCloser, error) {
	file, err := rootfs.OpenIn(root, path)
	if os.IsNotExist(err) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the image's /%s: %w", path, err)
	}
	return file, nil
}

// mounts are the container's mounts with their sources. A source that -v made
// at create may have gone since: it is made again, as Docker does.
func (m *Monitor) mounts() ([]mount.Mount, error) {
	all, err := m.record().AskedMounts()
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.Type != mount.TypeBind {
			continue
		}
		if err := spec.PrepareSource(one); err != nil {
			return nil, err
		}
	}
	return all, nil
}
