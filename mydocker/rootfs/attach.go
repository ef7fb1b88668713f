package rootfs

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The steps of a mount by the interface that Linux has since 5.2: a file system is
// configured, becomes a detached mount, gets its attributes, and only then is attached.

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
	if fstype == "tmpfs" { // read-only as a mount, not as a file system, which is to be filled yet
		super := o
		super.set &^= unix.MOUNT_ATTR_RDONLY
		err = configure(fs, super)
	} else {
		err = configure(fs, o)
	}
	if err != nil {
		return nil, err
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

// configure passes on the file system's own options, and those that it shares with
// the mount: a disk that is write-protected cannot be mounted without "ro".
func configure(fs int, o options) error {
	data := o.data
	if o.set&unix.MOUNT_ATTR_RDONLY != 0 {
		data = append(slices.Clone(data), "ro")
	}
	for _, option := range data {
		key, value, hasValue := strings.Cut(option, "=")
		var err error
		if hasValue {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		// Without a file system that can switch it, mount(2) took iversion and did nothing.
		if err != nil && option != "iversion" {
			return fmt.Errorf("fsconfig %s: %w", option, explain(fs, err))
		}
	}
	return nil
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
	if err := setAttributes(mount, 0, unix.MountAttr{Attr_set: o.set, Attr_clr: o.clear}); err != nil {
		return err
	}
	return setAttributes(mount, unix.AT_RECURSIVE, unix.MountAttr{Attr_set: o.setAll, Attr_clr: o.clearAll})
}

// setAttributes is mount_setattr(2) on what mount stands for.
func setAttributes(mount *os.File, flags uint, attr unix.MountAttr) error {
	if attr == (unix.MountAttr{}) {
		return nil
	}
	if err := unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH|flags, &attr); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	return nil
}

func recursive(all bool) uint {
	if all {
		return unix.AT_RECURSIVE
	}
	return 0
}

// attach puts a detached mount on point.
func attach(mount, point *os.File) error {
	err := unix.MoveMount(int(mount.Fd()), "", int(point.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// propagate sets what the options say of propagation, in their order: of "slave",
// "shared" a mount becomes both.
func propagate(mount *os.File, o options) error {
	for _, p := range o.propagation {
		if err := setAttributes(mount, recursive(p.all), unix.MountAttr{Propagation: p.flag}); err != nil {
			return fmt.Errorf("set propagation: %w", err)
		}
	}
	return nil
}
