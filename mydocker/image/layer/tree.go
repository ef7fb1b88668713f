package layer

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/trace"
)

// cachedDirs bounds the directories that are kept open. Archives are written in
// the order of a walk, so a few are enough.
const cachedDirs = 128

// tree is the directory being filled. Every name reaches the kernel as an open
// parent directory and one last component that is never followed.
type tree struct {
	root  int
	dirs  map[string]int // open directories by their path in the archive
	stale bool           // something was replaced: dirs may name what is gone

	times  []dirTimes
	size   int64
	buffer []byte
}

func openTree(dir string) (*tree, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return &tree{root: root, dirs: map[string]int{}, buffer: make([]byte, chunkSize)}, nil
}

func (t *tree) close() {
	t.forget()
	unix.Close(t.root)
}

func (t *tree) forget() {
	for _, fd := range t.dirs {
		unix.Close(fd)
	}
	clear(t.dirs)
	t.stale = false
}

// open opens the directory at name, resolved as if the tree were the root
// directory of the process: "..", absolute links and links to links end inside
// (openat2(2), RESOLVE_IN_ROOT), as they would after chroot(2).
func (t *tree) open(name string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(t.root, name, &how)
		// EAGAIN: something on the system was renamed while the kernel looked at
		// "..", which it takes for a possible escape until it is tried again.
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// dir returns the open directory at name, a clean relative path. What is
// missing on the way is made, with mode 0755. The descriptor stays the tree's.
func (t *tree) dir(name string) (int, error) {
	if name == "." {
		return t.root, nil
	}
	if fd, ok := t.dirs[name]; ok {
		return fd, nil
	}
	fd, err := t.open(name, 0)
	if err == unix.ENOENT || err == unix.ENOTDIR { // ENOTDIR: perhaps a whiteout
		parent, perr := t.dir(path.Dir(name))
		if perr != nil {
			return -1, perr
		}
		if err := t.mkdir(parent, path.Base(name)); err != nil {
			return -1, fmt.Errorf("mkdir %s: %w", name, err)
		}
		fd, err = t.open(name, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", name, err)
	}
	t.dirs[name] = fd
	return fd, nil
}

// mkdir makes a directory; one that is there already is a success. Where this
// layer has a whiteout the directory becomes opaque, so that the one the
// whiteout hides does not shine through.
func (t *tree) mkdir(parent int, name string) error {
	err := unix.Mkdirat(parent, name, 0o755)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch {
	case isDir(&st):
		return nil
	case !isWhiteout(&st):
		return unix.EEXIST
	}
	if err := unix.Unlinkat(parent, name, 0); err != nil {
		return err
	}
	if err := unix.Mkdirat(parent, name, 0o755); err != nil {
		return err
	}
	return setOpaque(procPath(parent, name))
}

// replacing runs make, and if the name is taken removes what is there and runs
// it again: in an archive the later entry wins.
func (t *tree) replacing(parent int, name string, make func() error) error {
	err := make()
	if err != unix.EEXIST {
		return err
	}
	t.stale = true
	if err := disk.RemoveAll(procPath(parent, name)); err != nil {
		return err
	}
	return make()
}

// whiteout hides what lower layers have at name. What this layer itself has
// there stays (OCI image-spec, layer.md: a whiteout applies to lower layers
// only), and if it is a directory it stands alone.
func (t *tree) whiteout(parent int, name string) error {
	if name == "" || name == "." || name == ".." {
		return errors.New("whiteout of no file")
	}
	trace.Step("mknod", "whiteout %s, character device 0:0", name)
	err := unix.Mknodat(parent, name, unix.S_IFCHR, 0)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if isDir(&st) {
		return setOpaque(procPath(parent, name))
	}
	return nil
}

// setOpaque makes overlayfs show nothing of the lower directories at path
// (kernel: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
func setOpaque(path string) error {
	trace.Step("setxattr", "%s trusted.overlay.opaque=y", path)
	return unix.Lsetxattr(path, opaque, []byte("y"), 0)
}

const opaque = "trusted.overlay.opaque"

// IsOpaque reports whether the directory at path hides all below it. At the top
// of a layer the kernel does not look: who mounts layers must leave out those below.
func IsOpaque(path string) bool {
	var value [1]byte
	n, err := unix.Lgetxattr(path, opaque, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// procPath names a file beside an open directory for system calls that have no
// *at form. /proc/self/fd is a magic link to the directory itself: nothing on
// the way can be exchanged.
func procPath(parent int, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", parent, name)
}
