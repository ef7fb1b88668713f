package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dir is a directory of the test on the host, with a file f in it.
func (h *host) dir(name string) string {
	h.t.Helper()
	dir := filepath.Dir(h.root) + "/" + name
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.write(dir+"/f", "of the host\n")
	return dir
}

func (h *host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// mount mounts on the host for the test's time.
func (h *host) mount(source, target, fstype string, flags uintptr) {
	h.t.Helper()
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		h.t.Fatalf("mount %s on %s: %v", source, target, err)
	}
	h.t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
}

// shared makes a mount point of a directory, in a peer group of its own.
func (h *host) shared(dir string) {
	h.t.Helper()
	h.mount(dir, dir, "", unix.MS_BIND)
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		h.t.Fatal(err)
	}
}

func TestMountBind(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	for _, flags := range [][]string{{"-v", dir + ":/mnt"}, {"--mount", "type=bind,source=" + dir + ",target=/mnt"}, {"--volume=" + dir + ":/mnt:rw"}, {"--mount", "type=bind,src=" + dir + ",dst=/mnt"}} {
		out := h.ok(append(append([]string{"run", "--rm"}, flags...), "busybox", "sh", "-c", "cat /mnt/f; echo new > /mnt/new; stat -c %u:%g /mnt/new")...)
		equal(t, fmt.Sprint(flags), out, "of the host\n0:0")
		equal(t, "written", read(t, dir+"/new"), "new\n")
	}
	for _, flags := range [][]string{{"-v", dir + ":/mnt:ro"}, {"--mount", "type=bind,source=" + dir + ",target=/mnt,readonly"}, {"--mount", "type=bind,source=" + dir + ",target=/mnt,ro=true"}} {
		r := h.try(append(append([]string{"run", "--rm"}, flags...), "busybox", "sh", "-c", "cat /mnt/f; echo new > /mnt/no")...)
		if r.code == 0 || r.out != "of the host\n" || !strings.Contains(r.err, "Read-only file system") {
			t.Errorf("read-only: %s", r)
		}
		r = h.try(append(append([]string{"run", "--rm"}, flags...), "busybox", "mount", "-o", "remount,bind,rw", "/mnt")...)
		if r.code == 0 {
			t.Errorf("remounted by the container: %s", r)
		}
	}
	if onHost(dir + "/no") {
		t.Error("a read-only mount was written to")
	}
	// Files, over an existing one and one to be made.
	equal(t, "file", h.ok("run", "--rm", "-v", dir+"/f:/etc/passwd", "-v", dir+"/f:/new/deep/file:ro", "busybox", "cat", "/etc/passwd", "/new/deep/file"), "of the host\nof the host")
	h.ok("run", "--rm", "-v", dir+"/f:/etc/passwd", "busybox", "sh", "-c", "echo through > /etc/passwd")
	equal(t, "written through a file", read(t, dir+"/f"), "through\n")
	// One of the files that the engine makes itself.
	h.write(dir+"/hosts", "9.9.9.9 mine\n")
	equal(t, "hosts", h.ok("run", "--rm", "-v", dir+"/hosts:/etc/hosts", "busybox", "cat", "/etc/hosts"), "9.9.9.9 mine")
}

func TestMountSource(t *testing.T) {
	h := newHost(t)
	base := filepath.Dir(h.root)
	h.ok("run", "--rm", "-v", base+"/made/deep:/mnt", "busybox", "touch", "/mnt/x")
	var s unix.Stat_t
	if err := unix.Stat(base+"/made/deep", &s); err != nil || s.Mode != unix.S_IFDIR|0o755 || s.Uid != 0 {
		t.Errorf("-v makes a missing source, a directory of root's: %v %o", err, s.Mode)
	}
	h.fails(125, []string{`invalid mount config for type "bind": bind source path does not exist: ` + base + "/missing"},
		"run", "--rm", "--mount", "type=bind,source="+base+"/missing,target=/mnt", "busybox", "true")
	if onHost(base + "/missing") {
		t.Error("--mount made the source")
	}
	equal(t, "containers left", h.ok("ps", "-aq"), "")

	// A symbolic link is followed on the host.
	dir := h.dir("real")
	if err := os.Symlink(dir, base+"/link"); err != nil {
		t.Fatal(err)
	}
	equal(t, "link", h.ok("run", "--rm", "-v", base+"/link:/mnt", "busybox", "cat", "/mnt/f"), "of the host")
	// A relative path is the client's.
	cmd := h.command("run", "--rm", "-v", "./real:/mnt", "busybox", "cat", "/mnt/f")
	cmd.Dir = base
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "of the host\n" {
		t.Errorf("-v ./real: %v %s", err, out)
	}
	// The source goes away between two starts.
	id := h.ok("create", "--mount", "type=bind,source="+dir+",target=/mnt", "busybox", "true")
	os.RemoveAll(dir)
	if r := h.try("start", id); r.code == 0 || !strings.Contains(r.err, dir) {
		t.Errorf("start without source: %s", r)
	}
	equal(t, "state", h.inspect(id, "{{.State.Status}} {{.State.Running}}"), "created false")
}

