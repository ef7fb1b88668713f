package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ours maps the ids of a container from 0 to a range of this package's tests.
var ours = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 700000, Size: 65536}}

// box is a container of a test.
type box struct {
	*Process
	t       *testing.T
	spec    *specs.Spec
	options Options
	group   cgroup.Group
	state   string
	output  *os.File
}

// newBox describes a container that runs script, in all namespaces that are new, with
// busybox as its root below a directory that only the host's root may enter.
func newBox(t *testing.T, script string) *box {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	tar := os.Getenv("MYDOCKER_ROOTFS_BUSYBOX")
	if tar == "" {
		tar = "../../bin/rootfs/busybox.tar"
	}
	if err := errors.Join(os.Mkdir(root, 0o755), os.Chmod(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xf", tar, "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	group, err := cgroup.Open("/mydocker-inside-" + strings.ReplaceAll(t.Name(), "/", "-") + filepath.Base(dir))
	if err == nil {
		err = group.Create(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(group.Kill(), group.Delete()); err != nil {
			t.Error(err)
		}
	})
	all := security.DefaultCapabilities()
	nosuid := []string{"nosuid", "noexec", "nodev"}
	b := &box{t: t, group: group, state: t.TempDir(), spec: &specs.Spec{
		Process: &specs.Process{
			Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}},
		},
		Root:     &specs.Root{Path: root},
		Hostname: "box",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: nosuid},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: append(nosuid, "mode=1777")},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: nosuid},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: append(nosuid, "ro")},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: append(nosuid, "ro")},
		},
		Linux: &specs.Linux{
			UIDMappings: ours, GIDMappings: ours,
			MaskedPaths: []string{"/proc/version", "/sys/firmware", "/proc/absent"}, ReadonlyPaths: []string{"/proc/sys", "/proc/bus"},
		},
	}}
	for _, t := range []specs.LinuxNamespaceType{specs.UserNamespace, specs.PIDNamespace, specs.MountNamespace, specs.NetworkNamespace,
		specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace} {
		b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: t})
	}
	return b
}

// mapRoot gives the container its root id-mapped, so that root inside owns its files.
func (b *box) mapRoot() *box {
	b.t.Helper()
	user, err := namespace.NewUser(ours, ours)
	if err != nil {
		b.t.Fatal(err)
	}
	defer user.Close()
	b.options.Root, err = rootfs.OpenMount(specs.Mount{Type: "bind", Source: b.spec.Root.Path, Options: []string{"rbind"}})
	if err == nil {
		err = rootfs.MapIDs(b.options.Root, user, true)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.options.Root.Close() })
	return b
}

// namespace changes one of the namespaces; "" as path removes it.
func (b *box) namespace(t specs.LinuxNamespaceType, path string) *box {
	list := b.spec.Linux.Namespaces[:0]
	for _, ns := range b.spec.Linux.Namespaces {
		if ns.Type == t {
			if path == "" {
				if t == specs.UserNamespace {
					b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = nil, nil
				}
				continue
			}
			ns.Path = path
		}
		list = append(list, ns)
	}
	b.spec.Linux.Namespaces = list
	return b
}

// start takes the container to its command.
func (b *box) start() error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	b.output = reader
	b.t.Cleanup(func() { reader.Close() })
	b.options.Stdio = [3]*os.File{nil, writer, writer}
	b.Process, err = Create(b.spec, b.state, b.group, b.options)
	writer.Close()
	if err != nil {
		return err
	}
	b.t.Cleanup(func() {
		b.Signal(unix.SIGKILL)
		b.Wait()
		b.Close()
	})
	return b.Start()
}

// run gives the output of the container's command.
func (b *box) run() string {
	b.t.Helper()
	if err := b.start(); err != nil {
		b.t.Fatal(err)
	}
	out, _ := io.ReadAll(b.output)
	if code := b.Wait(); code != 0 {
		b.t.Errorf("exit code %d: %s", code, out)
	}
	return string(out)
}

