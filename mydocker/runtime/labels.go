package runtime

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// selinux tells whether the host uses SELinux.
func selinux() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &st) == nil && st.Type == unix.SELINUX_MAGIC
}

// labelled gives the files of the new file systems among mounts an SELinux context,
// as linux.mountLabel asks; on a host without SELinux there is none to give (runc
// then fails in the mount, crun goes on). The kernel's own have contexts already.
func labelled(mounts []specs.Mount, label string) []specs.Mount {
	if label == "" || !selinux() {
		return mounts
	}
	mounts = slices.Clone(mounts)
	for i, m := range mounts {
		switch m.Type {
		case "tmpfs", "devpts", "shm", "ramfs":
			mounts[i].Options = append(slices.Clone(m.Options), "context="+label)
		}
	}
	return mounts
}
