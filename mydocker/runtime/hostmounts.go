package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A container without a mount namespace of its own is in the caller's, changed into
// its root by chroot(2): its mounts are the host's, below one at the root's path.
// Nothing but a last unmount takes them away; by the number of that mount, which the
// state directory keeps, a mount of somebody else's there is told from it.

const mountMark = "mount"

func inHostMounts(spec *specs.Spec) bool {
	return namespace.Find(spec.Linux.Namespaces, specs.MountNamespace) == nil
}

func mountOnHost(spec *specs.Spec, state string) (*os.File, error) {
	root, err := rootfs.OpenRoot(spec.Root.Path)
	if err != nil {
		return nil, err
	}
	if err = os.WriteFile(filepath.Join(state, mountMark), []byte(mountID(int(root.Fd()), "")+" "+spec.Root.Path), 0o600); err == nil {
		err = unix.MoveMount(int(root.Fd()), "", unix.AT_FDCWD, spec.Root.Path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("attach root file system at %s: %w", spec.Root.Path, err)
	}
	return root, nil
}

// attachRoot attaches the root file system over the host's, or where hooks look for it.
func attachRoot(p *payload) (*os.File, error) {
	var mount *os.File
	if p.HasRoot {
		mount = os.NewFile(rootFD, "root")
	}
	if inHostMounts(p.Spec.Spec) {
		return mount, nil // it is attached
	}
	path, at := p.Spec.Root.Path, "/"
	if p.Spec.Hooks != nil && !p.NoPivot && unix.Access(path, unix.X_OK) == nil {
		at = path
	}
	return rootfs.Attach(mount, path, at)
}

func enterRoot(p *payload, root *os.File) error {
	switch {
	case inHostMounts(p.Spec.Spec):
		return rootfs.ChangeRoot(root)
	case p.NoPivot:
		if err := rootfs.HideHost(); err != nil {
			return err
		}
		return rootfs.ChangeRoot(root)
	}
	return rootfs.Pivot(root)
}

// Release takes away what a container without a mount namespace of its own, whose
// process has ended, leaves mounted; of others nothing is left. state is the directory
// that Create was given.
func Release(state string) error {
	mark, err := os.ReadFile(filepath.Join(state, mountMark))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	id, path, _ := strings.Cut(string(mark), " ")
	if err == nil && mountID(unix.AT_FDCWD, path) == id {
		err = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

// mountID tells mounts apart; since Linux 6.8 no number is given twice.
func mountID(dir int, path string) string {
	const unique = 0x4000 // STATX_MNT_ID_UNIQUE
	var st unix.Statx_t
	unix.Statx(dir, path, unix.AT_EMPTY_PATH, unix.STATX_MNT_ID|unique, &st)
	return fmt.Sprint(st.Mnt_id)
}