// up starts a container that stays.
func (b *box) up() *box {
	b.t.Helper()
	b.spec.Process.Args = []string{"sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done"}
	if err := b.start(); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.output.Read(make([]byte, 16)); err != nil {
		b.t.Fatal(err)
	}
	return b
}

func (b *box) exec(script string, change func(*specs.Process)) (string, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer reader.Close()
	process := *b.spec.Process
	process.Args = []string{"sh", "-c", script}
	if change != nil {
		change(&process)
	}
	p, err := Exec(b.spec, b.Process, &process, b.group, Options{Stdio: [3]*os.File{nil, writer, writer}})
	writer.Close()
	if err != nil {
		return "", err
	}
	defer p.Close()
	from := io.Reader(reader)
	if p.Terminal != nil {
		from = p.Terminal
	}
	out, _ := io.ReadAll(from) // of a terminal: EIO at the end
	if code := p.Wait(); code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	return string(bytes.ReplaceAll(out, []byte("\r"), nil)), err
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got = strings.Join(strings.Fields(got), " "); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestInsideUserNamespace(t *testing.T) {
	cgroups := "UNKNOWN" // to busybox
	if hierarchies, err := cgroup.Host(); err != nil {
		t.Fatal(err)
	} else if hierarchies.Version == 1 {
		cgroups = "tmpfs" // that holds them
	}
	for _, c := range []struct{ name, script, want string }{
		{"ids", "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; grep Groups /proc/self/status", "0 0 0 700000 65536 0 700000 65536 allow Groups:"},
		{"files", "touch /made /dev/shm/made && stat -c %u:%g /made /dev/shm/made /bin/busybox /proc/1", "0:0 0:0 0:0 0:0"},
		{"devices", "echo x >/dev/null && head -c 3 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c; echo x >/dev/full 2>/dev/null || echo full; ls -l /dev/null /dev/tty | cut -c1-10; stat -c '%u %t:%T' /dev/null", "3 1 full crw-rw-rw- crw-rw-rw- 0 1:3"},
		{"hostname", "hostname", "box"},
		{"limits", "ulimit -n; ulimit -Hn", "100 200"},
		{"loopback", "ip -o -4 addr show lo | grep -c 127.0.0.1", "1"},
		{"views", "stat -f -c %T /proc /sys /dev/mqueue /sys/fs/cgroup; ls /sys/class/net", "proc sysfs UNKNOWN " + cgroups + " lo"},
		{"read-only", "mount -o remount,rw /sys/x 2>/dev/null; touch /sys/x 2>/dev/null || echo sys; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo panic; wc -c </proc/version; ls /sys/firmware", "sys panic 0"},
		{"no host", "mknod /n c 1 3 2>/dev/null || echo mknod; grep -c -e ext4 -e virt /proc/self/mountinfo || true", "mknod 1"},
		{"old root", "cut -d' ' -f5 /proc/self/mountinfo | grep -cx /; ls /proc/1/root/bin/busybox", "1 /proc/1/root/bin/busybox"},
		{"descriptors", "ls /proc/self/fd | wc -l; ls -l /proc/1/exe | grep -c busybox", "4 1"},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, c.script, newBox(t, c.script).mapRoot().run(), c.want) })
	}
}

