package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary plays the programs inside the container that a shell cannot.
func init() {
	switch os.Getenv("E2E_PLAY") {
	case "euid": // of a set-user-ID program
		fmt.Println(os.Geteuid())
	case "overwrite":
		overwrite()
	default:
		return
	}
	os.Exit(0)
}

// overwrite looks for processes that execute a program that is not of the image,
// and tries to write to its file: at once, and by a descriptor after the process
// has gone on, when the file is no longer busy (CVE-2019-5736).
func overwrite() {
	own := map[[2]uint64]bool{}
	for _, path := range []string{"/bin/busybox", "/proc/self/exe"} {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil {
			own[[2]uint64{st.Dev, st.Ino}] = true
		}
	}
	fmt.Println("up")
	for {
		files, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, path := range files {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && !own[[2]uint64{st.Dev, st.Ino}] {
				// Being busy, as long as the monitor executes it too, is no
				// protection: Linux 6.11 does not know that error for programs.
				var fs unix.Statfs_t
				if unix.Fstatfs(fd, &fs) != nil || fs.Flags&unix.ST_RDONLY == 0 {
					fmt.Println("only busy")
				}
				go func() {
					for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
						file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY, 0)
						switch {
						case err == nil:
							file.WriteString("overwritten")
							fmt.Println("overwritten")
							return
						case !errors.Is(err, unix.ETXTBSY):
							return
						}
						// Busy while it is executed, also on a read-only mount; what counts
						// comes when it is executed no more.
						time.Sleep(time.Millisecond)
					}
					unix.Close(fd)
				}()
				continue
			}
			unix.Close(fd)
		}
	}
}

// player gives the flags that put the test binary into a container as /player.
func (h *host) player(role string) []string {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	return []string{"-v", self + ":/player:ro", "-e", "E2E_PLAY=" + role}
}

// A container cannot write to the host's binary, neither when it executes it in
// its place nor when it lies in wait for it.
func TestSecurityBinary(t *testing.T) {
	h := newHost(t)
	copied := filepath.Dir(h.root) + "/mydocker"
	if err := os.WriteFile(copied, []byte(read(t, binary)), 0o755); err != nil {
		t.Fatal(err)
	}
	before := sha256.Sum256([]byte(read(t, copied)))
	intact := func(what string) {
		t.Helper()
		if sha256.Sum256([]byte(read(t, copied))) != before {
			t.Fatalf("%s has overwritten the host's binary", what)
		}
	}
	by := func(args ...string) result {
		cmd := h.command(args...)
		cmd.Path, cmd.Args[0] = copied, copied
		return h.beginCommand(cmd).wait()
	}
	var image strings.Builder
	image.Write(archive(t, append(unpacked(t), member{Header: file("bin/script", "").Header, text: "#!/proc/self/exe\n"})...))
	h.tryWith(image.String(), "import", "-", "script")
	for _, args := range [][]string{
		{"--entrypoint", "/proc/self/exe", "busybox"},
		{"--entrypoint", "/proc/self/exe", "busybox", "init"},
		{"--entrypoint", "/proc/self/exe", "busybox", "monitor", "/", "/", "x", "x"},
		{"--entrypoint", "/proc/1/exe", "busybox", "run"},
		{"script", "/bin/script"},
		{"script", "script", "init"},
	} {
		if r := by(append([]string{"run", "--rm"}, args...)...); r.code == 0 && r.out == "" && r.err == "" {
			t.Errorf("%s", r)
		}
		intact(fmt.Sprint(args))
	}

	for _, flags := range [][]string{nil, {"--cap-add", "SYS_PTRACE"}} {
		args := append(append([]string{"run", "-d", "--name", "c1"}, flags...), h.player("overwrite")...)
		if r := by(append(args, "busybox", "/player")...); r.code != 0 {
			t.Fatal(r)
		}
		h.eventually("the player is up", func() bool { return strings.Contains(h.ok("logs", "c1"), "up") })
		for range 15 {
			by("exec", "c1", "true")
			by("exec", "c1", "no-such-command")
			by("exec", "c1", "/proc/self/exe", "init")
		}
		log := h.ok("logs", "c1")
		if strings.TrimSpace(log) != "up" {
			t.Errorf("%v: the container got at the host's binary: %.100q", flags, log)
		}
		by("rm", "-f", "c1")
		intact(fmt.Sprint("a process lying in wait ", flags))
	}
}

