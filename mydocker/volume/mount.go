package volume

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/rootfs"

	"github.com/moby/moby/api/types/mount"
	api "github.com/moby/moby/api/types/volume"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// IsTmpfs tells whether the volume is a file system in memory: its data goes with the
// last container that runs with it.
func IsTmpfs(v *api.Volume) bool { return v.Options["type"] == "tmpfs" }

// Options are those of a mount, which may have none.
func Options(m mount.Mount) (o mount.VolumeOptions) {
	if m.VolumeOptions != nil {
		o = *m.VolumeOptions
	}
	return o
}

// Open gives the volume that m names as a detached mount, or the part of it that m asks
// for. A link in the volume cannot lead out of it.
func (s *Store) Open(m mount.Mount) (*os.File, *api.Volume, error) {
	name, subpath := m.Source, Options(m).Subpath
	// The maker of an anonymous one may have died before it got its name.
	err := s.publish(name, disk.Durable)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("volume %s is lost: there is no directory %s", name, s.path(name))
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := s.Find(name)
	if err != nil {
		return nil, nil, err
	}
	if s.has(name, filledDir) {
		lock, err := disk.Acquire(s.path(name, recordFile), disk.Exclusive|disk.Existing)
		if err == nil {
			err = errors.Join(s.finish(name), lock.Release())
		}
		if err != nil {
			return nil, nil, err
		}
	}
	opened, err := open(v, v.Mountpoint)
	if err != nil || subpath == "" {
		return opened, v, err
	}
	defer opened.Close()
	part, err := rootfs.Apart(opened, func(root *os.File) (*os.File, error) { return rootfs.Lookup(root, subpath, true) })
	if err != nil {
		err = fmt.Errorf("volume %s: subpath %s: %w", name, subpath, err)
	}
	return part, v, err
}

// open mounts what the driver options say, or the directory of the volume's own data. The
// words of option o are those of mount(8); nothing but the mount's holder sees it.
func open(v *api.Volume, data string) (*os.File, error) {
	if len(v.Options) == 0 {
		mount, err := rootfs.OpenMount(specs.Mount{Type: "bind", Source: data, Options: []string{"rbind"}})
		if err != nil {
			err = fmt.Errorf("open volume %s at %s: %w", v.Name, data, err)
		}
		return mount, err
	}
	m := specs.Mount{Type: v.Options["type"], Source: v.Options["device"]}
	for word := range strings.SplitSeq(v.Options["o"], ",") {
		if host, ok := strings.CutPrefix(word, "addr="); ok { // nfs and cifs: the kernel knows no names
			if address, err := net.ResolveIPAddr("ip", host); err == nil {
				word = "addr=" + address.String()
			}
		}
		m.Options = append(m.Options, word)
	}
	mount, err := rootfs.OpenMount(m)
	if err != nil {
		err = fmt.Errorf("error while mounting volume '%s': failed to mount local volume: mount %s:%[1]s: %[3]w", data, m.Source, err)
	}
	return mount, err
}
