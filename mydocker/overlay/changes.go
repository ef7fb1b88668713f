package overlay

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// Kind is what happened to a file, in Docker's letters.
type Kind string

const (
	Modified Kind = "C" // its attributes or content, or of a directory what is in it
	Added    Kind = "A"
	Deleted  Kind = "D" // with all that was in it
)

const capability = "security.capability"

// Change is one difference between a container's root file system and its image.
type Change struct {
	Path string // absolute, as the container sees it
	Kind Kind
}

// Changes lists what an upper directory changes of the layers lower, the topmost
// first. A directory comes before what is in it, names of one directory in their
// order. It reads upper, and of the layers what upper has too, without a mount, so
// the container may be running. No upper directory is no change.
//
// made tells which paths the engine itself makes as mount points: such a file or
// directory counts as one of the image as long as it is empty.
//
// As in Docker a directory's times and size say nothing, and that a file's
// content has changed is told by its size and modification time.
func Changes(upper string, lower []string, made func(path string) bool) ([]Change, error) {
	return list(upper, lower, changes{made: made})
}

// Untouched gives a function that tells which paths in upper are only there because
// the engine made them, see Changes: what a layer leaves out.
func Untouched(upper string, lower []string, made func(path string) bool) (func(path string) bool, error) {
	found, err := list(upper, lower, changes{made: made, madeOnly: true})
	return func(path string) bool {
		return made(path) && !slices.ContainsFunc(found, func(c Change) bool { return c.Path == path })
	}, err
}

func list(upper string, lower []string, c changes) ([]Change, error) {
	dir, err := os.Open(upper)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = c.directory(dir, "/", lower)
	}
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	return c.list, nil
}

type changes struct {
	made     func(string) bool
	madeOnly bool // whatever else upper has counts as added, unseen
	list     []Change
}

// directory lists the changes in an open directory of upper, and closes it.
// below are the directories of the layers that it is merged with.
func (c *changes) directory(dir *os.File, at string, below []string) error {
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	if isOpaque(procPath(dir, ".")) { // it hides all that it does not have itself
		for _, layer := range below {
			entries, err := os.ReadDir(layer)
			if err != nil {
				return err
			}
			for _, entry := range entries { // which is really there, find tells
				names = append(names, entry.Name())
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := c.entry(dir, name, path.Join(at, name), below); err != nil {
			return err
		}
	}
	return nil
}

// entry lists what became of one name. A running container may exchange
// anything at any time, so nothing is reached through a symbolic link.
func (c *changes) entry(dir *os.File, name, at string, below []string) error {
	old, below, err := find(below, name)
	if err != nil {
		return err
	}
	var now unix.Stat_t
	err = unix.Fstatat(int(dir.Fd()), name, &now, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT || err == nil && isWhiteout(&now) {
		if old != nil {
			c.list = append(c.list, Change{at, Deleted})
		}
		return nil
	}
	if err != nil {
		return err
	}
	if c.madeOnly && !c.made(at) {
		c.list = append(c.list, Change{at, Added})
		return nil
	}
	if old == nil && (isDir(&now) || now.Size == 0) && c.made(at) {
		old = &now
	}
	first := len(c.list)
	switch {
	case old == nil:
		c.list = append(c.list, Change{at, Added})
	case differ(old, &now) || len(below) > 0 && !isDir(&now) && attribute(procPath(dir, name), capability) != attribute(below[0], capability):
		c.list = append(c.list, Change{at, Modified})
	}
	if !isDir(&now) {
		return nil
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
		return nil // exchanged meanwhile
	}
	if err != nil {
		return err
	}
	if old != nil && !isDir(old) {
		below = nil
	}
	listed := len(c.list)
	if err := c.directory(os.NewFile(uintptr(fd), name), at, below); err != nil {
		return err
	}
	if listed == first && len(c.list) > first {
		c.list = slices.Insert(c.list, first, Change{at, Modified})
	}
	return nil
}

// find looks a name up in merged directories of layers: what it is, nil if it is
// not there, and the paths that make it up, several if it is a directory.
func find(dirs []string, name string) (top *unix.Stat_t, paths []string, err error) {
	for _, dir := range dirs {
		st, at := new(unix.Stat_t), dir+"/"+name
		err := unix.Lstat(at, st)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("lstat %s: %w", at, err)
		}
		if isWhiteout(st) || top != nil && !isDir(st) {
			break
		}
		if top == nil {
			top = st
		}
		paths = append(paths, at)
		if !isDir(st) || isOpaque(at) {
			break
		}
	}
	return top, paths, nil
}

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func differ(a, b *unix.Stat_t) bool {
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return true
	}
	// Most archives know times in whole seconds only.
	sameTime := a.Mtim.Sec == b.Mtim.Sec && (a.Mtim.Nsec == b.Mtim.Nsec || a.Mtim.Nsec == 0 || b.Mtim.Nsec == 0)
	return !isDir(a) && (a.Size != b.Size || !sameTime)
}

func isOpaque(path string) bool { return attribute(path, "trusted.overlay.opaque") == "y" }

// attribute is "" if there is none. Capabilities are the longest asked for.
func attribute(path, name string) string {
	value := make([]byte, 64)
	n, _ := unix.Lgetxattr(path, name, value)
	return string(value[:max(n, 0)])
}

// procPath is for system calls that take a path only.
func procPath(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}
