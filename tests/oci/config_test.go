package oci

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func edit(change func(*specs.Spec)) func(*box) { return func(b *box) { change(b.spec) } }

// mounted adds a mount; without a source it is a directory of the bundle with a
// file and a mount in it.
func mounted(m specs.Mount) func(*box) {
	return func(b *box) {
		m := m
		if m.Source == "" {
			m.Source = b.dir + "/source"
			os.MkdirAll(m.Source+"/below", 0o755)
			os.WriteFile(m.Source+"/file", []byte("hello\n"), 0o644)
		}
		b.spec.Mounts = append(b.spec.Mounts, m)
	}
}

func bind(options ...string) func(*box) {
	return mounted(specs.Mount{Destination: "/mnt/bound", Type: "bind", Options: options})
}

func tmpfs(options ...string) func(*box) {
	return mounted(specs.Mount{Destination: "/mnt/tmpfs", Type: "tmpfs", Source: "tmpfs", Options: options})
}

func namespaces(list ...specs.LinuxNamespace) func(*box) {
	return edit(func(s *specs.Spec) { s.Linux.Namespaces = list })
}

// without removes one kind of namespace.
func without(kind specs.LinuxNamespaceType) func(*box) {
	return edit(func(s *specs.Spec) {
		var rest []specs.LinuxNamespace
		for _, n := range s.Linux.Namespaces {
			if n.Type != kind {
				rest = append(rest, n)
			}
		}
		s.Linux.Namespaces = rest
	})
}

func process(change func(*specs.Process)) func(*box) {
	return edit(func(s *specs.Spec) { change(s.Process) })
}

func linux(change func(*specs.Linux)) func(*box) {
	return edit(func(s *specs.Spec) { change(s.Linux) })
}

func capabilities(c specs.LinuxCapabilities) func(*box) {
	return process(func(p *specs.Process) { p.Capabilities, p.NoNewPrivileges = &c, false })
}

func seccomp(s specs.LinuxSeccomp) func(*box) {
	return linux(func(l *specs.Linux) { l.Seccomp = &s })
}

func sysctl(name, value string) func(*box) {
	return linux(func(l *specs.Linux) { l.Sysctl = map[string]string{name: value} })
}

func rlimit(kind string, soft, hard uint64) func(*box) {
	return process(func(p *specs.Process) {
		p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{Type: kind, Soft: soft, Hard: hard})
	})
}

func device(d specs.LinuxDevice) func(*box) {
	return linux(func(l *specs.Linux) {
		l.Devices = append(l.Devices, d)
		l.Resources.Devices = append(l.Resources.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: "rwm"})
	})
}

func resources(change func(*specs.LinuxResources)) func(*box) {
	return linux(func(l *specs.Linux) { change(l.Resources) })
}

func command(args ...string) func(*box) {
	return process(func(p *specs.Process) { p.Args = args })
}

// userNamespace maps 65536 ids and gives the root file system to the mapped root.
func userNamespace(b *box) {
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 65536}}
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = ids, ids
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
	os.Chmod(scratch, 0o711)
	os.Chmod(b.dir, 0o711)
	chownTree(b.dir+"/rootfs", 200000)
}

// sharedMount puts the bundle's root file system on a mount that is shared, as all
// are where systemd has made them, with another in it.
func sharedMount(b *box) {
	b.mount(b.dir+"/rootfs", b.dir+"/rootfs", "", unix.MS_BIND)
	b.mount("", b.dir+"/rootfs", "", unix.MS_SHARED)
	b.mount("tmpfs", b.dir+"/rootfs/usr", "tmpfs", 0)
}

func all(edits ...func(*box)) func(*box) {
	return func(b *box) {
		for _, e := range edits {
			e(b)
		}
	}
}