// No descriptor of the host is open in a container, whatever the client had open.
func TestSecurityDescriptors(t *testing.T) {
	h := newHost(t)
	var open []*os.File
	for _, path := range []string{"/", h.root, "/etc/passwd", "/proc/self/ns/mnt", "/dev/null", "/"} {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		open = append(open, file)
	}
	with := func(args ...string) result {
		t.Helper()
		cmd := h.command(args...)
		cmd.ExtraFiles = open
		cmd.WaitDelay = 5 * time.Second // a container that has the output open must not hang the test
		return h.beginCommand(cmd).wait()
	}
	// No shell: it has descriptors for its pipes. ls has the directory as its 3.
	for _, args := range [][]string{{"run", "--rm"}, {"run", "--rm", "-i"}, {"run", "--rm", "--privileged"}, {"run", "--rm", "-v", h.dir("d") + ":/mnt", "--tmpfs", "/tmp", "-w", "/mnt"}} {
		equal(t, fmt.Sprint(args), with(append(args, "busybox", "ls", "/proc/self/fd")...).out, "0\n1\n2\n3\n")
	}
	with("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
	for _, args := range [][]string{{"exec"}, {"exec", "-i"}, {"exec", "--privileged"}} {
		equal(t, fmt.Sprint(args), with(append(args, "c1", "ls", "/proc/self/fd")...).out, "0\n1\n2\n3\n")
	}
	equal(t, "the first process", with("exec", "c1", "ls", "/proc/1/fd").out, "0\n1\n2\n")
	for _, args := range [][]string{{"run", "--rm", "-t", "busybox"}, {"exec", "-t", "c1"}} {
		term := h.onTerminal(append(args, "ls", "-1", "/proc/self/fd")...)
		term.process.wait()
		h.eventuallyOr(func() string { return fmt.Sprintf("%v: %q", args, term.screen) }, func() bool { return strings.Join(strings.Fields(term.screen.String()), " ") == "0 1 2 3" })
	}
	word := nonce()
	with("exec", "-d", "c1", "sleep", word)
	fds, err := os.ReadDir("/proc/" + h.findProcess(word) + "/fd")
	if err != nil || len(fds) != 3 {
		t.Errorf("exec -d: %v, %v", fds, err)
	}

	// No directory of the host is a working directory (CVE-2024-21626).
	outside := h.dir("outside")
	for _, pattern := range []string{"/proc/self/fd/%d", "/proc/thread-self/fd/%d", "/proc/1/fd/%d", "/link/%d", "/proc/self/fd/%d/.."} {
		for n := 0; n <= 20; n++ {
			if n > 3 && pattern != "/proc/self/fd/%d" && n%5 != 2 {
				continue
			}
			dir := fmt.Sprintf(pattern, n)
			name := "busybox"
			if strings.HasPrefix(dir, "/link") {
				name = "link"
				if n == 0 {
					h.tryWith(string(archive(t, append(unpacked(t), symlink("link", "/proc/self/fd"))...)), "import", "-", "link")
					h.ok("run", "-d", "--name", "c2", "link", "sleep", "1000")
				}
			}
			script := fmt.Sprintf("cat %[1]s/f ../../../../../../../../..%[1]s/f; ls ../../../../../../../../..%[1]s; ls -d ./containers; true", outside)
			for _, r := range []result{with("run", "--rm", "-w", dir, name, "sh", "-c", script), with("exec", "-w", dir, map[string]string{"busybox": "c1", "link": "c2"}[name], "sh", "-c", script)} {
				if strings.Contains(r.out, "of the host") || strings.Contains(r.out, "containers") {
					t.Errorf("the working directory %s leads to the host: %s", dir, r)
				}
				if r.code == 0 && r.out != "" {
					t.Errorf("working directory %s: %s", dir, r)
				}
			}
		}
	}
}

// An image in which the places where the engine mounts, reads and writes are
// links to the outside.
func TestSecurityHostileImage(t *testing.T) {
	h := newHost(t)
	c := newCanary(h)
	h.write(c.dir+"/passwd", "hostuser:x:4242:4242::/:/bin/sh\n")
	h.write(c.dir+"/group", "hostgroup:x:4242:\n")
	for _, dir := range []string{"sys", "net", "shm", "kcore"} {
		os.Mkdir(c.dir+"/"+dir, 0o755)
	}
	c.before = c.look()
	mounts := func() string {
		return strings.Join(strings.FieldsFunc(read(t, "/proc/self/mountinfo"), func(r rune) bool { return r == '\n' }), "\n")
	}
	before := mounts()
	bind := h.dir("bind")
	check := func(what string, r result) {
		t.Helper()
		if diff := c.look(); fmt.Sprint(diff) != fmt.Sprint(c.before) {
			t.Errorf("%s touched the outside: %v\n%s", what, diff, r)
			c.before = diff
		}
		if now := mounts(); strings.Contains(now, filepath.Dir(c.root)+"/") {
			t.Errorf("%s mounts on the host, before %s\nafter %s", what, before, now)
		}
		if r.code != 0 && r.code != 125 && r.code != 126 && r.code != 127 {
			t.Errorf("%s: %s", what, r)
		}
		if strings.Contains(r.out, "hidden text") || strings.Contains(r.out, "hostuser") || strings.Contains(r.out, "4242") {
			t.Errorf("%s sees the host's files: %s", what, r)
		}
	}
	run := func(what string, entries []member, args ...string) {
		t.Helper()
		kept := unpacked(t)
		var data []member
		for _, e := range kept { // the links come in the place of what they replace
			replaced := false
			for _, link := range entries {
				path := strings.TrimSuffix(strings.TrimPrefix(e.Name, "./"), "/")
				replaced = replaced || path == link.Name || strings.HasPrefix(path, link.Name+"/")
			}
			if !replaced {
				data = append(data, e)
			}
		}
		if r := h.tryWith(string(archive(t, append(data, entries...)...)), "import", "-", "hostile"); r.code != 0 {
			t.Fatalf("%s: %s", what, r)
		}
		const script = `cat /secret /*/secret /*/*/secret 2>/dev/null; id; cat /etc/passwd; touch /proc/escaped /sys/escaped /dev/escaped /dev/shm/escaped /etc/escaped 2>/dev/null; true`
		r := h.try(append(append([]string{"run", "--rm"}, args...), "hostile", "sh", "-c", script)...)
		check(what, r)
	}
	for _, target := range []string{c.dir, c.up + c.dir[1:], "/", "../../../..", c.dir + "/escaped", "/proc/self/root"} {
		for _, path := range []string{"proc", "sys", "dev", "etc", "tmp"} {
			run(path+" -> "+target, []member{symlink(path, target)}, "--tmpfs", "/tmp", "--shm-size", "1m", "-u", "4000")
		}
		run("mnt -> "+target, []member{symlink("mnt", target)}, "-v", bind+":/mnt")
		run("below mnt -> "+target, []member{symlink("mnt", target)}, "-v", bind+":/mnt/escaped")
		run("file below mnt -> "+target, []member{symlink("mnt", target)}, "-v", bind+"/f:/mnt/escaped")
		run("tmpfs below mnt -> "+target, []member{symlink("mnt", target)}, "--tmpfs", "/mnt/escaped")
		run("-w below mnt -> "+target, []member{symlink("mnt", target)}, "-w", "/mnt/escaped/x")
		run("a file over a link -> "+target, []member{symlink("file", target+"/secret")}, "-v", bind+"/f:/file")
		run("dev below a link -> "+target, []member{symlink("dev", target)}, "-t")
	}
	for _, path := range []string{"etc/hosts", "etc/hostname", "etc/resolv.conf"} {
		run(path, []member{symlink(path, c.dir+"/secret")})
		run(path+" relative", []member{symlink(path, c.up+c.dir[1:]+"/secret")})
		run(path+" to nothing", []member{symlink(path, c.up+c.dir[1:]+"/escaped")})
		run(path+" as a directory", []member{directory(path)})
		run(path+" as a fifo", []member{node(path, '6', 0, 0)})
	}
	run("users", []member{symlink("etc/passwd", c.dir+"/passwd")}, "-u", "hostuser")
	run("users, relative", []member{symlink("etc/passwd", c.up+c.dir[1:]+"/passwd")}, "-u", "hostuser")
	run("groups", []member{symlink("etc/group", c.up+c.dir[1:]+"/group")}, "-u", "0:hostgroup")
	run("users by a magic link", []member{symlink("etc/passwd", "/proc/self/root"+c.dir+"/passwd")}, "-u", "hostuser")
	run("users in a fifo", []member{node("etc/passwd", '6', 0, 0)})
	run("users in a device", []member{node("etc/passwd", '3', 1, 5)})
	run("proc as a file", []member{file("proc", "")})
	run("dev as a file", []member{file("dev", "")})
	run("a program that is a link", []member{symlink("bin/sh", c.dir+"/secret")})
}

// The source and the target of a bind are swapped while containers start
// (CVE-2021-30465): nothing of the host is ever mounted, seen or covered.
func TestSecuritySwappedTarget(t *testing.T) {
	h := newHost(t)
	c := newCanary(h)
	volume, other := h.dir("volume"), h.dir("other")
	if err := errors.Join(os.MkdirAll(volume+"/target", 0o755), os.Symlink(strings.Repeat("../", 12), volume+"/up"), os.Symlink("/", volume+"/root")); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swaps := 0
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, link := range []string{"up", "root"} {
				for range 2 {
					unix.Renameat2(unix.AT_FDCWD, volume+"/target", unix.AT_FDCWD, volume+"/"+link, unix.RENAME_EXCHANGE)
				}
			}
			swaps++
		}
	})
	for i := range 25 {
		args := []string{"run", "--rm", "-v", volume + ":/vol", "-v", other + ":/vol/target", "busybox"}
		if i%2 == 1 {
			args = []string{"run", "--rm", "-v", volume + ":/vol", "--tmpfs", "/vol/target/sub", "-w", "/vol/target/new", "busybox"}
		}
		r := h.try(append(args, "sh", "-c", "cat "+c.dir+"/secret /vol/target"+c.dir+"/secret; grep -c . /proc/self/mountinfo; ls -d /bin/busybox")...)
		if strings.Contains(r.out, "hidden text") || r.code == 0 && !strings.HasSuffix(r.out, "/bin/busybox\n") || r.code != 0 && r.code != 125 {
			t.Errorf("%s", r)
		}
	}
	close(stop)
	swapping.Wait()
	if swaps < 100 {
		t.Errorf("only %d swaps", swaps)
	}
	if c.untouchedOutside() != "" {
		t.Error(c.untouchedOutside())
	}
}

