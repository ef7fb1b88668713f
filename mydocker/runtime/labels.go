package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/security"

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

// setLabels says by which AppArmor profile and SELinux context the next program
// that this thread executes is to run. It uses the host's /proc.
func setLabels(process *specs.Process) error {
	for _, l := range labels(process) {
		if l.err != nil {
			return l.err
		}
		if err := os.WriteFile("/proc/thread-self/attr/"+l.file, []byte(l.text), 0); err != nil {
			return fmt.Errorf("unable to apply %s: %w", l.what, err)
		}
	}
	return nil
}

type label struct {
	what, file, text string
	err              error
}

// labels are what has to be written to files in /proc/thread-self/attr.
func labels(process *specs.Process) (all []label) {
	if process.ApparmorProfile != "" {
		l := label{what: "apparmor profile", file: "apparmor/exec", text: "exec " + process.ApparmorProfile}
		if enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || enabled[0] != 'Y' {
			l.err = errors.New("unable to apply apparmor profile: apparmor: config provided but apparmor not supported")
		}
		if _, err := os.Stat("/proc/self/attr/apparmor"); err != nil {
			l.file = "exec" // before Linux 5.1
		}
		all = append(all, l)
	}
	if process.SelinuxLabel != "" {
		all = append(all, label{what: "selinux label", file: "exec", text: process.SelinuxLabel})
	}
	return all
}

// execBefore is what an exec's child does in the host's namespaces: it sets limits and
// scheduling, for which it may lack the privilege inside, and the labels. free is the
// descriptor that open(2) will give.
func execBefore(process *specs.Process, free int) ([]namespace.Call, error) {
	limits, err := security.Limits(0, process.Rlimits)
	scheduling, err2 := security.Scheduling(process, 0)
	if err := cmp.Or(err, err2); err != nil {
		return nil, err
	}
	calls := append(limits, scheduling...)
	for _, l := range labels(process) {
		if l.err != nil {
			return nil, l.err
		}
		path := "/proc/thread-self/attr/" + l.file
		calls = append(calls,
			namespace.NewCall("open "+path, unix.SYS_OPENAT, unix.AT_FDCWD, path, unix.O_WRONLY),
			namespace.NewCall("apply "+l.what+" "+l.text, unix.SYS_WRITE, free, l.text, len(l.text)),
			namespace.NewCall("close", unix.SYS_CLOSE, free))
	}
	return calls, nil
}
