package rootfs

import (
	"errors"
	"fmt"
	"os"
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

// OpenSources opens the sources of the bind mounts among mounts; the others get nil.
// given are detached mounts that are open already, by the destinations they are for.
func OpenSources(mounts []specs.Mount, given map[string]*os.File) ([]*Source, error) {
	sources := make([]*Source, len(mounts))
	for i, m := range mounts {
		o := parseOptions(m.Options)
		if m.Type != "bind" && !o.bind {
			continue
		}
		source, err := &Source{mount: given[m.Destination]}, error(nil)
		if source.mount == nil {
			source, err = openSource(m, o)
		} else {
			source.directory, err = isDirectory(source.mount)
		}
		if err != nil {
			return nil, fmt.Errorf("bind mount %s on %s: %w", m.Source, m.Destination, err)
		}
		sources[i] = source
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
	if m.Type != "bind" && !o.bind {
		return newMount(m.Type, m.Source, o)
	}
	source, err := openSource(m, o)
	if err != nil {
		return nil, err
	}
	return source.mount, bindAttributes(source.mount, o)
}

// MountAll mounts mounts in their order below root. sources is what OpenSources
// gave for them.
func MountAll(root *os.File, mounts []specs.Mount, sources []*Source) error {
	for i, m := range mounts {
		if err := mountOne(root, m, sources[i]); err != nil {
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

func mountOne(root *os.File, m specs.Mount, source *Source) error {
	o := parseOptions(m.Options)
	if m.Type == "cgroup" && source == nil {
		return mountCgroup(root, m, o)
	}
	if m.Type == "tmpfs" && source == nil {
		o.data = append(o.data, coveredMode(root, m.Destination, o.data)...)
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
	if err := attach(mount, point); err != nil {
		return err
	}
	return propagate(mount, o)
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

// newMount makes a detached mount of a new file system instance.
func newMount(fstype, source string, o options) (*os.File, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer unix.Close(fs)
	if source != "" {
		if err := unix.FsconfigSetString(fs, "source", source); err != nil {
			return nil, fmt.Errorf("fsconfig source=%s: %w", source, err)
		}
	}
	for _, option := range o.data {
		key, value, hasValue := strings.Cut(option, "=")
		if hasValue {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			return nil, fmt.Errorf("fsconfig %s: %w", option, explain(fs, err))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("create %s: %w", fstype, explain(fs, err))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, int(o.set|o.setAll))
	if err != nil {
		return nil, fmt.Errorf("fsmount %s: %w", fstype, err)
	}
	return os.NewFile(uintptr(fd), fstype), nil
}

// hostSys is the host's /sys, read-only: a container's root may mount one only if its
// network namespace, whose devices a sysfs shows, belongs to its user namespace (EPERM).
func hostSys() (*os.File, error) {
	source, err := openSource(specs.Mount{Source: "/sys"}, options{recursive: true})
	if err != nil {
		return nil, err
	}
	return source.mount, bindAttributes(source.mount, options{setAll: unix.MOUNT_ATTR_RDONLY})
}

// explain adds what the kernel wrote into the file system context's log, which
// says more than an errno (since 5.2: read(2) on the context).
func explain(fs int, err error) error {
	buffer := make([]byte, 512)
	if n, readErr := unix.Read(fs, buffer); readErr == nil && n > 2 {
		return fmt.Errorf("%w (%s)", err, strings.TrimSpace(string(buffer[2:n])))
	}
	return err
}

// bindAttributes sets on a detached bind mount what its options ask for. It is
// done before the mount can be reached, so it is never writable for a moment.
func bindAttributes(mount *os.File, o options) error {
	set := func(flags uint, set, clear uint64) error {
		if set == 0 && clear == 0 {
			return nil
		}
		attr := unix.MountAttr{Attr_set: set, Attr_clr: clear}
		if err := unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH|flags, &attr); err != nil {
			return fmt.Errorf("mount_setattr: %w", err)
		}
		return nil
	}
	if err := set(0, o.set, o.clear); err != nil {
		return err
	}
	return set(unix.AT_RECURSIVE, o.setAll, o.clearAll)
}

// attach puts a detached mount on point.
func attach(mount, point *os.File) error {
	err := unix.MoveMount(int(mount.Fd()), "", int(point.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

func propagate(mount *os.File, o options) error {
	if o.propagation == 0 {
		return nil
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if o.propagationAll {
		flags |= unix.AT_RECURSIVE
	}
	attr := unix.MountAttr{Propagation: o.propagation}
	if err := unix.MountSetattr(int(mount.Fd()), "", flags, &attr); err != nil {
		return fmt.Errorf("set propagation: %w", err)
	}
	return nil
}

// readOnly makes the mount that path stands on read-only, or if path is no
// mount of its own, binds it over itself and makes that read-only. An absent
// path is a success.
func readOnly(root *os.File, path string) error {
	at, err := lookup(root, path, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer at.Close()
	fd, err := unix.OpenTree(int(at.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", path, err)
	}
	copied := os.NewFile(uintptr(fd), path)
	defer copied.Close()
	if err := bindAttributes(copied, options{setAll: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return err
	}
	return attach(copied, at)
}