// untouchedOutside tells how the canary has changed.
func (c *canary) untouchedOutside() string {
	if now := c.look(); fmt.Sprint(now) != fmt.Sprint(c.before) {
		return fmt.Sprintf("before %v\nafter %v", c.before, now)
	}
	return ""
}

// What hides a path cannot be chosen by the image or a volume (CVE-2025-31133),
// nor what a terminal or a sysctl is written to (CVE-2025-52565, CVE-2025-52881).
func TestSecurityMasks(t *testing.T) {
	h := newHost(t)
	c := newCanary(h)
	pattern := read(t, "/proc/sys/kernel/core_pattern")
	dev, proc := h.dir("dev"), h.dir("proc")
	os.MkdirAll(proc+"/sys/net/ipv4", 0o755)
	for _, link := range [][2]string{{dev + "/null", "/proc/sys/kernel/core_pattern"}, {dev + "/console", "/proc/sys/kernel/core_pattern"}, {dev + "/pts", "/proc/sys"},
		{dev + "/ptmx", "/proc/sysrq-trigger"}, {proc + "/sys/net/ipv4/ip_forward", c.dir + "/secret"}, {proc + "/self", c.dir}} {
		if err := os.Symlink(link[1], link[0]); err != nil {
			t.Fatal(err)
		}
	}
	const attack = `for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/keys /proc/timer_list /proc/kcore /proc/interrupts /dev/null /dev/console; do
		[ -e $f ] && (echo '|/escaped' > $f) && echo wrote $f; done 2>/dev/null
		for f in /proc/keys /proc/timer_list /proc/interrupts /proc/kcore; do [ -e $f ] && head -c 10 $f; done; true`
	harmless := map[string]bool{"wrote /dev/null": true, "wrote /dev/console": true, "wrote /proc/keys": true, "wrote /proc/timer_list": true, "wrote /proc/kcore": true, "wrote /proc/interrupts": true}
	hostile := append(unpacked(t), symlink("dev/null", "/proc/sys/kernel/core_pattern"), symlink("dev/console", "/proc/sysrq-trigger"))
	if r := h.tryWith(string(archive(t, hostile...)), "import", "-", "hostile"); r.code != 0 {
		t.Fatal(r)
	}
	for _, args := range [][]string{
		{"busybox"}, {"hostile"}, {"-v", dev + ":/dev", "busybox"}, {"-v", dev + ":/dev:ro", "busybox"}, {"-t", "-v", dev + ":/dev", "busybox"}, {"--tmpfs", "/dev", "hostile"},
		{"-v", dev + "/null:/dev/null", "busybox"}, {"-v", proc + ":/proc", "--sysctl", "net.ipv4.ip_forward=1", "busybox"}, {"--tmpfs", "/proc", "busybox"},
		{"-v", proc + ":/proc/sys", "--sysctl", "net.ipv4.ip_forward=1", "busybox"}, {"-v", proc + ":/proc/self", "busybox"}, {"--tmpfs", "/proc/kcore", "busybox"},
	} {
		r := h.try(append(append([]string{"run", "--rm"}, args...), "sh", "-c", attack)...)
		for line := range strings.Lines(r.out) {
			if line = strings.TrimSpace(line); !harmless[line] {
				t.Errorf("%v: the container reads or writes what is hidden: %s", args, r)
			}
		}
		if r.code != 0 && r.code != 125 && !(r.code == 1 && strings.Contains(r.err, "TTY")) {
			t.Errorf("%v: %s", args, r)
		}
		if now := read(t, "/proc/sys/kernel/core_pattern"); now != pattern {
			os.WriteFile("/proc/sys/kernel/core_pattern", []byte(pattern), 0)
			t.Fatalf("%v: core_pattern has become %q", args, now)
		}
		if diff := c.untouchedOutside(); diff != "" {
			t.Fatalf("%v: %s", args, diff)
		}
	}
	// The terminal's console is bound over nothing but the container's own.
	for _, args := range [][]string{{"hostile"}, {"-v", dev + ":/dev", "busybox"}} {
		term := h.onTerminal(append(append([]string{"run", "--rm", "-t"}, args...), "sh", "-c", "(echo '|/escaped' > /proc/sys/kernel/core_pattern) 2>/dev/null; echo end")...)
		term.process.wait()
		equal(t, "core_pattern", read(t, "/proc/sys/kernel/core_pattern"), pattern)
	}
	// A mount on /proc that is no proc is refused, as by Docker.
	for _, flags := range [][]string{{"-v", proc + ":/proc"}, {"--tmpfs", "/proc"}, {"-v", proc + ":/proc/sys"}, {"--tmpfs", "/proc/sys/kernel"}} {
		h.fails(125, []string{"cannot be mounted"}, append(append([]string{"run", "--rm"}, flags...), "busybox", "true")...)
	}
}

