package volume

import (
	"fmt"
	"net"
	"os"
	"strings"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"

	api "github.com/moby/moby/api/types/volume"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// IsTmpfs tells whether the volume is a file system in memory: its data goes with the
// last container that runs with it.
func IsTmpfs(v *api.Volume) bool { return v.Options["type"] == "tmpfs" }

// Open gives the volume as a detached mount, or if subpath is not "" what is there in
// it. A link in the volume cannot lead out of it.
func (s *Store) Open(name, subpath string) (*os.File, *api.Volume, error) {
	entry, err := s.entry(name)
	if err != nil {
		return nil, nil, err
	}
	v, err := s.read(entry, name)
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Lstat(s.path(entry, filledDir)); err == nil {
		if err := s.finishLocked(entry); err != nil {
			return nil, nil, err
		}
	}
	mount, err := open(v, v.Mountpoint)
	if err == nil && subpath != "" {
		mount, err = below(mount, subpath)
		if err != nil {
			err = fmt.Errorf("volume %s: subpath %s: %w", name, subpath, err)
		}
	}
	return mount, v, err
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

// below gives a part of a detached mount as one of its own. What is attached nowhere
// cannot be copied in parts (open_tree(2): EINVAL), so it is attached for a moment, in a
// mount namespace that nobody else sees.
func below(mount *os.File, path string) (part *os.File, err error) {
	defer mount.Close()
	err = namespace.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mount namespace: %w", err)
		}
		if err := rootfs.Isolate("rprivate"); err != nil {
			return err
		}
		root, err := rootfs.Attach(mount, "/proc")
		if err != nil {
			return err
		}
		defer root.Close()
		found, err := rootfs.Lookup(root, path, true)
		if err != nil {
			return err
		}
		defer found.Close()
		fd, err := unix.OpenTree(int(found.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		if err != nil {
			return fmt.Errorf("open_tree: %w", err)
		}
		part = os.NewFile(uintptr(fd), path)
		return nil
	})
	return part, err
}