// TestOwners asserts that all namespaces of the container belong to its user namespace.
func TestOwners(t *testing.T) {
	b := newBox(t, "").mapRoot().up()
	ino := func(path string) uint64 {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	dir := fmt.Sprintf("/proc/%d/ns/", b.Pid)
	for _, name := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		ns, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		owner, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_USERNS)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := ino(fmt.Sprintf("/proc/self/fd/%d", owner)); got != ino(dir+"user") || got == ino("/proc/self/ns/user") {
			t.Errorf("%s belongs to user namespace %d, want %d", name, got, ino(dir+"user"))
		}
		unix.Close(owner)
	}
	// Its parent is this process, its cgroup the container's, its number ours.
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.Pid))
	if want := fmt.Sprintf("PPid:\t%d\n", os.Getpid()); !strings.Contains(string(status), want) {
		t.Errorf("status %s, want %s", status, want)
	}
	if pids, err := b.group.Pids(); err != nil || !slices.Contains(pids, b.Pid) {
		t.Errorf("in the cgroup: %v, %v, want %d", pids, err, b.Pid)
	}
	if err := b.Signal(unix.SIGTERM); err != nil || b.Wait() != 7 {
		t.Errorf("SIGTERM: %v, exit code %d, want 7", err, b.Wait())
	}
}

// TestSharedRoot gives a root that is a peer of a mount of the host, as where systemd is
// process 1 every copy of one is: nothing that is mounted in the container appears there.
func TestSharedRoot(t *testing.T) {
	b := newBox(t, "cut -d' ' -f5 /proc/self/mountinfo | grep -cx -e /proc -e /dev")
	root := b.spec.Root.Path
	if err := errors.Join(unix.Mount(root, root, "", unix.MS_BIND, ""), unix.Mount("", root, "", unix.MS_SHARED, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(root, unix.MNT_DETACH)
	for _, user := range []bool{true, false} {
		if b.mapRoot(); !user {
			b.namespace(specs.UserNamespace, "").options.Root = nil
			b.state = t.TempDir()
		}
		same(t, "mounts", b.run(), "2")
		host, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || strings.Contains(string(host), root+"/") {
			t.Errorf("user namespace %t: mounts of the container on the host: %v\n%s", user, err, host)
		}
	}
}

// TestRootPath runs from a root that is not given but a directory, with its owner mapped.
func TestRootPath(t *testing.T) {
	for _, mode := range []os.FileMode{0o700, 0o711} { // can root inside walk there?
		rootPath(t, mode)
	}
}

func rootPath(t *testing.T, mode os.FileMode) {
	b := newBox(t, "touch /made && stat -c %u /made; cat /bound/file; cat /ro/file; touch /ro/x 2>/dev/null || echo ro; cut -d' ' -f5 /proc/self/mountinfo | grep -cx /")
	if err := errors.Join(os.Chmod(filepath.Dir(b.spec.Root.Path), mode), os.Chmod(filepath.Dir(filepath.Dir(b.spec.Root.Path)), mode)); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(filepath.Dir(b.spec.Root.Path), "source")
	sub := filepath.Join(source, "sub")
	if err := errors.Join(os.MkdirAll(sub, 0o755), os.WriteFile(filepath.Join(source, "file"), []byte("bound\n"), 0o644), unix.Mount("none", sub, "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(sub, unix.MNT_DETACH)
	if out, err := exec.Command("chown", "-R", "700000:700000", b.spec.Root.Path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/bound", Type: "bind", Source: source, Options: []string{"bind"}},
		specs.Mount{Destination: "/ro", Type: "bind", Source: source, Options: []string{"rbind", "ro"}})
	same(t, "output", b.run(), "0 bound bound ro 1")
}

// TestTwoOnOne binds twice on one destination: the later is seen.
func TestTwoOnOne(t *testing.T) {
	b := newBox(t, "cat /m/file; cut -d' ' -f5 /proc/self/mountinfo | grep -cx /m").mapRoot()
	for _, text := range []string{"first", "second"} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/file", []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/m", Type: "bind", Source: dir, Options: []string{"bind"}})
	}
	same(t, "output", b.run(), "second 2")
}

// TestSchedulingInside asks for what root of a user namespace may not give itself.
func TestSchedulingInside(t *testing.T) {
	const script = "cut -d' ' -f19 /proc/self/stat; sh -c 'cut -d\" \" -f19 /proc/self/stat'"
	b := newBox(t, "").mapRoot()
	b.spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: -5}
	b.spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 3}
	b.up()
	number, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(b.Pid), 0)
	if nice, err := unix.Getpriority(unix.PRIO_PROCESS, b.Pid); err != nil || nice != 25 /* 20 - nice */ || errno != 0 || number != 1<<13|3 {
		t.Errorf("nice %d, %v; I/O priority %#x, %v", 20-nice, err, number, errno)
	}
	out, err := b.exec(script, nil)
	if err != nil {
		t.Error(err)
	}
	same(t, "exec", out, "-5 -5")
}

