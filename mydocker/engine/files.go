package engine

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"
	"minidocker/mydocker/spec"
	"minidocker/mydocker/volume"

	"github.com/moby/moby/api/types/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// files is a container's root file system as a tree of mounts that is attached
// nowhere: no process sees it, and it goes with its descriptor, whatever ends us.
// Devices in it cannot be opened: a container may put one where a file was.
type files struct {
	*os.File
	record *container.Record
	lock   *disk.Lock              // of a dead container, which cannot be started meanwhile; nil
	own    func(*tar.Header) error // gives what comes in its owner
	ids    security.IDRange        // to whom the files of a container that runs belong; zero: to those of its image
}

func (f *files) Close() {
	f.File.Close()
	if f.lock != nil {
		f.lock.Release()
	}
}

// openFiles opens a container's root file system: with the mounts that its user
// asked for, or alone. Neither has what the engine mounts: /proc, /sys and /dev.
func (e *Engine) openFiles(ref string, mounted bool) (*files, error) {
	id, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	f := &files{}
	if f.record, err = e.containers.Record(id); err != nil {
		return nil, err
	}
	var mounts []specs.Mount
	if mounted {
		if mounts, err = e.askedMounts(f.record); err != nil {
			return nil, err
		}
	}
	for deadline := time.Now().Add(answerTime); ; time.Sleep(10 * time.Millisecond) {
		conn, err := e.dial(id, attach.Request{Verb: attach.Root}, false)
		if err == nil {
			var received []*os.File
			_, received, err = attach.Answer(conn)
			conn.Close()
			if err == nil && len(received) == 1 {
				defer received[0].Close()
				f.ids = f.record.UserNamespace.IDRange
				return f, f.openLive(received[0], mounts)
			}
		}
		if !isDead(err) && !errors.Is(err, attach.ErrLost) {
			return nil, err
		}
		// A monitor whose container does not run is about to start it, or to leave.
		if f.lock, err = e.containers.TryLock(id); err == nil {
			if _, err = e.reconcile(id); err == nil {
				err = e.openDead(f, mounts)
			}
			if err != nil {
				f.lock.Release()
			}
			return f, err
		}
		if !errors.Is(err, disk.ErrLocked) || time.Now().After(deadline) {
			return nil, err
		}
	}
}

// askedMounts are the binds, volumes and tmpfs of a container, and the network's files.
func (e *Engine) askedMounts(r *container.Record) ([]specs.Mount, error) {
	asked, err := r.AskedMounts()
	if err != nil {
		return nil, err
	}
	for i, m := range asked {
		if m.Type == mount.TypeVolume {
			asked[i].Source = e.containers.Volumes.Mountpoint(m.Source)
		}
	}
	dir := e.containers.Dir(r.ID)
	return spec.AskedMounts(r.HostConfig, spec.Facts{Mounts: asked,
		HostnamePath: dir + "/hostname", HostsPath: dir + "/hosts", ResolvConfPath: dir + "/resolv.conf"}), nil
}

// openLive copies the mounts out of a running container's mount namespace. What
// is asked for by a path there is resolved with the container's root as ours, and
// nothing but these system calls is made on that thread.
func (f *files) openLive(mounts *os.File, asked []specs.Mount) error {
	var root *os.File
	var sources []*rootfs.Source
	err := namespace.OnThread(func() error {
		if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS)); err != nil {
			return fmt.Errorf("join the container's mount namespace: %w", err)
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open_tree of the container's root: %w", err)
		}
		root = os.NewFile(uintptr(fd), "root")
		for i := range asked {
			asked[i] = specs.Mount{Type: "bind", Source: asked[i].Destination, Destination: asked[i].Destination, Options: []string{"rbind"}}
		}
		asked = existing(asked)
		sources, err = rootfs.OpenSources(asked, nil)
		return err
	})
	if err != nil {
		return err
	}
	return f.assemble(root, asked, sources)
}

func existing(mounts []specs.Mount) []specs.Mount {
	return slices.DeleteFunc(mounts, func(m specs.Mount) bool {
		return unix.Access(m.Source, unix.F_OK) != nil
	})
}

// openDead mounts the root file system of a container that does not run. A tmpfs
// would be empty, and lost.
func (e *Engine) openDead(f *files, mounts []specs.Mount) error {
	volumes := map[string]*os.File{}
	for _, m := range f.record.Inherited {
		if m.Type != mount.TypeVolume || mounts == nil {
			continue
		}
		opened, v, err := e.containers.Volumes.Open(m)
		if err != nil {
			return err
		}
		if volumes[m.Target] = opened; volume.IsTmpfs(v) {
			mounts = slices.DeleteFunc(mounts, func(other specs.Mount) bool { return other.Destination == m.Target })
		}
	}
	layers := e.containers.Layers(f.record)
	layers.Volatile = true // no sync of the whole disk for a file: what is copied is as safe as by cp(1)
	ids := f.record.UserNamespace
	layers.MapUpper = mapOut(ids.IDRange)
	if err := layers.Prepare(ids.Host(0), ids.Host(0)); err != nil {
		return err
	}
	root, err := layers.Open()
	if err != nil {
		return err
	}
	mounts = existing(slices.DeleteFunc(mounts, func(m specs.Mount) bool { return m.Type == "tmpfs" }))
	sources, err := rootfs.OpenSources(mounts, volumes)
	if err == nil {
		err = f.assemble(root, mounts, sources)
	}
	if err == nil && f.record.HostConfig.ReadonlyRootfs {
		err = rootfs.Seal(f.File, true, "")
	}
	return err
}

// assemble mounts sources below root, in a mount namespace that nobody else sees.
func (f *files) assemble(root *os.File, mounts []specs.Mount, sources []*rootfs.Source) error {
	defer root.Close()
	// Private: what is mounted here must not appear in the container.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(int(root.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("mount_setattr of the root file system: %w", err)
	}
	var err error
	f.File, err = rootfs.Apart(root, func(at *os.File) (*os.File, error) { return at, rootfs.MountAll(at, mounts, sources, nil) })
	if err != nil {
		return err
	}
	return unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
}