// The device cgroup: a container has Docker's devices and can make nodes of all
// others, but not open them. Privileged it can.
func TestSecurityDevices(t *testing.T) {
	h := newHost(t)
	_, major, minor := newCanary(h).loop() // a disk of the host, and by its numbers
	nodes := append(unpacked(t), node("disk", '4', major, minor), node("mem", '3', 1, 1), node("kmsg", '3', 1, 11), node("zero", '3', 1, 5))
	if r := h.tryWith(string(archive(t, nodes...)), "import", "-", "nodes"); r.code != 0 {
		t.Fatal(r)
	}
	script := fmt.Sprintf(`mknod /made b %d %d && dd if=/made bs=512 count=1 2>&1; mknod /c c 10 237; dd if=/c count=0 2>&1; mknod /vcs c 7 0; dd if=/vcs count=0 2>&1; true`, major, minor)
	denied := "Operation not permitted"
	if got := h.ok("run", "--rm", "--userns", "host", "busybox", "sh", "-c", script); strings.Count(got, denied) != 3 {
		t.Errorf("nodes made: %q", got)
	}
	id := h.idle("--userns", "host")
	if got := h.ok("exec", id, "sh", "-c", script); strings.Count(got, denied) != 3 {
		t.Errorf("nodes made by exec: %q", got)
	}
	got := h.ok("run", "--rm", "nodes", "sh", "-c", "for f in /disk /mem /kmsg; do dd if=$f of=/dev/null bs=1 count=1 2>&1 | grep -v records; done; head -c 5 /zero | wc -c")
	if strings.Count(got, denied) != 3 || !strings.HasSuffix(got, "\n5") {
		t.Errorf("nodes of the image: %q", got)
	}
	equal(t, "all of Docker's", h.ok("run", "--rm", "busybox", "sh", "-c",
		"for f in null zero full random urandom; do dd if=/dev/$f of=/dev/null bs=1 count=1 2>/dev/null && echo $f; done | tr '\\n' ' '; (echo > /dev/tty) 2>&1 | grep -c 'No such device'"), "null zero full random urandom 1")
	equal(t, "privileged", h.ok("run", "--rm", "--privileged", "busybox", "sh", "-c", fmt.Sprintf("mknod /made b %d %d && head -c 8 /made", major, minor)), "hosthost")
	// A node on a bind mount is as any other.
	shared := h.dir("shared")
	if err := unix.Mknod(shared+"/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(uint32(major), uint32(minor)))); err != nil {
		t.Fatal(err)
	}
	if r := h.try("run", "--rm", "-v", shared+":/mnt", "busybox", "dd", "if=/mnt/disk", "of=/dev/null", "count=1"); r.code == 0 || !strings.Contains(r.err, denied) {
		t.Errorf("%s", r)
	}
}

