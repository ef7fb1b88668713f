package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Source is what a bind mount shows, opened before the container's root hides
// the host: a detached copy of the mount.
type Source struct {
	mount     *os.File
	directory bool
}

// IsBind tells whether m is a bind mount: by an option, whatever its type, or by that.
func IsBind(m specs.Mount) bool { return m.Type == "bind" || parseOptions(m.Options).bind }

// OpenSources opens the sources of the bind mounts among mounts; the others get nil.
// given are detached mounts that are open already, by the destinations they are for.
func OpenSources(mounts []specs.Mount, given map[string]*os.File) ([]*Source, error) {
	sources, err := GivenSources(mounts, func(i int) *os.File { return given[mounts[i].Destination] })
	for i, m := range mounts {
		if o := parseOptions(m.Options); err == nil && sources[i] == nil && IsBind(m) && !o.remount {
			if sources[i], err = openSource(m, o); err != nil {
				err = fmt.Errorf("bind mount %s on %s: %w", m.Source, m.Destination, err)
			}
		}
	}
	return sources, err
}

// GivenSources is OpenSources that leaves to MountAll what is not given: the mounts
// then have numbers in their order, by which since Linux 6.8 they are listed. given
// gives nil, or a detached mount for the i-th of mounts.
func GivenSources(mounts []specs.Mount, given func(i int) *os.File) ([]*Source, error) {
	sources := make([]*Source, len(mounts))
	for i, m := range mounts {
		mount := given(i)
		if mount == nil || !IsBind(m) || parseOptions(m.Options).remount {
			continue
		}
		directory, err := isDirectory(mount)
		if err != nil {
			return nil, fmt.Errorf("bind mount %s on %s: %w", m.Source, m.Destination, err)
		}
		sources[i] = &Source{mount, directory}
	}
	return sources, nil
}

func openSource(m specs.Mount, o options) (*Source, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if o.recursive {
		flags |= unix.AT_RECURSIVE
	}
	trace.Step("open_tree", "%s (recursive: %t): a detached copy of the mount", m.Source, o.recursive)
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, flags)
	if err != nil {
		return nil, err
	}
	source := &Source{mount: os.NewFile(uintptr(fd), m.Source)}
	source.directory, err = isDirectory(source.mount)
	return source, err
}

// OpenMount opens what m shows, a file system of its own or for a bind its source, as a
// detached mount with what its options ask for.
func OpenMount(m specs.Mount) (*os.File, error) {
	o := parseOptions(m.Options)
	if !IsBind(m) {
		return newMount(m.Type, m.Source, o)
	}
	source, err := openSource(m, o)
	if err != nil {
		return nil, err
	}
	return source.mount, bindAttributes(source.mount, o)
}

// MountAll mounts mounts in their order below root, which becomes what is mounted
// on "/", if anything is. sources is what OpenSources gave for them. copyUp copies
// a directory for the option tmpcopyup; nil: there is no such option.
func MountAll(root *os.File, mounts []specs.Mount, sources []*Source, copyUp func(from, to *os.File) error) error {
	for i, m := range mounts {
		if err := mountOne(root, m, sources[i], copyUp); err != nil {
			return fmt.Errorf("mount %s on %s: %w", describe(m), m.Destination, err)
		}
	}
	return nil
}

func describe(m specs.Mount) string {
	if m.Type == "bind" || m.Type == "" || m.Type == "none" {
		return m.Source
	}
	return m.Type
}