// TestProcess is config.md#process and #user.
func TestProcess(t *testing.T) {
	t.Parallel()
	some := []string{"CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SYS_CHROOT"}
	for _, r := range []row{
		{name: "default", edit: func(*box) {}, base: true, plain: true},
		{name: "cwd", edit: process(func(p *specs.Process) { p.Cwd = "/tmp" }), want: map[string]string{"cwd": "/tmp"}},
		{name: "cwd that is not there", edit: process(func(p *specs.Process) { p.Cwd = "/made/for/it" })},
		{name: "cwd relative", edit: process(func(p *specs.Process) { p.Cwd = "tmp" }), want: map[string]string{"create": "refused"}},
		{name: "env", edit: process(func(p *specs.Process) { p.Env = append(p.Env, "A=1", "B=x=y", "C=") })},
		{name: "env without HOME, user", edit: process(func(p *specs.Process) { p.User.UID = 1000 })},
		{name: "env twice", edit: process(func(p *specs.Process) { p.Env = append(p.Env, "A=1", "A=2") })},
		{name: "env empty", edit: process(func(p *specs.Process) { p.Env = nil })},
		{name: "env without equals", edit: process(func(p *specs.Process) { p.Env = append(p.Env, "NONSENSE") })},
		{name: "args", edit: command("/report", "report", "/nothing", "")},
		{name: "args empty", edit: command(), want: map[string]string{"create": "refused"}},
		{name: "args by PATH", edit: command("sh", "-c", "echo $0; exit 3"), want: map[string]string{"exit": "3"}},
		{name: "args relative to cwd", edit: all(command("./report", "report"), func(b *box) { b.spec.Process.Cwd = "/" }), plain: true, differs: map[string]string{"args": "", "exe": ""}},
		{name: "args not there", edit: command("/nothing/here")},
		{name: "args not there by PATH", edit: command("nothing-here")},
		{name: "args a directory", edit: command("/etc")},
		{name: "args not executable", edit: command("/etc/passwd")},
		{name: "args script", edit: all(func(b *box) { os.WriteFile(b.dir+"/rootfs/script", []byte("#!/bin/sh\necho $0 $1\n"), 0o755) }, command("/script", "x"))},
		{name: "args bad interpreter", edit: all(func(b *box) { os.WriteFile(b.dir+"/rootfs/script", []byte("#!/none\n"), 0o755) }, command("/script")), differs: map[string]string{"exit": "127 as a shell says, where runc says 1"}},
		{name: "user", edit: process(func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1001} })},
		{name: "user without capabilities", edit: process(func(p *specs.Process) { p.User, p.Capabilities = specs.User{UID: 1000, GID: 1001}, nil })},
		{name: "user groups", edit: process(func(p *specs.Process) { p.User.AdditionalGids = []uint32{5, 29, 70000} }), want: map[string]string{"status Groups": "5 29 70000"}},
		{name: "user group twice", edit: process(func(p *specs.Process) { p.User.AdditionalGids = []uint32{5, 5} }), differs: map[string]string{"status Groups": "the kernel keeps both, which is the same"}},
		{name: "umask", edit: process(func(p *specs.Process) { p.User.Umask = pointer(uint32(0o77)) }), want: map[string]string{"status Umask": "0077"}},
		{name: "umask 0", edit: process(func(p *specs.Process) { p.User.Umask = pointer(uint32(0)) }), want: map[string]string{"status Umask": "0000"}},
		{name: "no capabilities", edit: capabilities(specs.LinuxCapabilities{})},
		{name: "no capabilities object", edit: process(func(p *specs.Process) { p.Capabilities, p.NoNewPrivileges = nil, false })},
		{name: "capabilities", edit: capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some})},
		{name: "capabilities of a user", edit: all(capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some}), process(func(p *specs.Process) { p.User.UID = 1000 }))},
		{name: "capabilities inheritable", edit: capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some, Inheritable: some})},
		{name: "capabilities ambient of a user", edit: all(capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some, Inheritable: some, Ambient: some[:2]}), process(func(p *specs.Process) { p.User.UID = 1000 }))},
		{name: "capabilities bounding only", edit: capabilities(specs.LinuxCapabilities{Bounding: some})},
		{name: "capabilities effective subset", edit: capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some[:1], Permitted: some})},
		{name: "capability unknown", edit: capabilities(specs.LinuxCapabilities{Bounding: append(some, "CAP_NEW")})},
		{name: "no new privileges off", edit: process(func(p *specs.Process) { p.NoNewPrivileges = false }), want: map[string]string{"status NoNewPrivs": "0"}},
		{name: "rlimit", edit: rlimit("RLIMIT_CORE", 10, 10)},
		{name: "rlimits", edit: all(rlimit("RLIMIT_NPROC", 1000, 2000), rlimit("RLIMIT_STACK", 1<<20, 1<<22), rlimit("RLIMIT_FSIZE", 1<<30, 1<<31), rlimit("RLIMIT_CPU", 100, 200), rlimit("RLIMIT_AS", 1<<40, 1<<41),
			rlimit("RLIMIT_DATA", 1<<32, 1<<33), rlimit("RLIMIT_MSGQUEUE", 1000, 2000), rlimit("RLIMIT_SIGPENDING", 100, 200), rlimit("RLIMIT_LOCKS", 3, 4), rlimit("RLIMIT_RSS", 5, 6), rlimit("RLIMIT_RTTIME", 7, 8))},
		{name: "rlimit files", edit: all(rlimit("RLIMIT_NOFILE", 512, 1024), command("sh", "-c", "ulimit -n; ulimit -Hn")), want: map[string]string{"stdout": "512\n1024\n"}},
		{name: "rlimit unknown", edit: rlimit("RLIMIT_NEW", 1, 1), want: map[string]string{"create": "refused"}},
		{name: "rlimit twice", edit: all(rlimit("RLIMIT_CORE", 1, 1), rlimit("RLIMIT_CORE", 2, 2))},
		{name: "rlimit soft above hard", edit: rlimit("RLIMIT_CORE", 2, 1)},
		{name: "oomScoreAdj", edit: process(func(p *specs.Process) { p.OOMScoreAdj = pointer(100) }), want: map[string]string{"oom_score_adj": "100"}},
		{name: "oomScoreAdj 0", edit: process(func(p *specs.Process) { p.OOMScoreAdj = pointer(0) }), plain: true},
		{name: "oomScoreAdj too much", edit: process(func(p *specs.Process) { p.OOMScoreAdj = pointer(2000) })},
		{name: "apparmor", edit: process(func(p *specs.Process) { p.ApparmorProfile = "mydocker-none" }), want: map[string]string{"create": "refused"}},
		{name: "apparmor unconfined", edit: process(func(p *specs.Process) { p.ApparmorProfile = "unconfined" }), plain: true, differs: map[string]string{"": "runc 1.1 wants AppArmor for it"}},
		{name: "selinux", edit: process(func(p *specs.Process) { p.SelinuxLabel = "system_u:system_r:container_t:s0" })},
		{name: "no process", edit: edit(func(s *specs.Spec) { s.Process = nil; s.Process = &specs.Process{} })},
		{name: "ioPriority", oracle: none, edit: process(func(p *specs.Process) {
			p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		}), want: map[string]string{"io priority": "class 2 level 6"}},
		{name: "ioPriority idle", oracle: none, edit: process(func(p *specs.Process) { p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE} }), want: map[string]string{"io priority": "class 3 level 0"}},
		{name: "ioPriority unknown", oracle: none, edit: process(func(p *specs.Process) { p.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_NEW"} }), want: map[string]string{"create": "refused"}},
		{name: "scheduler batch", oracle: none, edit: process(func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5} }),
			want: map[string]string{"scheduler": "policy 3 flags 0 nice 5 priority 0"}},
		{name: "scheduler fifo", oracle: none, edit: process(func(p *specs.Process) {
			p.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 3, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
		})}, // the kernel may have no realtime for cgroups
		{name: "scheduler unknown", oracle: none, edit: process(func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: "SCHED_NEW"} }), want: map[string]string{"create": "refused"}},
		{name: "personality", oracle: &crun, only: []string{"personality", "machine", "create"}, edit: linux(func(l *specs.Linux) { l.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }), want: map[string]string{"personality": "00000008", "machine": "i686"}},
		{name: "personality plain", oracle: none, edit: linux(func(l *specs.Linux) { l.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux} }), want: map[string]string{"personality": "00000000"}},
		{name: "personality unknown", oracle: none, edit: linux(func(l *specs.Linux) { l.Personality = &specs.LinuxPersonality{Domain: "LINUX64"} }), want: map[string]string{"create": "refused"}},
	} {
		t.Run(r.name, r.compare)
	}
}