func TestMountMappings(t *testing.T) {
	source, sub := t.TempDir(), t.TempDir() // tmpfs can be id-mapped since Linux 6.3 only
	if err := errors.Join(os.Chown(source, 5, 6), os.Mkdir(source+"/sub", 0o755), unix.Mount(sub, source+"/sub", "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(source+"/sub", unix.MNT_DETACH)
	to := func(host uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{ContainerID: 0, HostID: host, Size: 1000}}
	}
	for _, c := range []struct {
		name  string
		user  bool
		mount specs.Mount
		want  string // owners of the mount and of what is mounted below it, or a part of the error
	}{
		{"the container's", true, specs.Mount{Options: []string{"rbind", "idmap"}}, "5:6 65534:65534"},
		{"the container's, with all below", true, specs.Mount{Options: []string{"rbind", "ridmap"}}, "5:6 0:0"},
		{"its own", true, specs.Mount{Options: []string{"rbind", "ridmap"}, UIDMappings: to(700010), GIDMappings: to(700020)}, "15:26 10:20"},
		{"its own, without option", false, specs.Mount{Options: []string{"rbind"}, UIDMappings: to(20), GIDMappings: to(30)}, "25:36 0:0"},
		{"without a user namespace", false, specs.Mount{Options: []string{"rbind", "idmap"}}, "without mappings"},
		{"not a bind", true, specs.Mount{Type: "tmpfs", Options: []string{"idmap"}}, "only a bind mount can be id-mapped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, "stat -c %u:%g /m /m/sub")
			if b.mapRoot(); !c.user {
				b.namespace(specs.UserNamespace, "").options.Root = nil
			}
			c.mount.Destination, c.mount.Source = "/m", source
			b.spec.Mounts = append(b.spec.Mounts, c.mount)
			if err := b.start(); err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				return
			}
			out, _ := io.ReadAll(b.output)
			same(t, "owners", string(out), c.want)
		})
	}
}

func TestDevicesInside(t *testing.T) {
	b := newBox(t, "stat -c '%u:%g %a %t:%T' /dev/own /dev/full; exec 3</dev/own && echo opened; stat -c %F /dev/pipe").mapRoot()
	mode, id := os.FileMode(0o600), uint32(33)
	b.spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/own", Type: "c", Major: 1, Minor: 5, FileMode: &mode, UID: &id, GID: &id},
		{Path: "/dev/pipe", Type: "p", FileMode: &mode},
	}
	same(t, "devices", b.run(), "33:33 600 1:5 0:0 666 1:7 opened fifo")
}

func TestSysctlsInside(t *testing.T) {
	b := newBox(t, "cd /proc/sys; cat net/ipv4/ip_forward kernel/shmmax kernel/msgmax fs/mqueue/msg_max kernel/domainname").mapRoot()
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.shmmax": "123456", "kernel/msgmax": "4321", "fs.mqueue.msg_max": "7", "kernel.domainname": "here"}
	same(t, "sysctls", b.run(), "1 123456 4321 7 here")
	b = newBox(t, "true").mapRoot()
	b.spec.Linux.Sysctl = map[string]string{"kernel.panic": "77"}
	if err := b.start(); err == nil || !strings.Contains(err.Error(), "kernel.panic") {
		t.Errorf("the host's sysctl: %v, want an error", err)
	}
}