func TestMountRefusals(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	for _, c := range []struct {
		words []string
		flags []string
	}{
		{[]string{"mount path must be absolute"}, []string{"-v", dir + ":rel"}},
		{[]string{"destination can't be '/'"}, []string{"-v", dir + ":/"}},
		{[]string{"invalid mode: bogus"}, []string{"-v", dir + ":/mnt:bogus"}},
		{[]string{"Duplicate mount point: /mnt"}, []string{"-v", dir + ":/mnt", "-v", "/tmp:/mnt"}},
		{[]string{"bogus"}, []string{"--tmpfs", "/x:bogus=1"}},
		{[]string{"target is required"}, []string{"--mount", "type=bind,source=" + dir}},
		{[]string{"--mount", "bogus"}, []string{"--mount", "type=bind,bogus=1,target=/mnt"}},
		{[]string{"/usr", "not a directory"}, []string{"-v", dir + "/f:/usr"}},
		{[]string{"/etc/passwd", "not a directory"}, []string{"-v", dir + ":/etc/passwd"}},
	} {
		h.fails(125, c.words, append(append([]string{"run", "--rm"}, c.flags...), "busybox", "true")...)
	}
	equal(t, "containers left", h.ok("ps", "-aq"), "")
}

func TestMountOrder(t *testing.T) {
	h := newHost(t)
	outer, inner := h.dir("outer"), h.dir("inner")
	h.write(inner+"/which", "inner\n")
	// However they are given, what lies deeper is mounted later.
	for _, flags := range [][]string{{"-v", inner + ":/mnt/a/b", "-v", outer + ":/mnt"}, {"-v", outer + ":/mnt", "-v", inner + ":/mnt/a/b"}} {
		equal(t, "nested", h.ok(append(append([]string{"run", "--rm"}, flags...), "--tmpfs", "/mnt/a/c", "busybox", "sh", "-c", "cat /mnt/a/b/which; touch /mnt/a/c/x; ls /mnt")...), "inner\na\nf")
	}
	if onHost(outer + "/a/c/x") {
		t.Error("the tmpfs is not over the bind")
	}
	// A mount below the source comes along (rbind).
	h.mount("tmpfs", h.dir("outer/sub"), "tmpfs", 0)
	h.write(outer+"/sub/on-tmpfs", "yes\n")
	equal(t, "rbind", h.ok("run", "--rm", "-v", outer+":/mnt", "busybox", "cat", "/mnt/sub/on-tmpfs"), "yes")
	equal(t, "bind-nonrecursive", h.ok("run", "--rm", "--mount", "type=bind,source="+outer+",target=/mnt,bind-nonrecursive", "busybox", "ls", "/mnt/sub"), "f")
}