// TestRoot is config.md#root, #hostname and what is there without being asked for.
func TestRoot(t *testing.T) {
	t.Parallel()
	for _, r := range []row{
		{name: "readonly", files: []string{"+/file"}, edit: edit(func(s *specs.Spec) { s.Root.Readonly = true })},
		{name: "writable", files: []string{"+/file"}, edit: func(*box) {}},
		{name: "absolute", edit: func(b *box) { b.spec.Root.Path = b.dir + "/rootfs" }, plain: true},
		{name: "not there", edit: edit(func(s *specs.Spec) { s.Root.Path = "nothing" }), want: map[string]string{"create": "refused"}},
		{name: "none", edit: edit(func(s *specs.Spec) { s.Root = nil }), want: map[string]string{"create": "refused"}},
		{name: "link", edit: func(b *box) { os.Symlink("rootfs", b.dir+"/link"); b.spec.Root.Path = "link" }, differs: map[string]string{"": "runc wants the path itself"}},
		{name: "hostname", edit: edit(func(s *specs.Spec) { s.Hostname = "other" }), want: map[string]string{"hostname": "other"}},
		{name: "hostname without namespace", edit: without("uts"), want: map[string]string{"create": "refused"}},
		{name: "no hostname", edit: edit(func(s *specs.Spec) { s.Hostname = "" }), plain: true},
		{name: "domainname", oracle: &crun, only: []string{"domainname"}, edit: edit(func(s *specs.Spec) { s.Domainname = "example.org" }), want: map[string]string{"domainname": "example.org"}},
		{name: "version", edit: edit(func(s *specs.Spec) { s.Version = "1.0.0" }), plain: true},
		{name: "version too new", edit: edit(func(s *specs.Spec) { s.Version = "2.0.0" }), plain: true, differs: map[string]string{"": "runc 1.1 reads no version"}},
		{name: "version nonsense", edit: edit(func(s *specs.Spec) { s.Version = "nonsense" }), plain: true, differs: map[string]string{"": "runc 1.1 reads no version; the specification wants an error"}},
		{name: "annotations", edit: edit(func(s *specs.Spec) { s.Annotations = map[string]string{"org.example.one": "1", "": "x"} }), plain: true},
		{name: "no pivot", flags: []string{"--no-pivot"}, edit: func(*box) {}, plain: true},
		{name: "no new keyring", flags: []string{"--no-new-keyring"}, edit: func(*box) {}, plain: true},
	} {
		t.Run(r.name, r.compare)
	}
}

