// Package overlay mounts a container's root file system: the layers of its
// image read-only below, one writable directory of its own above.
//
// The mount is handed out as a descriptor, detached: it stands in no mount
// namespace until init attaches it in the container's own. So the host never
// sees it, and when the last holder of the descriptor dies, by kill -9 too, the
// kernel takes it away. What a crash leaves is the two directories.
package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// Mount describes one overlay mount.
type Mount struct {
	Lower []string // layers, the topmost first, all in one directory or absolute; at least one
	Upper string   // takes the changes; made by Prepare
	Work  string   // the kernel's scratch space, on the file system of Upper
	// Volatile leaves out every sync: for a container whose changes are thrown
	// away at its end. Without it unmounting syncs the whole file system below.
	Volatile bool
	// MapLower and MapUpper change how overlayfs sees the directory that all layers are in,
	// and the one that Upper and Work are in: each gets a detached copy of the mount. nil: as it is.
	MapLower, MapUpper func(dir *os.File) error
}

// Prepare makes the upper and work directories. They are plain directories that
// belong to uid and gid, the container's root: were they id-mapped as the layers are,
// the host's root could not write to them, and the kernel would mount the overlay read-only.
func (m Mount) Prepare(uid, gid int) error {
	for _, dir := range []string{m.Upper, m.Work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("prepare overlay: %w", err)
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			return fmt.Errorf("prepare overlay: %w", err)
		}
	}
	// What the last mount has left in Work. A volatile one leaves a mark, and the kernel
	// refuses the next mount over it: after a crash the upper directory may hold data never
	// written. Here a crash loses at most what --rm would have thrown away.
	return os.RemoveAll(filepath.Join(m.Work, "work"))
}

// Open mounts the overlay and returns the detached mount. The caller closes it.
//
// A mount made by mount(2) is attached, and attached below a shared mount it
// would spread to the host. So it is made by a thread in a mount namespace of
// its own, cut off from the host, then copied out by open_tree(2); the namespace
// goes with the thread. (fsopen(2) makes detached mounts without a thread, but
// takes at most 255 bytes of lowerdir, and one layer at a time only since 6.5.)
func (m Mount) Open() (*os.File, error) {
	var mount *os.File
	err := namespace.OnThread(func() (err error) {
		mount, err = m.openInOwnNamespace()
		return err
	})
	return mount, err
}

func (m Mount) openInOwnNamespace() (*os.File, error) {
	trace.Step("unshare", "CLONE_NEWNS: a mount namespace for one thread, to mount the overlay unseen")
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("unshare mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return nil, fmt.Errorf("make / private: %w", err)
	}
	base, options, err := m.options()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(remap(base, m.MapLower), remap(filepath.Dir(m.Upper), m.MapUpper)); err != nil {
		return nil, err
	}
	// unshare(CLONE_NEWNS) gave this thread a working directory of its own too.
	if err := unix.Chdir(base); err != nil {
		return nil, fmt.Errorf("chdir to layers %s: %w", base, err)
	}
	const target = "/proc" // any directory: only this thread sees it covered
	trace.Step("mount", "overlay %s (in %s), detached", options, base)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("mount overlay %s: %w", options, m.explain(err))
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, target, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open_tree of the overlay: %w", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), m.writable(fd)
}

// remap covers a directory by a changed copy of its own mount.
func remap(dir string, change func(dir *os.File) error) error {
	if change == nil {
		return nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", dir, err)
	}
	tree := os.NewFile(uintptr(fd), dir)
	defer tree.Close()
	if err := change(tree); err != nil {
		return err
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount to %s: %w", dir, err)
	}
	return nil
}

// options gives the directory the layer names are relative to and the option
// string. The kernel takes one page of options (4,096 bytes), so absolute names
// of 60 layers would not fit.
func (m Mount) options() (base, options string, err error) {
	if len(m.Lower) == 0 {
		return "", "", errors.New("mount overlay: no layers")
	}
	base = commonDir(m.Lower)
	names := make([]string, len(m.Lower))
	for i, layer := range m.Lower {
		name, err := filepath.Rel(base, layer)
		if err != nil {
			return "", "", err
		}
		names[i] = escape(name)
	}
	// index, metacopy and redirect_dir may be on by the kernel's configuration;
	// each would put references to other layers into the upper directory, which
	// then is no plain list of changes any more.
	options = fmt.Sprintf("index=off,metacopy=off,redirect_dir=off,lowerdir=%s,upperdir=%s,workdir=%s",
		strings.Join(names, ":"), escape(m.Upper), escape(m.Work))
	if m.Volatile {
		options += ",volatile"
	}
	if len(options) >= os.Getpagesize() {
		return "", "", fmt.Errorf("mount overlay: %d layers make %d bytes of options, the kernel takes %d",
			len(m.Lower), len(options), os.Getpagesize()-1)
	}
	return base, options, nil
}

func commonDir(paths []string) string {
	base := filepath.Dir(filepath.Dir(paths[0])) // a layer is the fs in a directory of its name
	for _, path := range paths {
		for base != "/" && !strings.HasPrefix(path, base+"/") {
			base = filepath.Dir(base)
		}
	}
	return base
}

// escape protects what the overlay parser takes for separators.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}

// writable refuses a mount that the kernel made read-only with no more than a
// line in its log (an upper directory it cannot use, since 5.x).
func (m Mount) writable(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return fmt.Errorf("statfs overlay: %w", err)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("mount overlay: the kernel made it read-only; it cannot use upperdir %s (see dmesg)", m.Upper)
	}
	return nil
}

// explain adds what the bare error number hides.
func (m Mount) explain(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: this kernel has no overlayfs (modprobe overlay)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: the file system of %s cannot hold an overlay's upper directory (is it itself an overlay?)", err, m.Upper)
	}
	return err
}