func TestMountTmpfs(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ want, flag, value, target string }{
		{"rw,nosuid,nodev,noexec,relatime 1777", "--tmpfs", "/tmp", "/tmp"},
		{"rw,nosuid,nodev,noexec,relatime 1777", "--tmpfs", "/new/dir", "/new/dir"},
		{"rw,nosuid,nodev,noexec,relatime 755", "--tmpfs", "/home", "/home"}, // the mode of what it covers
		{"rw,nosuid,nodev,relatime,size=1024k,mode=700 700", "--tmpfs", "/x:size=1m,mode=700,exec", "/x"},
		{"rw,nosuid,nodev,noexec,relatime,size=2048k,mode=1770 1770", "--mount", "type=tmpfs,target=/x,tmpfs-size=2m,tmpfs-mode=1770", "/x"},
		{"ro,nosuid,nodev,noexec,relatime 1777", "--mount", "type=tmpfs,target=/x,readonly", "/x"},
	} {
		got := h.ok("run", "--rm", c.flag, c.value, "busybox", "sh", "-c",
			`echo $(awk -v t="$0" '$2 == t {print $3, $4}' /proc/self/mounts) $(stat -c %a "$0")`, c.target)
		got = strings.Replace(strings.TrimPrefix(got, "tmpfs "), ",inode64", "", 1) // a default of some kernels
		got = regexp.MustCompile(`,uid=\d+,gid=\d+`).ReplaceAllString(got, "")      // of the container's root in a user namespace
		if c.target == "/home" {                                                    // which Docker sets by chmod
			got = strings.Replace(got, ",mode=755", "", 1)
		}
		equal(t, c.flag+" "+c.value, got, c.want)
	}
	r := h.try("run", "--rm", "--tmpfs", "/x:size=1m", "busybox", "dd", "if=/dev/zero", "of=/x/f", "bs=1M", "count=2")
	if r.code == 0 || !strings.Contains(r.err, "No space left on device") {
		t.Errorf("size=1m: %s", r)
	}
	// It is empty at each start, and in no layer.
	id := h.ok("create", "--tmpfs", "/x", "busybox", "sh", "-c", "ls /x; touch /x/f")
	h.ok("start", "-a", id)
	equal(t, "second start", h.ok("start", "-a", id), "")
}

func TestMountReadOnlyRoot(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	id := h.ok("run", "-d", "--read-only", "--tmpfs", "/run", "-v", dir+":/mnt", "busybox", "sleep", "1000")
	for path, writable := range map[string]bool{"/x": false, "/tmp/x": false, "/etc/hosts": false, "/etc/hostname": false, "/etc/resolv.conf": false,
		"/dev/shm/x": true, "/dev/x": true, "/run/x": true, "/mnt/x": true} {
		r := h.try("exec", id, "touch", path)
		if (r.code == 0) != writable || !writable && !strings.Contains(r.err, "Read-only file system") {
			t.Errorf("want writable %v: %s", writable, r)
		}
	}
	if r := h.try("exec", id, "mount", "-o", "remount,rw", "/"); r.code == 0 {
		t.Errorf("remounted by the container: %s", r)
	}
	equal(t, "workdir is made all the same", h.ok("run", "--rm", "--read-only", "-w", "/a/b", "busybox", "pwd"), "/a/b")
}