// TestMounts is config.md#mounts.
func TestMounts(t *testing.T) {
	t.Parallel()
	rows := []row{
		{name: "type none", edit: mounted(specs.Mount{Destination: "/mnt/x", Type: "none", Source: "/etc", Options: []string{"rbind"}})},
		{name: "no type with bind", edit: mounted(specs.Mount{Destination: "/mnt/x", Source: "/etc", Options: []string{"bind"}})},
		{name: "file", files: []string{"/mnt/file"}, edit: all(bind("bind"), func(b *box) {
			m := &b.spec.Mounts[len(b.spec.Mounts)-1]
			m.Source += "/file"
			m.Destination = "/mnt/file"
		})},
		{name: "relative source", edit: all(bind("bind"), func(b *box) { b.spec.Mounts[len(b.spec.Mounts)-1].Source = "source" })},
		{name: "relative destination", edit: mounted(specs.Mount{Destination: "mnt/rel", Type: "tmpfs", Source: "tmpfs"})},
		{name: "source not there", edit: mounted(specs.Mount{Destination: "/mnt/x", Type: "bind", Source: "/nothing/here", Options: []string{"bind"}}), want: map[string]string{"create": "refused"}},
		{name: "destination with ..", edit: mounted(specs.Mount{Destination: "/mnt/../../x", Type: "tmpfs", Source: "tmpfs"})},
		{name: "destination a link", edit: all(func(b *box) { os.Symlink("/etc/inner", b.dir+"/rootfs/link") }, mounted(specs.Mount{Destination: "/link", Type: "tmpfs", Source: "tmpfs"}))},
		{name: "destination a link out", edit: all(func(b *box) { os.Symlink("../../../../var", b.dir+"/rootfs/link") }, mounted(specs.Mount{Destination: "/link/x", Type: "tmpfs", Source: "tmpfs"}))},
		{name: "type unknown", edit: mounted(specs.Mount{Destination: "/mnt/x", Type: "newfs", Source: "x"}), want: map[string]string{"create": "refused"}},
		{name: "in order", edit: all(tmpfs(), mounted(specs.Mount{Destination: "/mnt/tmpfs/in", Type: "tmpfs", Source: "in"}))},
		{name: "over each other", edit: all(tmpfs("size=1m"), tmpfs("size=2m"))},
		{name: "tmpfs at /tmp", files: []string{"/tmp"}, edit: mounted(specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"})},
		{name: "tmpcopyup", files: []string{"/etc", "/etc/passwd"}, edit: mounted(specs.Mount{Destination: "/etc", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}}), differs: map[string]string{"mount /etc": "ours shows the mode in its options"}},
		{name: "proc with options", edit: edit(func(s *specs.Spec) { s.Mounts[0].Options = []string{"nosuid", "noexec", "nodev", "hidepid=2"} })},
		{name: "proc read-only", edit: edit(func(s *specs.Spec) { s.Mounts[0].Options = []string{"ro"} })},
		{name: "mount over /proc", edit: mounted(specs.Mount{Destination: "/proc/self", Type: "tmpfs", Source: "tmpfs"}), want: map[string]string{"create": "refused"}},
		{name: "mount over /proc/sys", edit: mounted(specs.Mount{Destination: "/proc/sys/kernel", Type: "tmpfs", Source: "tmpfs"}), differs: map[string]string{"": "runc looks at the name only"}},
		{name: "bind over /proc/meminfo", edit: all(bind("bind"), func(b *box) {
			m := &b.spec.Mounts[len(b.spec.Mounts)-1]
			m.Source, m.Destination = m.Source+"/file", "/proc/meminfo"
		}), files: []string{"/proc/meminfo"}},
		{name: "no /dev", differs: map[string]string{"mount /proc/": "runc masks by the file null of the image"}, edit: edit(func(s *specs.Spec) { s.Mounts = append(s.Mounts[:1:1], s.Mounts[5:]...) })},
		{name: "dev of the host", edit: edit(func(s *specs.Spec) {
			s.Mounts = append(s.Mounts[:1:1], s.Mounts[5:]...)
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev", Type: "bind", Source: "/dev", Options: []string{"rbind"}})
		})},
		{name: "no cgroup mount", edit: edit(func(s *specs.Spec) { s.Mounts = s.Mounts[:6] })},
		{name: "cgroup writable", edit: edit(func(s *specs.Spec) { s.Mounts[6].Options = []string{"nosuid", "noexec", "nodev", "relatime", "rw"} })},
		{name: "cgroup without namespace", edit: without("cgroup")},
		{name: "sys writable", edit: edit(func(s *specs.Spec) { s.Mounts[5].Options = []string{"nosuid", "noexec", "nodev"} })},
		{name: "no mounts", edit: all(edit(func(s *specs.Spec) { s.Mounts = nil }), command("sh", "-c", "ls -1 / /proc; exit 4")), differs: map[string]string{"": "runc needs a /proc in the container to close descriptors"}, want: map[string]string{}},
		{name: "option unknown", edit: tmpfs("newoption"), want: map[string]string{"create": "refused"}},
		{name: "bind and data", edit: bind("bind", "newoption")},
		{name: "overlay", edit: func(b *box) {
			for _, d := range []string{"lower", "upper", "work"} {
				os.MkdirAll(b.dir+"/o/"+d, 0o755)
			}
			mounted(specs.Mount{Destination: "/mnt/o", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + b.dir + "/o/lower", "upperdir=" + b.dir + "/o/upper", "workdir=" + b.dir + "/o/work"}})(b)
		}},
		{name: "idmap", oracle: &crun, only: []string{"create", "file /mnt"}, files: []string{"/mnt/bound"}, edit: all(userNamespace, mounted(specs.Mount{Destination: "/mnt/bound", Type: "bind", Options: []string{"bind", "idmap"},
			UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 1000}}, GIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 1000}}}))},
		{name: "idmap without user namespace", oracle: none, files: []string{"/mnt/bound"}, edit: mounted(specs.Mount{Destination: "/mnt/bound", Type: "bind", Options: []string{"bind", "idmap"},
			UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 3000, Size: 1000}}, GIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 4000, Size: 1000}}}),
			want: map[string]string{"file /mnt/bound": "[below drwxr-xr-x 3000:4000 file -rw-r--r-- 3000:4000]"}},
	}
	newer := map[string]map[string]string{"defaults": {"": "runc 1.1 hands it to the file system, which refuses it"}}
	for _, option := range []string{"rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rrelatime", "rstrictatime", "rnodiratime", "rnosymfollow"} {
		newer[option] = map[string]string{"mount /mnt/tmpfs": "runc 1.1 sets recursive attributes of binds only", "write ": "the same"}
	}
	for _, option := range []string{"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "relatime", "strictatime", "nodiratime", "sync", "dirsync", "mand", "nosymfollow", "suid", "dev", "exec", "async", "atime", "diratime", "norelatime", "defaults", "lazytime", "silent", "loud",
		"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "rro", "rrw", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rrelatime", "rstrictatime", "rnodiratime", "rnosymfollow"} {
		rows = append(rows,
			row{name: "bind " + option, edit: bind("rbind", option), files: []string{"+/mnt/bound/file"}},
			row{name: "tmpfs " + option, edit: tmpfs(option), files: []string{"+/mnt/tmpfs/file"}, differs: newer[option]})
	}
	for _, option := range []string{"mode=1700", "size=1m", "uid=1000", "nr_inodes=50", "size=10%", "gid=7"} {
		rows = append(rows, row{name: "tmpfs " + option, edit: tmpfs(option), files: []string{"/mnt", "+/mnt/tmpfs/x"}})
	}
	for _, r := range rows {
		t.Run(r.name, r.compare)
	}
}