func mountOne(root *os.File, m specs.Mount, source *Source, copyUp func(from, to *os.File) error) error {
	o := parseOptions(m.Options)
	var later options
	if source == nil && IsBind(m) && !o.remount {
		var err error
		if source, err = openSource(m, o); err != nil {
			return err
		}
	}
	switch {
	case o.remount:
		return remount(root, m, o)
	case source != nil:
	case m.Type == "cgroup":
		return mountCgroup(root, m, o)
	case m.Type == "tmpfs":
		o.data = append(o.data, coveredMode(root, m.Destination, o.data)...)
		if o.copyUp || isDev(m) { // is to be filled yet; see SealDev
			later.set, o.set = o.set&unix.MOUNT_ATTR_RDONLY, o.set&^unix.MOUNT_ATTR_RDONLY
		}
	}
	directory := source == nil || source.directory
	point, err := target(root, m, directory)
	if err != nil {
		return err
	}
	defer point.Close()
	if is, err := isDirectory(point); err != nil || is != directory {
		return errKind
	}
	var mount *os.File
	if source != nil {
		trace.Step("move_mount", "bind %s on %s (%s)", m.Source, m.Destination, strings.Join(m.Options, ","))
		mount = source.mount
		err = bindAttributes(mount, o)
	} else {
		mount, err = newMount(m.Type, m.Source, o)
		if m.Type == "sysfs" && errors.Is(err, unix.EPERM) {
			mount, err = hostSys()
		}
		trace.Step("mount", "%s on %s (%s)", m.Type, m.Destination, strings.Join(m.Options, ","))
	}
	if err != nil {
		return err
	}
	defer mount.Close()
	if o.copyUp && source == nil && m.Type == "tmpfs" && copyUp != nil {
		if err := copyUp(point, mount); err != nil {
			return fmt.Errorf("tmpcopyup: %w", err)
		}
	}
	if !isDev(m) {
		if err := bindAttributes(mount, later); err != nil {
			return err
		}
	}
	if err := attach(mount, point); err != nil {
		return err
	}
	if filepath.Clean("/"+m.Destination) == "/" {
		if err := unix.Dup3(int(mount.Fd()), int(root.Fd()), unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
	}
	return propagate(mount, o)
}

// isDev tells whether m is for /dev.
func isDev(m specs.Mount) bool { return filepath.Clean("/"+m.Destination) == "/dev" }

// BindsDev tells whether /dev is a bind mount, so that its nodes are somebody else's.
func BindsDev(mounts []specs.Mount) bool {
	return slices.ContainsFunc(mounts, func(m specs.Mount) bool { return isDev(m) && IsBind(m) })
}

// SealDev makes a /dev read-only that is to be so, when its nodes are made.
func SealDev(root *os.File, mounts []specs.Mount) error {
	for _, m := range mounts {
		if o := parseOptions(m.Options); isDev(m) && m.Type == "tmpfs" && !IsBind(m) && o.set&unix.MOUNT_ATTR_RDONLY != 0 {
			return remount(root, m, options{set: unix.MOUNT_ATTR_RDONLY, bind: true})
		}
	}
	return nil
}

// remount changes the mount at a destination, and unless bind is among the
// options the file system that it shows.
func remount(root *os.File, m specs.Mount, o options) error {
	point, err := lookup(root, m.Destination, 0)
	if err != nil {
		return err
	}
	defer point.Close()
	trace.Step("remount", "%s (%s)", m.Destination, strings.Join(m.Options, ","))
	if !o.bind {
		fs, err := unix.Fspick(int(point.Fd()), "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)
		if err != nil {
			return fmt.Errorf("fspick: %w", err)
		}
		defer unix.Close(fs)
		if err := configure(fs, o); err != nil {
			return err
		}
		if err := unix.FsconfigReconfigure(fs); err != nil {
			return fmt.Errorf("reconfigure: %w", explain(fs, err))
		}
	}
	if err := bindAttributes(point, o); err != nil {
		return err
	}
	return propagate(point, o)
}

// errKind has Docker's words.
var errKind = errors.New("not a directory: Are you trying to mount a directory onto a file (or vice-versa)? " +
	"Check if the specified host path exists and is the expected type")

func isDirectory(file *os.File) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(file.Fd()), &st)
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

// coveredMode gives a tmpfs without a mode option the mode of the directory it
// covers, as runc does.
func coveredMode(root *os.File, path string, data []string) []string {
	for _, option := range data {
		if strings.HasPrefix(option, "mode=") {
			return nil
		}
	}
	covered, err := lookup(root, path, unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer covered.Close()
	var st unix.Stat_t
	if unix.Fstat(int(covered.Fd()), &st) != nil {
		return nil
	}
	return []string{fmt.Sprintf("mode=%o", st.Mode&0o7777)}
}
