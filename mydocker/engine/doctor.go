package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/network"
	"minidocker/mydocker/security"

	"golang.org/x/sys/unix"
)

// Finding is what doctor found out about one thing.
type Finding struct {
	Name   string
	OK     bool
	Fatal  bool   // without it no container can run
	Detail string // what was found, or if not OK what went wrong or cannot work
	Fix    string // if not OK: what to do about it
}

// doctorPrefix begins the name of the directory doctor makes; the pid follows.
const doctorPrefix = "doctor-"

// Diagnose tells whether this host can run containers. It needs no open engine nor
// privileges. Most things it tries: namespaces are made, an overlay is mounted. A
// doctor that is killed leaves one directory below Root, which Check removes.
func Diagnose(c Config) []Finding {
	var d doctor
	d.kernel()
	d.privileges()
	d.namespaces()
	d.cgroups()
	d.storage(c.withDefaults().Root)
	d.firewalls(c.withDefaults().Instance)
	return d.findings
}

type doctor struct{ findings []Finding }

// try adds what was found, or an error and what to do about it. A system call that
// was refused has a fix of its own.
func (d *doctor) try(name string, fatal bool, found string, err error, fix string) {
	f := Finding{Name: name, OK: err == nil, Fatal: fatal, Detail: found}
	if err != nil {
		f.Detail, f.Fix = err.Error(), fix
	}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		f.Fix = "run as root and outside of other containers (or in one with --privileged)"
	case errors.Is(err, unix.ENOSYS):
		f.Fix = "use Linux 5.15 or newer; inside another container its seccomp profile may refuse the call"
	}
	d.findings = append(d.findings, f)
}

func (d *doctor) kernel() {
	_, release, _ := uname()
	d.try("kernel", true, "Linux "+release, atLeast(release, 5, 15), "boot Linux 5.15 or newer, as Debian 12, Ubuntu 22.04 and their successors have")
	d.try("seccomp", true, "filters work", probeSeccomp(),
		"use a kernel with CONFIG_SECCOMP_FILTER; until then: mydocker run --security-opt seccomp=unconfined")
	d.try("nftables", false, "", probeNftables(), "modprobe nf_tables (networks other than none and host need it)")
}

// firewalls looks for those of others, which may drop what the engine's lets pass.
func (d *doctor) firewalls(instance string) {
	blocked, err := network.Blocked(instance)
	if err != nil || len(blocked) == 0 {
		d.try("firewall", false, "nobody else's drops what containers send or get", err, "run as root; modprobe nf_tables")
	}
	for _, one := range blocked {
		what, fix, _ := strings.Cut(one, "; to open it: ")
		d.try("firewall", false, "", errors.New(what), fix)
	}
}

// storage tries what is mounted of Root in a directory below it.
func (d *doctor) storage(root string) {
	scratch, err := os.MkdirTemp(root, fmt.Sprintf("%s%d-*", doctorPrefix, os.Getpid()))
	elsewhere := "choose a directory on ext4 or xfs with some free space: mydocker --root DIR"
	if err != nil {
		d.try("disk", true, "", err, elsewhere)
		return
	}
	defer os.RemoveAll(scratch)
	space, err := probeDisk(root)
	d.try("disk", false, space, err, elsewhere)
	d.try("extended attributes", true, "trusted, security", probeAttributes(scratch), elsewhere)
	d.try("overlayfs", true, "mounted below "+root, probeOverlay(scratch, nil), "modprobe overlay; or "+elsewhere)
	d.try("id-mapped mounts", false, "on "+fileSystem(root)+": containers get a user namespace of their own", probeIDMap(scratch),
		"without it containers have the host's user namespace (--userns host): use Linux 5.19 or newer, and a Root on ext4, xfs or btrfs")
}

// need is something a host may lack, and what does not work then.
type need struct {
	name    string
	fatal   bool
	without string
}

// missing adds what the host does not have. In fix, %[1]s is its name.
func (d *doctor) missing(kind string, needs []need, has []string, fix string) {
	for _, n := range needs {
		if !slices.Contains(has, n.name) {
			d.try(kind+n.name, n.fatal, "", errors.New("missing; without it "+n.without), fmt.Sprintf(fix, n.name))
		}
	}
}