// TestLinux is config-linux.md but for namespaces, devices, cgroups and seccomp.
func TestLinux(t *testing.T) {
	t.Parallel()
	rows := []row{
		{name: "masked paths", files: []string{"/etc/passwd", "/usr", "/etc/none"}, edit: linux(func(l *specs.Linux) { l.MaskedPaths = []string{"/etc/passwd", "/home", "/nothing"} })},
		{name: "masked path with a link", files: []string{"/etc/group"}, edit: all(func(b *box) { os.Symlink("/etc/group", b.dir+"/rootfs/link") }, linux(func(l *specs.Linux) { l.MaskedPaths = []string{"/link"} }))},
		{name: "no masked paths", edit: linux(func(l *specs.Linux) { l.MaskedPaths = nil })},
		{name: "readonly paths", files: []string{"+/etc/passwd", "+/tmp/x"}, edit: linux(func(l *specs.Linux) { l.ReadonlyPaths = []string{"/etc/passwd", "/tmp", "/nothing"} })},
		{name: "no readonly paths", files: []string{"+/proc/sys/kernel/domainname"}, edit: linux(func(l *specs.Linux) { l.ReadonlyPaths = nil })},
		{name: "mount label", edit: linux(func(l *specs.Linux) { l.MountLabel = "system_u:object_r:container_file_t:s0" }), oracle: &crun, only: []string{"create", "mount"}, plain: true},
		{name: "propagation nonsense", edit: linux(func(l *specs.Linux) { l.RootfsPropagation = "nonsense" })},
		{name: "sysctl network", files: []string{"/proc/sys/net/ipv4/ip_forward"}, edit: sysctl("net.ipv4.ip_forward", "1")},
		{name: "sysctl ipc", files: []string{"/proc/sys/fs/mqueue/msg_max"}, edit: sysctl("fs.mqueue.msg_max", "20")},
		{name: "sysctl shm", files: []string{"/proc/sys/kernel/shmmax"}, edit: sysctl("kernel.shmmax", "123456")},
		{name: "sysctl with slashes", files: []string{"/proc/sys/net/ipv4/conf/all/forwarding"}, edit: sysctl("net/ipv4/conf/all/forwarding", "1")},
		{name: "sysctl of the host", edit: sysctl("vm.swappiness", "10"), want: map[string]string{"create": "refused"}},
		{name: "sysctl unknown", edit: sysctl("net.ipv4.nothing", "1"), want: map[string]string{"create": "refused"}},
		{name: "sysctl hostname", edit: sysctl("kernel.hostname", "x"), want: map[string]string{"create": "refused"}},
		{name: "sysctl domainname", files: []string{"/proc/sys/kernel/domainname"}, edit: sysctl("kernel.domainname", "example.org")},
		{name: "sysctl network without namespace", edit: all(without("network"), sysctl("net.ipv4.ip_forward", "1")), want: map[string]string{"create": "refused"}},
		{name: "sysctl ipc without namespace", edit: all(without("ipc"), sysctl("kernel.shmmax", "1")), want: map[string]string{"create": "refused"}},
		{name: "time offsets", oracle: none, edit: all(linux(func(l *specs.Linux) {
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: "time"})
			l.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 7200000, Nanosecs: 5}, "boottime": {Secs: 36000000}}
		})), want: map[string]string{"timens_offsets": "monotonic     7200000         5\nboottime     36000000         0"}},
		{name: "time offsets without namespace", oracle: none, edit: linux(func(l *specs.Linux) { l.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 72}} }), want: map[string]string{"create": "refused"}},
		{name: "time offsets of a clock unknown", oracle: none, edit: linux(func(l *specs.Linux) {
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: "time"})
			l.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {Secs: 72}}
		}), want: map[string]string{"create": "refused"}},
		{name: "intelRdt", edit: linux(func(l *specs.Linux) { l.IntelRdt = &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"} }), want: map[string]string{"create": "refused"}},
		{name: "memory policy", oracle: none, edit: linux(func(l *specs.Linux) { l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"} }), want: map[string]string{"memory policy": "2 1"}},
		{name: "net device not there", oracle: none, edit: linux(func(l *specs.Linux) { l.NetDevices = map[string]specs.LinuxNetDevice{"nothing0": {}} }), want: map[string]string{"create": "refused"}},
	}
	// runc 1.1 sets what the propagation of the caller's root is to be, which is then not that of the container's.
	for mode, want := range map[string]string{"shared": "shared", "slave": "master", "private": "", "unbindable": "unbindable", "rshared": "shared", "rslave": "master", "rprivate": "", "runbindable": "unbindable"} {
		rows = append(rows, row{name: "propagation " + mode, oracle: none, edit: all(sharedMount, linux(func(l *specs.Linux) { l.RootfsPropagation = mode })), want: map[string]string{"propagation": want}})
	}
	for _, r := range rows {
		t.Run(r.name, r.compare)
	}
}

// TestNamespaces is config-linux.md#namespaces and #user-namespace-mappings.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	mapped := map[string]string{
		"fd ": "ours gives the streams to the mapped root, as the terminal", "file /dev/": "ours are the mapped root's", "mount /dev/": "as those",
		"mount /proc/acpi": "ours is of one inode", "mount /sys/firmware": "the same",
	}
	withoutNetwork := mapped
	if pureV2() {
		withoutNetwork = map[string]string{"": "runc cannot bind /sys where much is mounted below it"}
	}
	rows := []row{
		{name: "none but mount", edit: all(namespaces(specs.LinuxNamespace{Type: "mount"}), edit(func(s *specs.Spec) { s.Hostname = "" }))},
		{name: "twice", edit: linux(func(l *specs.Linux) { l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: "pid"}) })},
		{name: "unknown", edit: linux(func(l *specs.Linux) { l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: "new"}) }), want: map[string]string{"create": "refused"}},
		{name: "path not there", edit: namespaces(specs.LinuxNamespace{Type: "mount"}, specs.LinuxNamespace{Type: "network", Path: "/nothing"}), want: map[string]string{"create": "refused"}},
		{name: "path of another type", edit: all(namespaces(specs.LinuxNamespace{Type: "mount"}, specs.LinuxNamespace{Type: "network", Path: "/proc/self/ns/uts"}), edit(func(s *specs.Spec) { s.Hostname = "" })), want: map[string]string{"create": "refused"}},
		{name: "user", differs: mapped, files: []string{"/mnt", "+/etc/x"}, edit: userNamespace},
		{name: "user, caller another", differs: mapped, edit: all(userNamespace, process(func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{29}} }))},
		{name: "user with devices and binds", differs: mapped, edit: all(userNamespace, bind("rbind"), tmpfs("uid=5"), device(specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}))},
		{name: "user without network", differs: withoutNetwork, edit: all(userNamespace, without("network"), edit(func(s *specs.Spec) {
			s.Mounts[5] = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "ro"}}
		}))},
		{name: "user without maps", edit: linux(func(l *specs.Linux) { l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: "user"}) })},
		{name: "maps without user", edit: linux(func(l *specs.Linux) { l.UIDMappings = []specs.LinuxIDMapping{{Size: 5}} }), plain: true},
		{name: "user that is not mapped", edit: all(userNamespace, process(func(p *specs.Process) { p.User.UID = 70000 })), want: map[string]string{"create": "refused"}},
		{name: "group that is not mapped", edit: all(userNamespace, process(func(p *specs.Process) { p.User.AdditionalGids = []uint32{70000} })), want: map[string]string{"create": "refused"}},
	}
	for _, kind := range []specs.LinuxNamespaceType{"pid", "network", "ipc", "uts", "cgroup"} {
		rows = append(rows, row{name: "without " + string(kind), edit: all(without(kind), edit(func(s *specs.Spec) {
			if kind == "uts" {
				s.Hostname = ""
			}
		})), files: []string{"/proc/sys/kernel/ostype"}})
		name := map[specs.LinuxNamespaceType]string{"network": "net"}[kind]
		if name == "" {
			name = string(kind)
		}
		rows = append(rows, row{name: "by path " + string(kind), edit: all(without(kind), linux(func(l *specs.Linux) {
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind, Path: "/proc/self/ns/" + name})
		}), edit(func(s *specs.Spec) { s.Hostname = "" }))}) // which would be the host's
	}
	for _, r := range rows {
		t.Run(r.name, r.compare)
	}
}