// What the kernel says of a process in a container, by default and otherwise.
func TestSecurityDefaults(t *testing.T) {
	h := newHost(t)
	const all = "00000000a80425fb"
	status := func(args ...string) string {
		t.Helper()
		return strings.Join(strings.Fields(h.ok(append(args, "sh", "-c", "awk '/^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):/ {print $2}' /proc/self/status")...)), " ")
	}
	run := func(flags ...string) string {
		t.Helper()
		return status(append(append([]string{"run", "--rm"}, flags...), "busybox")...)
	}
	host := strings.Fields(read(t, "/proc/self/status")[strings.Index(read(t, "/proc/self/status"), "CapBnd:"):])[1]
	equal(t, "default", run(), all+" "+all+" "+all+" 0 2")
	equal(t, "no-new-privileges", run("--security-opt", "no-new-privileges"), all+" "+all+" "+all+" 1 2")
	equal(t, "no-new-privileges:true", run("--security-opt", "no-new-privileges:true"), all+" "+all+" "+all+" 1 2")
	equal(t, "no-new-privileges:false", run("--security-opt", "no-new-privileges:false"), all+" "+all+" "+all+" 0 2")
	equal(t, "seccomp=unconfined", run("--security-opt", "seccomp=unconfined"), all+" "+all+" "+all+" 0 0")
	equal(t, "unconfined and no-new-privileges", run("--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges"), all+" "+all+" "+all+" 1 0")
	equal(t, "--cap-drop ALL", run("--cap-drop", "ALL"), "0000000000000000 0000000000000000 0000000000000000 0 2")
	equal(t, "a user", run("-u", "student"), "0000000000000000 0000000000000000 "+all+" 0 2")
	equal(t, "--privileged", run("--privileged"), host+" "+host+" "+host+" 0 0")
	equal(t, "--privileged, a user", run("--privileged", "-u", "student"), "0000000000000000 0000000000000000 "+host+" 0 0")
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, all + " " + all + " " + all + " 0 2"},
		{[]string{"--security-opt", "no-new-privileges", "--cap-drop", "ALL"}, "0000000000000000 0000000000000000 0000000000000000 1 2"},
		{[]string{"--privileged"}, host + " " + host + " " + host + " 0 0"},
	} {
		id := h.idle(c.flags...)
		equal(t, fmt.Sprint("exec ", c.flags), status("exec", id), c.want)
		h.ok("rm", "-f", id)
	}

	const paths = `for f in /proc/sys/kernel/core_pattern /proc/sys/vm/swappiness /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/kernel/mm/transparent_hugepage/enabled; do
		[ -e $f ] && (: >> $f) 2>/dev/null && echo $f; done
		mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x 2>/dev/null && echo cgroup; (echo 1 > /sys/fs/cgroup/memory/notify_on_release) 2>/dev/null && echo release_agent; true`
	equal(t, "writable", h.ok("run", "--rm", "busybox", "sh", "-c", paths), "")
	id := h.idle()
	equal(t, "writable by exec", h.ok("exec", id, "sh", "-c", paths), "")
	equal(t, "writable by exec --privileged", h.ok("exec", "--privileged", id, "sh", "-c", paths), "")
	if got := h.ok("run", "--rm", "--privileged", "busybox", "sh", "-c", "(: >> /proc/sys/kernel/core_pattern) && echo core; mount -t tmpfs x /tmp && echo mount; grep -c ' /proc/.* ro,' /proc/self/mountinfo; awk '$5 == \"/sys\" {print substr($6, 1, 2)}' /proc/self/mountinfo"); got != "core\nmount\n0\nrw" {
		t.Errorf("privileged: %q", got)
	}
}