func TestHostNetworkInside(t *testing.T) {
	// The host's cgroup mounts come with its /sys; each is covered once.
	script := `stat -f -c %T /sys; ls /sys/class/net/lo/mtu; awk '$5 ~ "^/sys" && $6 ~ "^rw" {print "writable " $5}
		$5 ~ "^/sys/fs/cgroup" && ++n[$5] > 2 {print "again " $5}' /proc/self/mountinfo; ls /sys/fs/cgroup /sys/fs/cgroup/memory 2>/dev/null`
	b := newBox(t, script).mapRoot().namespace(specs.NetworkNamespace, "")
	b.spec.Process.Args[2] += "; true"
	out := b.run()
	if !strings.HasPrefix(out, "sysfs\n/sys/class/net/lo/mtu\n/sys/fs/cgroup:\n") || !strings.Contains(out, "\nmemory.stat\n") {
		t.Errorf("output %q", out)
	}
}

func TestTerminalInside(t *testing.T) {
	b := newBox(t, "tty; stat -c %u:%g $(tty) /dev/console; echo x >/dev/console; echo y >/dev/tty; stty size").mapRoot()
	b.spec.Process.Terminal, b.spec.Process.ConsoleSize = true, &specs.Box{Width: 77, Height: 33}
	b.spec.Process.User.UID = 1000
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(b.Terminal)
	same(t, "terminal", string(out), "/dev/pts/0 1000:5 1000:5 x y 33 77")
}

func TestExecInside(t *testing.T) {
	b := newBox(t, "").mapRoot().up()
	for _, c := range []struct {
		name, script, want string
		change             func(*specs.Process)
	}{
		{"root", "id -u; id -g; id -G; cat /proc/self/uid_map; touch /made && stat -c %u /made; hostname; ulimit -Hn", "0 0 0 0 700000 65536 0 box 200", nil},
		{"a user", "id -u; id -g; id -G; touch /tmp2 2>/dev/null || echo denied; grep CapEff /proc/self/status; cat /proc/self/uid_map", "1000 100 100 7 8 denied CapEff: 0000000000000000 0 700000 65536",
			func(p *specs.Process) {
				p.User, p.Capabilities = specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{7, 8}}, nil
			}},
		{"terminal", "tty; stat -c %u:%g $(tty); echo x >/dev/tty", "/dev/pts/0 1000:5 x", func(p *specs.Process) {
			p.Terminal, p.User.UID = true, 1000
		}},
		{"namespaces", "for n in user mnt pid net ipc uts cgroup; do [ $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) ] || echo $n; done; ls /proc/self/fd | wc -l", "4", nil},
	} {
		out, err := b.exec(c.script, c.change)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		same(t, c.name, out, c.want)
	}
	if _, err := b.exec("true", func(p *specs.Process) { p.User.UID = 70000 }); err == nil {
		t.Error("exec as a user without a mapping succeeded")
	}
}

// TestJoinOther joins another container's user namespace with its network.
func TestJoinOther(t *testing.T) {
	first := newBox(t, "").mapRoot().up()
	ns := func(name string) string { return fmt.Sprintf("/proc/%d/ns/%s", first.Pid, name) }
	second := newBox(t, "id -u; for n in user net ipc; do readlink /proc/self/ns/$n; done; ls /sys/class/net; ip link set lo mtu 1234 && cat /sys/class/net/lo/mtu; echo $$").mapRoot().
		namespace(specs.UserNamespace, ns("user")).namespace(specs.NetworkNamespace, ns("net")).namespace(specs.IPCNamespace, ns("ipc"))
	caps := append(security.DefaultCapabilities(), "CAP_NET_ADMIN")
	second.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	var links []string
	for _, name := range []string{"user", "net", "ipc"} {
		link, err := os.Readlink(ns(name))
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
	}
	second.spec.Hostname = ""
	same(t, "joined", second.run(), "0 "+strings.Join(links, " ")+" lo 1234 1")

	third := newBox(t, "ls -d /proc/1/root >/dev/null && echo seen; [ $$ = 1 ] || echo other").mapRoot().
		namespace(specs.UserNamespace, ns("user")).namespace(specs.PIDNamespace, ns("pid"))
	same(t, "its pid namespace", third.run(), "seen other")
}