// TestDevices is config-linux.md#devices.
func TestDevices(t *testing.T) {
	t.Parallel()
	mode := os.FileMode(0o640)
	for _, r := range []row{
		{name: "char", edit: device(specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229})},
		{name: "unbuffered", edit: device(specs.LinuxDevice{Path: "/dev/fuse", Type: "u", Major: 10, Minor: 229})},
		{name: "mode and owner", edit: device(specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: &mode, UID: pointer(uint32(5)), GID: pointer(uint32(6))})},
		{name: "block", edit: device(specs.LinuxDevice{Path: "/dev/disk/sda", Type: "b", Major: 8, Minor: 0, FileMode: &mode})},
		{name: "fifo", edit: device(specs.LinuxDevice{Path: "/dev/fifo", Type: "p", FileMode: &mode})},
		{name: "type unknown", edit: device(specs.LinuxDevice{Path: "/dev/x", Type: "x", Major: 1, Minor: 3})},
		{name: "outside /dev", edit: device(specs.LinuxDevice{Path: "/etc/null", Type: "c", Major: 1, Minor: 3}), files: []string{"/etc/null"}},
		{name: "a default one again", edit: device(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: &mode})},
		{name: "over a file", edit: all(func(b *box) { os.WriteFile(b.dir+"/rootfs/etc/dev", nil, 0o600) }, device(specs.LinuxDevice{Path: "/etc/dev", Type: "c", Major: 1, Minor: 3})), files: []string{"/etc"}, differs: map[string]string{"": "the specification wants an error; runc keeps the file"}},
		{name: "relative", edit: device(specs.LinuxDevice{Path: "dev/x", Type: "c", Major: 1, Minor: 3})},
	} {
		t.Run(r.name, r.compare)
	}
}

