package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Finding is one question that doctor asked of the host, and the answer.
type Finding struct {
	Name   string
	OK     bool
	Fatal  bool   // without it no container can run
	Detail string // what was found, or if not OK what went wrong or cannot work
	Fix    string // if not OK: what to do about it
}

// Doctor is Diagnose of the engine's own configuration.
func (e *Engine) Doctor() []Finding { return Diagnose(e.config) }

// Diagnose tells whether this host can run containers. Each thing is not looked up
// but tried: namespaces are made, an overlay is mounted, a cgroup is limited. All
// of it ends with a thread, a child process or a descriptor, but for one directory
// below Root and one cgroup, whose names hold the pid; Check removes what a
// doctor that was killed left of these. It needs no open engine, and says so if it
// lacks privileges.
func Diagnose(c Config) []Finding {
	c = c.withDefaults()
	d := &doctor{root: c.Root, instance: c.Instance}
	d.kernel()
	d.privileges()
	d.namespaces()
	d.try("mount API", true, probeMountAPI, d.explain)
	d.storage()
	d.cgroups()
	d.try("seccomp", true, probeSeccomp, func(error) string {
		return "use a kernel with CONFIG_SECCOMP_FILTER; until then: mydocker run --security-opt seccomp=unconfined"
	})
	d.try("pidfd", true, probePidfd, d.explain)
	d.try("nftables", false, probeNftables, func(err error) string {
		if errors.Is(err, unix.EPERM) {
			return d.explain(err)
		}
		return "modprobe nf_tables (networks other than none and host need it)"
	})
	d.securityModules()
	return d.findings
}

type doctor struct {
	root, instance string
	findings       []Finding
	scratch        string // a directory below root; "": none could be made
}

func (d *doctor) add(f Finding) { d.findings = append(d.findings, f) }

// try adds the finding of a probe that says in a word what it found.
func (d *doctor) try(name string, fatal bool, probe func() (string, error), fix func(error) string) {
	detail, err := probe()
	if err != nil {
		d.add(Finding{Name: name, Fatal: fatal, Detail: err.Error(), Fix: fix(err)})
		return
	}
	d.add(Finding{Name: name, OK: true, Fatal: fatal, Detail: detail})
}

// explain says what to do about a system call that was refused.
func (d *doctor) explain(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "run as root and outside of other containers (or in one with --privileged)"
	case errors.Is(err, unix.ENOSYS):
		return "use Linux 5.15 or newer; inside another container its seccomp profile may refuse the call"
	}
	return "see the kernel's log: dmesg | tail"
}

func (d *doctor) kernel() {
	var names unix.Utsname
	unix.Uname(&names)
	release := unix.ByteSliceToString(names.Release[:])
	d.add(Finding{Name: "kernel", OK: atLeast(release, 5, 15), Fatal: true, Detail: "Linux " + release,
		Fix: "boot Linux 5.15 or newer, as Debian 12, Ubuntu 22.04 and their successors have"})
}

// atLeast compares a kernel release such as 6.1.0-18-amd64 with a version.
func atLeast(release string, major, minor int) bool {
	fields := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) < 2 {
		return false
	}
	x, _ := strconv.Atoi(fields[0])
	y, _ := strconv.Atoi(fields[1])
	return x > major || x == major && y >= minor
}

func (d *doctor) namespaces() {
	for _, ns := range []struct {
		name, file string
		flag       uintptr
		fatal      bool
	}{
		{"mount", "mnt", unix.CLONE_NEWNS, true},
		{"pid", "pid", unix.CLONE_NEWPID, true},
		{"network", "net", unix.CLONE_NEWNET, true},
		{"ipc", "ipc", unix.CLONE_NEWIPC, true},
		{"uts", "uts", unix.CLONE_NEWUTS, true},
		{"cgroup", "cgroup", unix.CLONE_NEWCGROUP, true},
		{"user", "user", unix.CLONE_NEWUSER, false},
	} {
		d.try(ns.name+" namespace", ns.fatal, func() (string, error) {
			child, err := cloneWaiting(ns.flag)
			if err != nil {
				return "", err
			}
			child.end()
			return "", nil
		}, func(err error) string {
			if errors.Is(err, unix.ENOSPC) {
				return fmt.Sprintf("sysctl -w user.max_%s_namespaces=30000", ns.file)
			}
			if errors.Is(err, unix.EINVAL) {
				return fmt.Sprintf("use a kernel with CONFIG_%s_NS", strings.ToUpper(ns.file))
			}
			return d.explain(err)
		})
	}
}

// storage asks about Root and what is mounted of it.
func (d *doctor) storage() {
	scratch, err := os.MkdirTemp(d.root, fmt.Sprintf("%s%d-*", doctorPrefix, os.Getpid()))
	if err != nil {
		d.add(Finding{Name: "disk", Fatal: true, Detail: err.Error(), Fix: "choose a directory that can be written: mydocker --root DIR"})
		return
	}
	defer os.RemoveAll(scratch)
	elsewhere := "choose a directory on ext4 or xfs: mydocker --root DIR"
	d.try("disk", false, func() (string, error) { return probeDisk(d.root) },
		func(error) string { return "free some space, or choose another directory: mydocker --root DIR" })
	d.try("file types", true, func() (string, error) { return probeTypes(scratch) },
		func(error) string { return "make xfs with mkfs.xfs -n ftype=1, ext4 with -O filetype; or " + elsewhere })
	d.try("extended attributes", true, func() (string, error) { return probeAttributes(scratch) },
		func(error) string { return elsewhere })
	d.try("overlayfs", true, func() (string, error) { return probeOverlay(filepath.Join(scratch, "overlay")) },
		func(err error) string {
			switch {
			case errors.Is(err, unix.ENODEV):
				return "modprobe overlay"
			case errors.Is(err, unix.EPERM):
				return d.explain(err)
			}
			return elsewhere
		})
	d.try("id-mapped mounts", false, func() (string, error) { return probeIDMap(filepath.Join(scratch, "idmap")) },
		func(error) string {
			return "containers with user namespaces need it: Linux 5.19 or newer, and Root on ext4, xfs or btrfs"
		})
}

// securityModules notes what else on this host may refuse something.
func (d *doctor) securityModules() {
	var active []string
	if firstLine("/sys/module/apparmor/parameters/enabled") == "Y" {
		active = append(active, "AppArmor is on: containers run without a profile")
	}
	switch firstLine("/sys/fs/selinux/enforce") {
	case "1":
		active = append(active, "SELinux enforces: containers run with the label of the command line")
	case "0":
		active = append(active, "SELinux is permissive")
	}
	if active == nil {
		active = []string{"neither AppArmor nor SELinux"}
	}
	d.add(Finding{Name: "security module", OK: true, Detail: strings.Join(active, "; ")})
}