// privileges looks for the capabilities (capabilities(7)) that a process of root
// usually has, and in a virtual machine or container may lack.
func (d *doctor) privileges() {
	available, err := security.AvailableCapabilities()
	d.try("privileges", true, fmt.Sprintf("%d capabilities", len(available)), err, "")
	needs := []need{
		{"CAP_SYS_ADMIN", true, "nothing can be mounted and no namespace made"},
		{"CAP_CHOWN", true, "images cannot be unpacked"},
		{"CAP_DAC_OVERRIDE", true, "images cannot be unpacked"},
		{"CAP_FOWNER", true, "images cannot be unpacked"},
		{"CAP_MKNOD", true, "containers get no /dev, and deleted files cannot be hidden"},
		{"CAP_SETUID", true, "a container's user cannot be set"},
		{"CAP_SETGID", true, "a container's groups cannot be set"},
		{"CAP_SETPCAP", true, "a container's capabilities cannot be limited"},
		{"CAP_KILL", true, "a container of another user cannot be stopped"},
		{"CAP_SYS_PTRACE", false, "exec cannot enter the container of another user"},
		{"CAP_NET_ADMIN", false, "only the networks none and host work"},
		{"CAP_SYS_RESOURCE", false, "--ulimit cannot exceed the caller's own limits, and --privileged containers lack it too"},
	}
	for _, name := range security.DefaultCapabilities() {
		if !slices.ContainsFunc(needs, func(n need) bool { return n.name == name }) {
			needs = append(needs, need{name, false, "containers, which have it by default, do not get it"})
		}
	}
	d.missing("", needs, available, "run as root and outside of other containers (or in one with --cap-add %[1]s)")
}

func (d *doctor) namespaces() {
	for _, ns := range []struct {
		name string
		flag uintptr
	}{
		{"mount", unix.CLONE_NEWNS}, {"pid", unix.CLONE_NEWPID}, {"network", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC},
		{"uts", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP}, {"user", unix.CLONE_NEWUSER},
	} {
		d.try(ns.name+" namespace", ns.flag != unix.CLONE_NEWUSER, "", probeNamespace(ns.flag),
			"raise the limits in /proc/sys/user, or use a kernel with CONFIG_NAMESPACES and all below it")
	}
}

func (d *doctor) cgroups() {
	host, err := cgroup.Host()
	if err != nil {
		d.try("cgroups", true, "", err, "mount -t cgroup2 none /sys/fs/cgroup")
		return
	}
	has := host.Controllers()
	d.try("cgroups", true, fmt.Sprintf("version %d: %s", host.Version, strings.TrimSpace(strings.Join(has, " "))), nil, "")
	fix := "boot with the kernel parameter cgroup_enable=%[1]s"
	if host.Version == 1 {
		fix = "mkdir /sys/fs/cgroup/%[1]s && mount -t cgroup -o %[1]s none /sys/fs/cgroup/%[1]s (or " + fix + ")"
	}
	d.missing("cgroup ", []need{
		{"memory", false, "-m is refused"},
		{"cpu", false, "--cpus and --cpu-shares are refused"},
		{"cpuset", false, "--cpuset-cpus is refused"},
		{"pids", false, "--pids-limit is refused"},
		{"devices", true, "no container can be kept from the host's devices"},
	}, has, fix)
	if slices.Contains(has, "memory") && !host.LimitsSwap() {
		d.try("swap limit", false, "", errors.New("swap is not counted: -m limits memory alone"), "boot with the kernel parameter swapaccount=1")
	}
}

// atLeast compares a kernel release such as 6.1.0-18-amd64 with a version.
func atLeast(release string, major, minor int) error {
	var x, y int
	fmt.Sscanf(release, "%d.%d", &x, &y)
	if x > major || x == major && y >= minor {
		return nil
	}
	return fmt.Errorf("Linux %s is older than %d.%d", release, major, minor)
}