// TestSeccomp is config-linux.md#seccomp; the process tries calls and tells what became of them.
func TestSeccomp(t *testing.T) {
	t.Parallel()
	allow := func(rules ...specs.LinuxSyscall) specs.LinuxSeccomp {
		return specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: rules}
	}
	rule := func(action specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: action}
	}
	with := func(r specs.LinuxSyscall, errno uint, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		r.Args = args
		if errno != 0 {
			r.ErrnoRet = &errno
		}
		return r
	}
	for _, r := range []row{
		{name: "allow", edit: seccomp(allow()), want: map[string]string{"status Seccomp": "2"}},
		{name: "errno", edit: seccomp(allow(rule(specs.ActErrno, "unshare", "mknod", "mknodat"))), want: map[string]string{"try unshare": "error: operation not permitted"}},
		{name: "errno given", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11))), want: map[string]string{"try unshare": "error: resource temporarily unavailable"}},
		{name: "default errno", edit: all(seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: pointer(uint(38)), Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, everyCall...)}}),
			command("sh", "-c", "unshare -m true 2>&1")), want: map[string]string{"stdout": "unshare: unshare(0x20000): Function not implemented\n"}},
		{name: "args equal", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11, specs.LinuxSeccompArg{Index: 0, Value: 0x400, Op: specs.OpEqualTo}))), want: map[string]string{"try unshare": "error: resource temporarily unavailable"}},
		{name: "args other", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11, specs.LinuxSeccompArg{Index: 0, Value: 0x400, Op: specs.OpNotEqual}))), want: map[string]string{"try unshare": "allowed"}},
		{name: "args masked", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11, specs.LinuxSeccompArg{Index: 0, Value: 0xf00, ValueTwo: 0x400, Op: specs.OpMaskedEqual}))), want: map[string]string{"try unshare": "error: resource temporarily unavailable"}},
		{name: "args greater", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11, specs.LinuxSeccompArg{Index: 0, Value: 0x3ff, Op: specs.OpGreaterThan}))), want: map[string]string{"try unshare": "error: resource temporarily unavailable"}},
		{name: "args less or equal", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11, specs.LinuxSeccompArg{Index: 0, Value: 0x3ff, Op: specs.OpLessEqual}))), want: map[string]string{"try unshare": "allowed"}},
		{name: "args two of one", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 11, specs.LinuxSeccompArg{Index: 0, Value: 1, Op: specs.OpEqualTo}, specs.LinuxSeccompArg{Index: 0, Value: 0x400, Op: specs.OpEqualTo})))},
		{name: "trap", edit: all(seccomp(allow(rule(specs.ActTrap, "unshare"))), command("unshare", "-m", "true"))},
		{name: "kill", edit: all(seccomp(allow(rule(specs.ActKill, "unshare"))), command("unshare", "-m", "true"))},
		{name: "kill process", edit: all(seccomp(allow(rule(specs.ActKillProcess, "unshare"))), command("unshare", "-m", "true"))},
		{name: "log", edit: seccomp(allow(rule(specs.ActLog, "unshare"))), want: map[string]string{"try unshare": "allowed"}},
		{name: "trace", edit: seccomp(allow(rule(specs.ActTrace, "unshare"))), want: map[string]string{"try unshare": "error: function not implemented"}},
		{name: "unknown call", edit: seccomp(allow(rule(specs.ActErrno, "newcall", "unshare")))},
		{name: "unknown action", edit: seccomp(allow(rule("SCMP_ACT_NEW", "unshare"))), want: map[string]string{"create": "refused"}},
		{name: "unknown operator", edit: seccomp(allow(with(rule(specs.ActErrno, "unshare"), 0, specs.LinuxSeccompArg{Op: "SCMP_CMP_NEW"}))), want: map[string]string{"create": "refused"}},
		{name: "architectures", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}, Syscalls: []specs.LinuxSyscall{rule(specs.ActErrno, "unshare")}})},
		{name: "architecture unknown", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_NEW"}, Syscalls: []specs.LinuxSyscall{rule(specs.ActErrno, "unshare")}}), want: map[string]string{"create": "refused"}},
		{name: "flags", oracle: none, want: map[string]string{"try unshare": "error: operation not permitted"}, edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, Syscalls: []specs.LinuxSyscall{rule(specs.ActErrno, "unshare")}})},
		{name: "flag unknown", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW"}, Syscalls: []specs.LinuxSyscall{rule(specs.ActErrno, "unshare")}}), want: map[string]string{"create": "refused"}},
		{name: "without no_new_privs", edit: all(seccomp(allow(rule(specs.ActErrno, "unshare"))), process(func(p *specs.Process) { p.NoNewPrivileges = false }))},
		{name: "calls that the runtime makes", oracle: &crun, only: []string{"exit", "stdout", "create"}, edit: all(seccomp(allow(rule(specs.ActErrno, "getcwd", "chdir", "capset", "setuid", "setgroups", "prctl", "seccomp", "openat2", "fcntl", "close_range"))), process(func(p *specs.Process) {
			p.NoNewPrivileges = false
			p.Args = []string{"sh", "-c", "exit 7"}
		}))},
		{name: "listener without a path", edit: seccomp(allow(rule(specs.ActNotify, "unshare")))},
		{name: "listener not there", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/nothing", Syscalls: []specs.LinuxSyscall{rule(specs.ActNotify, "unshare")}}), want: map[string]string{"create": "refused"}},
	} {
		t.Run(r.name, r.compare)
	}
}