func TestTimeNamespace(t *testing.T) {
	for _, user := range []bool{true, false} {
		b := newBox(t, "cat /proc/self/timens_offsets; [ $(cut -d. -f1 /proc/uptime) -gt 1000000 ] && echo later")
		if b.mapRoot(); !user {
			b.namespace(specs.UserNamespace, "").options.Root = nil
		}
		b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}, "monotonic": {Secs: 5, Nanosecs: 7}}
		same(t, "offsets", b.run(), "monotonic 5 7 boottime 1000000 0 later")
	}
}

// TestDieWithParent kills a process that has created a container, in each way it is cloned.
func TestDieWithParent(t *testing.T) {
	if kind, ok := os.LookupEnv("CREATE_AND_STAY"); ok { // it is that process
		b := newBox(t, "")
		if b.mapRoot(); kind == "host" {
			b.namespace(specs.UserNamespace, "")
		}
		b.options.DieWithParent = true
		b.up()
		// Threads come and go; the one that is the container's parent stays.
		for range 50 {
			namespace.OnThread(func() error { return nil })
		}
		if b.DoneWithin(200) {
			t.Fatal("it died with a thread that is not its parent")
		}
		fmt.Println("pid", b.Pid)
		select {}
	}
	for _, kind := range []string{"user", "host"} {
		parent := exec.Command("/proc/self/exe", "-test.run=^TestDieWithParent$")
		parent.Env = append(os.Environ(), "CREATE_AND_STAY="+kind, "TMPDIR="+t.TempDir())
		output, err := parent.StdoutPipe()
		if err == nil {
			err = parent.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscanf(output, "pid %d\n", &pid); err != nil {
			said, _ := io.ReadAll(output)
			t.Fatalf("%v: %s", err, said)
		}
		group, err := cgroup.Open("/mydocker-inside-TestDieWithParent001")
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(pid, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		parent.Process.Kill()
		parent.Wait()
		if !p.DoneWithin(20000) {
			t.Errorf("%s: the container outlives its parent", kind)
		}
		if code := p.Wait(); code != -1 {
			t.Errorf("exit code %d of another's child", code)
		}
		p.Close()
		if err := errors.Join(group.Kill(), group.Delete()); err != nil {
			t.Error(err)
		}
	}
}

// TestErrorsInside asserts that nothing is left of a container that could not be made.
func TestErrorsInside(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*box)
	}{
		{"no maps", "there are no id mappings", func(b *box) { b.spec.Linux.UIDMappings = nil }},
		{"root is not mapped", "setresgid 0: invalid argument", func(b *box) {
			b.spec.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 5, HostID: 700000, Size: 10}}
		}},
		{"no such namespace", "no such file", func(b *box) { b.namespace(specs.UserNamespace, "/no/such/ns") }},
		{"not a user namespace", "join user namespace: invalid argument", func(b *box) { b.namespace(specs.UserNamespace, "/proc/self/ns/net") }},
		{"one's own", "join user namespace: invalid argument", func(b *box) { b.namespace(specs.UserNamespace, "/proc/self/ns/user") }},
		{"another kind", "join ipc namespace /proc/self/ns/net: invalid argument", func(b *box) { b.namespace(specs.IPCNamespace, "/proc/self/ns/net") }},
	} {
		b := newBox(t, "true").mapRoot()
		c.change(b)
		if err := b.start(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if left, err := os.ReadDir(b.state); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", c.name, left, err)
		}
		if pids, err := b.group.Pids(); err != nil || len(pids) > 0 {
			t.Errorf("%s: processes %v are left, %v", c.name, pids, err)
		}
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}