// Propagation is the kernel's, mount_namespaces(7): what is mounted on the host
// reaches the container with slave and shared, what the container mounts
// reaches the host with shared alone.
func TestMountPropagation(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		mode             string
		fromHost, toHost bool
	}{
		{"rprivate", false, false}, {"", false, false}, {"rslave", true, false}, {"slave", true, false}, {"rshared", true, true}, {"shared", true, true},
	} {
		dir := h.dir("source-" + c.mode)
		h.shared(dir)
		h.dir("source-" + c.mode + "/host")
		h.dir("source-" + c.mode + "/inside")
		flag := "type=bind,source=" + dir + ",target=/mnt"
		if c.mode != "" {
			flag += ",bind-propagation=" + c.mode
		}
		// As Docker: who may mount is privileged. The capability alone suffices.
		id := h.ok("run", "-d", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--mount", flag, "busybox", "sleep", "1000")
		h.mount("tmpfs", dir+"/host", "tmpfs", 0)
		h.write(dir+"/host/mark", "")
		if got := h.try("exec", id, "test", "-e", "/mnt/host/mark").code == 0; got != c.fromHost {
			t.Errorf("%q: a later mount of the host is seen: %v, want %v", c.mode, got, c.fromHost)
		}
		h.ok("exec", id, "mount", "-t", "tmpfs", "x", "/mnt/inside")
		h.ok("exec", id, "touch", "/mnt/inside/mark")
		if got := onHost(dir + "/inside/mark"); got != c.toHost {
			t.Errorf("%q: a mount of the container is seen on the host: %v, want %v", c.mode, got, c.toHost)
		}
		h.ok("rm", "-f", id)
		if !onHost(dir+"/host/mark") || !onHost(dir+"/f") {
			t.Errorf("%q: the end of the container unmounted the host's", c.mode)
		}
		if c.toHost { // Docker leaves what the container has mounted there
			if err := unix.Unmount(dir+"/inside", 0); err != nil {
				t.Errorf("%q: unmount: %v", c.mode, err)
			}
		}
	}
	// A source that is in no peer group cannot be what was asked for.
	private := h.dir("private")
	h.mount(private, private, "", unix.MS_BIND)
	if err := unix.Mount("", private, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for mode, word := range map[string]string{"slave": "not a shared or slave mount", "rslave": "not a shared or slave mount", "shared": "not a shared mount", "rshared": "not a shared mount"} {
		h.fails(125, []string{"path " + private + " is mounted on " + private + " but it is " + word}, "run", "--rm", "-v", private+":/mnt:"+mode, "busybox", "true")
	}
}

// Nothing that is mounted for a container is on the host, while it runs and
// after; and the host's own mounts stay.
func TestMountHost(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	h.mount("tmpfs", h.dir("data/sub"), "tmpfs", 0)
	h.write(dir+"/sub/kept", "kept\n")
	id := h.ok("run", "-d", "--name", "it", "-v", dir+":/mnt", "--tmpfs", "/x", "busybox", "sleep", "1000")
	h.ok("exec", id, "true")
	below := func(when string) {
		t.Helper()
		for _, m := range parseMountinfo(read(t, "/proc/self/mountinfo")) {
			if strings.HasPrefix(m.Target, h.root) || strings.HasPrefix(m.Target, h.runRoot) || strings.Contains(m.Super, h.root) {
				t.Errorf("%s: %v", when, m)
			}
		}
		if _, err := os.Stat("/proc/self/exe"); err != nil {
			t.Errorf("%s: the host's /proc: %v", when, err)
		}
		equal(t, when, read(t, dir+"/sub/kept"), "kept\n")
	}
	below("running")
	h.ok("kill", id)
	h.ok("wait", id)
	below("stopped")
	h.ok("start", id)
	below("started again")
	h.ok("rm", "-f", id)
	below("removed")
	equal(t, "data", read(t, dir+"/f"), "of the host\n")
}

// Removal never reaches a bind's source, in whatever state it finds the container.
func TestMountDataSurvives(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	h.mount("tmpfs", h.dir("data/sub"), "tmpfs", 0)
	h.write(dir+"/sub/f", "below\n")
	flags := []string{"-v", dir + ":/data", "-v", dir + "/f:/file", "--mount", "type=bind,source=" + dir + "/sub,target=/deep/er"}
	check := func(what string) {
		t.Helper()
		equal(t, what, read(t, dir+"/f")+read(t, dir+"/sub/f"), "of the host\nbelow\n")
	}
	run := func(args ...string) string {
		return h.ok(append(append(args, flags...), "busybox", "sleep", "1000")...)
	}
	h.ok("rm", "-f", run("run", "-d"))
	check("rm -f of a running container")
	h.ok("rm", run("create"))
	check("rm of a created one")
	id := run("run", "-d")
	h.ok("kill", id)
	h.ok("wait", id)
	h.ok("rm", id)
	check("rm of a stopped one")
	id = run("run", "-d")
	killMonitor(h, id)
	h.ok("rm", "-f", id)
	check("rm -f after the death of its monitor")
	id = run("run", "-d", "--rm")
	h.ok("stop", "-t", "0", id)
	h.eventually("--rm", func() bool { return h.ok("ps", "-aq") == "" })
	check("--rm")
}

// killMonitor kills the monitor of a container, the parent of its first process.
func killMonitor(h *host, id string) { endMonitor(h, id, unix.SIGKILL) }

func endMonitor(h *host, id string, signal unix.Signal) {
	h.t.Helper()
	stat := read(h.t, "/proc/"+h.pid(id)+"/stat")
	var monitor int
	fmt.Sscanf(stat[strings.LastIndex(stat, ")")+4:], "%d", &monitor)
	if monitor < 2 {
		h.t.Fatalf("no parent in %q", stat)
	}
	fd, err := unix.PidfdOpen(monitor, 0)
	if err == nil {
		defer unix.Close(fd)
		err = unix.PidfdSendSignal(fd, signal, nil, 0)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.eventually("the monitor's end", func() bool { // until then it holds the lock
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10)
		return n == 1
	})
}