// Set-user-ID programs work, but not with no-new-privileges.
func TestSecuritySetuid(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "0"},
		{[]string{"--security-opt", "no-new-privileges"}, "1000"},
	} {
		id := h.idle(append(c.flags, h.player("euid")...)...)
		h.ok("exec", id, "sh", "-c", "cp /player /suid && chmod 4755 /suid")
		equal(t, fmt.Sprint("exec ", c.flags), h.ok("exec", "-u", "student", id, "/suid"), c.want)
		h.ok("exec", id, "sh", "-c", "cp -p /suid /dev/shm/suid")
		if got := h.try("exec", "-u", "student", id, "/dev/shm/suid").out; got == "0\n" {
			t.Errorf("/dev/shm is not nosuid: %q", got)
		}
	}
}

// Nobody in the container, nor another user of the host, gets at what init and
// the monitor have: their memory, their files, the engine's directories.
func TestSecurityHostUsers(t *testing.T) {
	h := newHost(t)
	id := h.idle()
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, path := range []string{h.root + "/containers/" + id + "/config.json", h.root + "/containers/" + id + "/rw/upper", h.root + "/layers", h.runRoot + "/containers/" + id, h.runRoot + "/containers/" + id + "/monitor.sock"} {
		if !onHost(path) {
			t.Errorf("there is no %s", path)
		}
		cmd := exec.Command("/bin/sh", "-c", `ls "$0"/ || cat "$0"`, path)
		cmd.SysProcAttr = nobody
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("nobody can read %s: %s", path, out)
		}
	}
	cmd := h.command("ps")
	cmd.SysProcAttr = nobody
	copied := filepath.Dir(h.root) + "/mydocker"
	h.write(copied, read(t, binary))
	os.Chmod(copied, 0o755)
	os.Chmod(filepath.Dir(h.root), 0o755)
	cmd.Path = copied
	if r := h.beginCommand(cmd).wait(); r.code == 0 || !strings.Contains(r.err, "permission denied") && !strings.Contains(r.err, "root") {
		t.Errorf("as nobody: %s", r)
	}
}
