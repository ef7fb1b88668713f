package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The constants of this file are what `docker run --network none` shows with the
// same root file system (Docker 28 where it differs from 20.10). What a kernel
// may lack (kcore, a masked path) is expected if this host has it.

// pureV2 tells whether the host has only cgroup version 2.
func pureV2(t *testing.T) bool {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &s); err != nil {
		t.Fatal(err)
	}
	return s.Type == unix.CGROUP2_SUPER_MAGIC
}

// onHost tells whether the host has a file.
func onHost(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mountLine is one line of mountinfo, proc_pid_mountinfo(5).
type mountLine struct {
	Target, Options, Type, Super string
}

func parseMountinfo(text string) []mountLine {
	var list []mountLine
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(line, " - ")
		f, rest := strings.Fields(before), strings.Fields(after)
		list = append(list, mountLine{f[4], f[5], rest[0], rest[2]})
	}
	return list
}

func TestInsideMounts(t *testing.T) {
	h := newHost(t)
	const (
		strict   = "rw,nosuid,nodev,noexec,relatime"
		strictRO = "ro,nosuid,nodev,noexec,relatime"
	)
	want := map[string]mountLine{
		"/proc":       {"/proc", strict, "proc", ""},
		"/dev":        {"/dev", "rw,nosuid", "tmpfs", "size=65536k,mode=755"},
		"/dev/pts":    {"/dev/pts", "rw,nosuid,noexec,relatime", "devpts", "gid=5,mode=620,ptmxmode=666"},
		"/dev/shm":    {"/dev/shm", strict, "tmpfs", "size=65536k"},
		"/dev/mqueue": {"/dev/mqueue", strict, "mqueue", ""},
		"/sys":        {"/sys", strictRO, "sysfs", ""},
	}
	if pureV2(t) {
		want["/sys/fs/cgroup"] = mountLine{"/sys/fs/cgroup", strictRO, "cgroup2", ""}
	} else {
		want["/sys/fs/cgroup"] = mountLine{"/sys/fs/cgroup", strictRO, "tmpfs", "mode=755"}
		own, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(own)) {
			controllers := strings.Split(line, ":")[1]
			if controllers == "" {
				continue // the hybrid's version 2 tree, which Docker does not show
			}
			dir := "/sys/fs/cgroup/" + strings.TrimPrefix(controllers, "name=")
			want[dir] = mountLine{dir, strictRO, "cgroup", controllers}
		}
	}
	for _, dir := range []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} {
		if onHost(dir) {
			want[dir] = mountLine{dir, strictRO, "proc", ""}
		}
	}
	seen := map[string]bool{}
	for _, m := range parseMountinfo(h.ok("run", "--rm", "busybox", "cat", "/proc/self/mountinfo")) {
		if seen[m.Target] {
			t.Errorf("mounted twice: %s", m.Target)
		}
		seen[m.Target] = true
		w, known := want[m.Target]
		switch {
		case m.Target == "/":
			equal(t, "type of /", m.Type, "overlay")
			if !strings.HasPrefix(m.Options, "rw,") {
				t.Errorf("/ is %s", m.Options)
			}
		case slices.Contains(dockerMasked(), m.Target): // TestInsideMasked
		case m.Target == "/etc/hostname" || m.Target == "/etc/hosts" || m.Target == "/etc/resolv.conf":
			if !strings.HasPrefix(m.Options, "rw") {
				t.Errorf("%s is %s", m.Target, m.Options)
			}
		case !known:
			t.Errorf("Docker has no mount %v", m)
		default:
			for option := range strings.SplitSeq(w.Super, ",") {
				if !slices.Contains(strings.Split(","+m.Super, ","), option) {
					t.Errorf("%s: no %q in %q", m.Target, option, m.Super)
				}
			}
			m.Super = w.Super
			if diff := cmp.Diff(w, m); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
	}
	for target := range want {
		if !seen[target] {
			t.Errorf("no mount %s", target)
		}
	}
	for _, target := range []string{"/", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"} {
		if !seen[target] {
			t.Errorf("no mount %s", target)
		}
	}
}

// dockerMasked is Docker's list, as far as this host has the files.
func dockerMasked() []string {
	list := []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"}
	throttle, _ := filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	return slices.DeleteFunc(append(list, throttle...), func(path string) bool { return !onHost(path) })
}

// A masked file reads as empty and a masked directory lists as empty, and what
// covers them is not the host's: its root may not be changed through it.
func TestInsideMasked(t *testing.T) {
	h := newHost(t)
	null, err := os.Stat("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range dockerMasked() {
		// Harmless on a host where the container can do it.
		got := h.try("run", "--rm", "busybox", "sh", "-c", `
			grep -q " $0 " /proc/self/mountinfo || { echo not covered; exit; }
			if [ -d "$0" ]; then ls -A "$0"; touch "$0/x" && echo written; else cat "$0"; fi
			umount "$0" && echo umounted
			chmod 667 "$0"; touch -d 2001-02-03 "$0"; true`, path)
		equal(t, "shown of "+path, got.out, "")
		if now, err := os.Stat("/dev/null"); err != nil || now.Mode() != null.Mode() || !now.ModTime().Equal(null.ModTime()) {
			os.Chmod("/dev/null", null.Mode().Perm())
			t.Errorf("through %s a container changed the host's /dev/null to %v %v", path, now.Mode(), now.ModTime())
		}
	}
}

// What a container's root may not do. Should it succeed, the host is as before.
func TestInsideDenied(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ script, want string }{
		{"echo x > /proc/sys/kernel/hostname", "Read-only file system"},
		{"cd /proc/irq; now=$(cat default_smp_affinity); echo $now > default_smp_affinity", "Read-only file system"},
		{"touch /sys/x", "Read-only file system"},
		{"mkdir /sys/fs/cgroup/x", "Read-only file system"},
		{"mkdir $(ls -d /sys/fs/cgroup/memory 2>/dev/null || echo /sys/fs/cgroup)/x", "Read-only file system"},
		{"mount -t tmpfs x /tmp", "permission denied"},
		{"umount /proc/sys", "Operation not permitted"},
		{"mount -o remount,rw /sys", "permission denied"},
		{"hostname x", "Operation not permitted"},
		{"unshare -m true", "Operation not permitted"},
		{"mknod /disk b 8 0 && cat /disk", "Operation not permitted"},
		{"mknod /kmsg c 1 11 && cat /kmsg", "Operation not permitted"},
		{"date -s @$(date +%s) >/dev/null; false", "Operation not permitted"},
		{"dmesg", "Operation not permitted"},
		{"ip link add x type dummy", "Operation not permitted"},
	} {
		r := h.try("run", "--rm", "busybox", "sh", "-c", c.script)
		if r.code == 0 || !strings.Contains(r.err, c.want) {
			t.Errorf("want %q: %s", c.want, r)
		}
	}
	// And what it may: nodes of its own, root directories of its own.
	equal(t, "allowed", h.ok("run", "--rm", "busybox", "sh", "-c",
		"mknod /zero c 1 5 && head -c 3 /zero | wc -c; chroot / echo chroot; chown 5:6 /tmp && stat -c %u:%g /tmp"), "3\nchroot\n5:6")
}

func TestInsideDev(t *testing.T) {
	h := newHost(t)
	want := `/dev directory 755 0 0 0:0
/dev/fd -> /proc/self/fd
/dev/full character special file 666 1 7 0:0
/dev/mqueue directory 1777 0 0 0:0
/dev/null character special file 666 1 3 0:0
/dev/ptmx -> pts/ptmx
/dev/pts directory 755 0 0 0:0
/dev/pts/ptmx character special file 666 5 2 0:0
/dev/random character special file 666 1 8 0:0
/dev/shm directory 1777 0 0 0:0
/dev/stderr -> /proc/self/fd/2
/dev/stdin -> /proc/self/fd/0
/dev/stdout -> /proc/self/fd/1
/dev/tty character special file 666 5 0 0:0
/dev/urandom character special file 666 1 9 0:0
/dev/zero character special file 666 1 5 0:0`
	if onHost("/proc/kcore") {
		want = "/dev/core -> /proc/kcore\n" + want
	}
	got := strings.Split(h.ok("run", "--rm", "busybox", "sh", "-c", `
		for f in /dev /dev/* /dev/pts/* /dev/shm/* /dev/mqueue/*; do
			if [ -L $f ]; then echo "$f -> $(readlink $f)"
			elif [ -e $f ]; then echo $(stat -c '%n %F %a %t %T %u:%g' $f); fi
		done`), "\n")
	slices.Sort(got)
	expected := strings.Split(want, "\n")
	slices.Sort(expected)
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("-docker +mydocker:\n%s", diff)
	}
	equal(t, "devices work", h.ok("run", "--rm", "busybox", "sh", "-c",
		"echo x > /dev/null && head -c 4 /dev/urandom | wc -c; echo out > /dev/stdout; echo x > /dev/full 2>/dev/null || echo full; (: > /dev/tty) 2>/dev/null || echo no tty"),
		"4\nout\nfull\nno tty")
}

func TestInsideTerminal(t *testing.T) {
	h := newHost(t)
	got := h.ok("run", "--rm", "-t", "busybox", "sh", "-c",
		"tty; echo $TERM; echo $(stat -c '%F %a %t:%T %u:%g' /dev/console /dev/pts/0); ls /dev/pts; : > /dev/tty && echo controlling; grep -c ' /dev/console devpts' /proc/mounts")
	equal(t, "terminal", strings.ReplaceAll(got, "\r", ""),
		"/dev/pts/0\nxterm\ncharacter special file 620 88:0 0:5 character special file 620 88:0 0:5\n0     ptmx\ncontrolling\n1")
	if got := h.try("run", "--rm", "-t", "-u", "student", "busybox", "sh", "-c", "stat -c %u:%g /dev/pts/0; echo x > /dev/tty && echo ok"); got.code != 0 ||
		strings.ReplaceAll(got.out, "\r", "") != "1000:5\nx\nok\n" {
		t.Errorf("a terminal belongs to the container's user: %s", got)
	}
}

const dockerHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters`

func TestInsideFiles(t *testing.T) {
	h := newHost(t)
	equal(t, "hosts", h.ok("run", "--rm", "busybox", "cat", "/etc/hosts"), dockerHosts)
	equal(t, "-h", h.ok("run", "--rm", "-h", "a.b.c", "busybox", "sh", "-c", "hostname; cat /etc/hostname /proc/sys/kernel/domainname; echo $HOSTNAME"), "a.b.c\na.b.c\n(none)\na.b.c")
	equal(t, "modes", h.ok("run", "--rm", "busybox", "stat", "-c", "%a %u:%g", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys"),
		"644 0:0\n644 0:0\n644 0:0\n555 0:0\n555 0:0")
	resolv, _ := os.ReadFile("/etc/resolv.conf") // a host may have none
	equal(t, "resolv.conf", nameservers(h.ok("run", "--rm", "--network", "host", "busybox", "cat", "/etc/resolv.conf")), nameservers(string(resolv)))

	// Without -h, the first twelve characters of the ID. A container may write
	// the files; each start makes them anew.
	id := h.ok("run", "-d", "busybox", "sh", "-c", "echo 10.1.2.3 me >> /etc/hosts; hostname; cat /etc/hostname; sleep 1000")
	h.eventually("output", func() bool { return strings.Count(h.ok("logs", id), "\n") == 1 })
	equal(t, "hosts", h.ok("exec", id, "cat", "/etc/hosts"), dockerHosts+"\n10.1.2.3 me")
	equal(t, "hostname", h.ok("logs", id), id[:12]+"\n"+id[:12])
	h.ok("stop", "-t", "0", id)
	h.ok("start", id)
	h.eventually("output", func() bool { return strings.Count(h.ok("logs", id), "\n") == 3 })
	equal(t, "hosts after start", h.ok("exec", id, "cat", "/etc/hosts"), dockerHosts+"\n10.1.2.3 me")
}

func nameservers(resolv string) string {
	var list []string
	for line := range strings.Lines(resolv) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nameserver" {
			list = append(list, f[1])
		}
	}
	return strings.Join(list, " ")
}

func TestInsideEnvironment(t *testing.T) {
	h := newHost(t)
	h.env = []string{"LEAK=host", "GIVEN=from-host"}
	const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, c := range []struct {
		want  string
		flags []string
	}{
		{path + "\nHOSTNAME=box\nHOME=/root", nil},
		{path + "\nHOSTNAME=box\nHOME=/home/student", []string{"-u", "student"}},
		{path + "\nHOSTNAME=box\nHOME=/", []string{"-u", "4242"}},
		{path + "\nHOSTNAME=box\nA=2\nB=\nGIVEN=from-host\nHOME=/h", []string{"-e", "A=1", "-e", "A=2", "-e", "B=", "-e", "NOTSET", "-e", "GIVEN", "-e", "HOME=/h"}},
		{"PATH=/bin\nHOSTNAME=box\nHOME=/root", []string{"-e", "PATH=/bin"}},
	} {
		args := append([]string{"run", "--rm", "-h", "box"}, c.flags...)
		equal(t, fmt.Sprint(c.flags), h.ok(append(args, "busybox", "env")...), c.want)
	}
	file := t.TempDir() + "/env"
	if err := os.WriteFile(file, []byte("# comment\nX=a b\n\nGIVEN\nNOTSET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	equal(t, "--env-file", h.ok("run", "--rm", "--env-file", file, "busybox", "sh", "-c", "echo $X,$GIVEN,${NOTSET-none}"), "a b,from-host,none")
}

// The process is as Docker has it whatever the shell was that typed the command:
// with signals ignored, a mask, priorities and open files of its own.
func TestInsideProcess(t *testing.T) {
	h := newHost(t)
	const script = `
		grep -E '^(Umask|PPid|Pid|Uid|Gid|Groups|SigBlk|SigIgn|SigCgt|SigPnd|ShdPnd|Cap...|NoNewPrivs|Seccomp|NSsid|NSpgid|Threads):' /proc/1/status | tr -s '\t ' ' '
		cat /proc/1/oom_score_adj; pwd; ls /proc/1/fd | tr '\n' ' '; cat /proc/1/comm; tr '\0' ' ' < /proc/1/cmdline | head -c 3; cat /proc/1/coredump_filter`
	const want = `Umask: 0022
Pid: 1
PPid: 0
Uid: 0 0 0 0
Gid: 0 0 0 0
Groups: 0 
NSpgid: 1
NSsid: 1
Threads: 1
SigPnd: 0000000000000000
ShdPnd: 0000000000000000
SigBlk: 0000000000000000
SigIgn: 0000000000000000
SigCgt: 0000000000000000
CapInh: 0000000000000000
CapPrm: 00000000a80425fb
CapEff: 00000000a80425fb
CapBnd: 00000000a80425fb
CapAmb: 0000000000000000
NoNewPrivs: 0
Seccomp: 2
0
/
`
	// pid 1 only sleeps; what looks at it comes by exec.
	shell := func(prefix string, args ...string) string {
		cmd := h.command(args...)
		cmd.Args = append([]string{"sh", "-c", prefix + `exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for name, prefix := range map[string]string{
		"plain": "",
		"odd":   `trap '' HUP INT QUIT TERM PIPE USR1 CHLD; umask 077; ulimit -c 0; exec 5</etc/passwd 9>/dev/null; cd /var/tmp; echo 300 > /proc/$$/oom_score_adj; `,
	} {
		id := shell(prefix, "run", "-d", "busybox", "sleep", "1000")
		got, rest, _ := strings.Cut(h.ok("exec", id, "sh", "-c", script), "0 1 2")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -docker +mydocker:\n%s", name, diff)
		}
		equal(t, name+": open files and name", rest, " sleep\nsle00000033")
		// exec: the same state.
		status := shell(prefix, "exec", id, "sh", "-c", "umask; pwd; cat /proc/self/oom_score_adj; grep -E '^(SigBlk|SigIgn|CapEff|Seccomp):' /proc/self/status | tr -s '\t ' ' '")
		equal(t, name+": exec", status, "0022\n/\n0\nSigBlk: 0000000000000000\nSigIgn: 0000000000000000\nCapEff: 00000000a80425fb\nSeccomp: 2")
		equal(t, name+": files of exec", shell(prefix, "exec", id, "ls", "/proc/self/fd"), "0\n1\n2\n3") // 3: the directory
	}
}

// The limits are those of Docker's unit (LimitNOFILE, LimitNPROC, LimitCORE), as
// far as the engine may raise them; the others are the starter's.
func TestInsideRlimits(t *testing.T) {
	h := newHost(t)
	limits := func(text string) map[string]string {
		values := map[string]string{}
		for line := range strings.Lines(text) {
			if name, rest, ok := strings.Cut(line, "  "); ok {
				values[name] = strings.Join(strings.Fields(rest)[:2], " ")
			}
		}
		return values
	}
	want := limits(read(t, "/proc/self/limits"))
	mayRaise := capable(t, unix.CAP_SYS_RESOURCE)
	for name, most := range map[string]string{"Max open files": "1048576", "Max processes": "unlimited", "Max core file size": "unlimited"} {
		if !mayRaise {
			most = strings.Fields(want[name])[1]
		}
		want[name] = most + " " + most
	}
	if diff := cmp.Diff(want, limits(h.ok("run", "--rm", "busybox", "cat", "/proc/self/limits"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	cmd := h.command("run", "--rm", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Sc")
	cmd.Args = append([]string{"sh", "-c", `ulimit -Sn 99; ulimit -Sc 0; exec "$0" "$@"`}, cmd.Args...)
	cmd.Path = "/bin/sh"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	equal(t, "soft limits from a shell that has lowered its own", string(out),
		strings.Fields(want["Max open files"])[0]+"\n"+strings.Fields(want["Max core file size"])[0]+"\n")
}

// capable tells whether this process has a capability in its permitted set.
func capable(t *testing.T, capability int) bool {
	t.Helper()
	for line := range strings.Lines(read(t, "/proc/self/status")) {
		var set uint64
		if n, _ := fmt.Sscanf(line, "CapPrm: %x", &set); n == 1 {
			return set&(1<<capability) != 0
		}
	}
	t.Fatal("no CapPrm in /proc/self/status")
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestInsideNamespaces(t *testing.T) {
	h := newHost(t)
	for network, own := range map[string]string{
		"none": "cgroup ipc mnt net pid uts",
		"host": "cgroup ipc mnt pid uts",
	} {
		id := h.ok("run", "-d", "--network", network, "busybox", "sleep", "1000")
		pid := h.pid(id)
		var differ []string
		for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "uts"} {
			inside, err := os.Readlink("/proc/" + pid + "/ns/" + ns)
			if err != nil {
				t.Fatal(err)
			}
			host, err := os.Readlink("/proc/self/ns/" + ns)
			if err != nil {
				t.Fatal(err)
			}
			if inside != host {
				differ = append(differ, ns)
			}
			equal(t, "exec joins "+ns, h.ok("exec", id, "readlink", "/proc/self/ns/"+ns), inside)
		}
		equal(t, "own namespaces with --network "+network, strings.Join(differ, " "), own)
		if network == "host" {
			name, _ := os.Hostname()
			equal(t, "hostname", h.ok("exec", id, "hostname"), name)
			hosts, _ := os.ReadFile("/etc/hosts") // a host may have none
			equal(t, "/etc/hosts", h.ok("exec", id, "cat", "/etc/hosts"), strings.TrimSuffix(string(hosts), "\n"))
		}
		equal(t, "cgroup path", strings.Trim(h.ok("exec", id, "sh", "-c", "cut -d: -f3 /proc/self/cgroup | sort -u"), "\n"), "/")
	}
}

// Only the container's processes are in it, and one that loses its parent
// belongs to pid 1.
func TestInsideProcesses(t *testing.T) {
	h := newHost(t)
	equal(t, "processes", strings.Join(strings.Fields(h.ok("run", "--rm", "busybox", "ps", "-o", "pid,comm")), " "), "PID COMMAND 1 ps")
	id := h.ok("run", "-d", "busybox", "sh", "-c", "trap : USR1; (sleep 1000 &); while :; do sleep 1000 & wait $!; done")
	h.eventually("an orphan below pid 1", func() bool {
		return h.ok("exec", id, "sh", "-c", "cat /proc/[0-9]*/stat | grep '(sleep)' | grep -c ') . 1 '") == "2"
	})
	// A process started by exec has no parent inside, and is reaped outside.
	h.ok("exec", id, "sh", "-c", "exit 0")
	h.ok("exec", "-d", id, "true")
	h.eventually("no zombies", func() bool { return !strings.Contains(h.ok("exec", id, "sh", "-c", "cat /proc/[0-9]*/stat"), ") Z ") })
	equal(t, "parent of exec", h.ok("exec", id, "sh", "-c", "awk '/^PPid/ {print $2}' /proc/$$/status"), "0")
}

func TestInsideUsers(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"uid=0(root) gid=0(root) groups=0(root)", nil},
		{"uid=1000(student) gid=1000(student) groups=29(audio),50(staff),1000(student)", []string{"-u", "student"}},
		{"uid=1000(student) gid=1000(student) groups=29(audio),50(staff),1000(student)", []string{"-u", "1000"}},
		{"uid=1000(student) gid=8(mail) groups=8(mail)", []string{"-u", "1000:8"}},
		{"uid=1000(student) gid=8(mail) groups=8(mail)", []string{"-u", "student:mail"}},
		{"uid=4242 gid=0(root) groups=0(root)", []string{"-u", "4242"}},
		{"uid=4242 gid=4243 groups=4243", []string{"-u", "4242:4243"}},
		{"uid=0(root) gid=1000(student) groups=1000(student)", []string{"-u", ":1000"}},
		{"uid=1000(student) gid=1000(student) groups=8(mail),29(audio),50(staff),777,1000(student)", []string{"-u", "student", "--group-add", "mail", "--group-add", "777"}},
		{"uid=0(root) gid=0(root) groups=0(root),8(mail)", []string{"--group-add", "8"}},
	} {
		equal(t, fmt.Sprint(c.args), h.ok(slices.Concat([]string{"run", "--rm"}, c.args, []string{"busybox", "id"})...), c.want)
	}
	h.fails(125, []string{"unable to find user nope: no matching entries in passwd file"}, "run", "--rm", "-u", "nope", "busybox", "id")
	h.fails(125, []string{"unable to find group nope: no matching entries in group file"}, "run", "--rm", "-u", "student:nope", "busybox", "id")
	h.fails(125, []string{"nable to find group nope: no matching entries in group file"}, "run", "--rm", "--group-add", "nope", "busybox", "id")
	h.fails(125, []string{"uids and gids must be in range 0-2147483647"}, "run", "--rm", "-u", "-1", "busybox", "id")
	equal(t, "containers left", h.ok("ps", "-aq"), "")

	// Capabilities of a user: none but what a set-user-ID program may gain.
	equal(t, "capabilities", h.ok("run", "--rm", "-u", "student", "busybox", "sh", "-c", "awk '/^Cap/ {print $2}' /proc/self/status | cut -c9- | tr '\\n' ' '"),
		"00000000 00000000 00000000 a80425fb 00000000 ")
	// A passwd file that the container changed counts for exec; the streams are
	// the user's.
	id := h.ok("run", "-d", "-u", "student", "busybox", "sleep", "1000")
	h.ok("exec", "-u", "0", id, "sh", "-c", "echo new:x:77:78::/new:/bin/sh >> /etc/passwd")
	equal(t, "exec -u", h.ok("exec", "-u", "new", id, "sh", "-c", "id; echo $HOME; echo ok > /dev/stdout"), "uid=77(new) gid=78 groups=78\n/new\nok")
	equal(t, "exec as the container's user", h.ok("exec", id, "id", "-un"), "student")
}

func TestInsideWorkingDirectory(t *testing.T) {
	h := newHost(t)
	equal(t, "-w", h.ok("run", "--rm", "-w", "/a/b", "busybox", "sh", "-c", "pwd; stat -c '%a %u:%g' /a /a/b"), "/a/b\n755 0:0\n755 0:0")
	equal(t, "-w -u", h.ok("run", "--rm", "-w", "/a/b", "-u", "student", "busybox", "sh", "-c", "pwd; stat -c '%a %u:%g' /a/b"), "/a/b\n755 0:0")
	h.fails(125, []string{"the working directory 'rel' is invalid, it needs to be an absolute path"}, "run", "--rm", "-w", "rel", "busybox", "pwd")
	h.fails(125, []string{"/etc/passwd", "not a directory"}, "run", "--rm", "-w", "/etc/passwd", "busybox", "pwd")
	if r := h.try("run", "--rm", "-w", "/root", "-u", "student", "busybox", "pwd"); r.code != 0 || r.out != "/root\n" {
		t.Errorf("a working directory that the user may not enter: %s", r) // entered as root, as runc does
	}
}

func TestInsideLoopback(t *testing.T) {
	h := newHost(t)
	out := h.ok("run", "--rm", "busybox", "sh", "-c", `
		ls /sys/class/net; ip addr show lo | head -1 | cut -d' ' -f3; ping -c 1 -W 5 127.0.0.1 | grep -o '1 packets received'
		nc -l -p 5000 > /tmp/got & until netstat -ltn | grep -q :5000; do kill -0 $! || exit 1; done
		echo hello | nc 127.0.0.1 5000; wait; cat /tmp/got; ip route | wc -l`)
	equal(t, "loopback", out, "lo\n<LOOPBACK,UP,LOWER_UP>\n1 packets received\nhello\n0")
	interfaces, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	inside := h.ok("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net")
	for _, i := range interfaces { // others come and go
		if i.Name() == "lo" || i.Name() == "eth0" {
			if !slices.Contains(strings.Split(inside, "\n"), i.Name()) {
				t.Errorf("--network host: no %s in %q", i.Name(), inside)
			}
		}
	}
}

func TestInsideSysctls(t *testing.T) {
	h := newHost(t)
	const show = "cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/ip_forward kernel/msgmax"
	equal(t, "Docker's", strings.Split(h.ok("run", "--rm", "busybox", "sh", "-c", show), "\n")[0], "0")
	equal(t, "Docker's", strings.Split(h.ok("run", "--rm", "busybox", "sh", "-c", show), "\n")[1], "0\t2147483647")
	equal(t, "--sysctl", h.ok("run", "--rm", "--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=1234", "--sysctl", "net.ipv4.ip_unprivileged_port_start=99",
		"busybox", "sh", "-c", show), "99\n0\t2147483647\n1\n1234")
	h.fails(125, []string{"sysctl 'kernel.panic=1' is not allowed"}, "run", "--rm", "--sysctl", "kernel.panic=1", "busybox", "true")
	h.fails(125, []string{"net/nope", "no such file or directory"}, "run", "--rm", "--sysctl", "net.nope=1", "busybox", "true")
	if r := h.try("run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "busybox", "true"); r.code != 125 {
		t.Errorf("net.* would be the host's: %s", r)
	}
	// A user may serve port 80 and ping.
	equal(t, "port 80", h.ok("run", "--rm", "-u", "student", "busybox", "sh", "-c", "nc -l -p 80 >/dev/null & until netstat -ltn | grep -q ':80 '; do kill -0 $! || exit 1; done; echo up"), "up")
}

// A container started from a shell without standard streams, or whose working
// directory is gone, is as any other.
func TestInsideStartedFromNowhere(t *testing.T) {
	h := newHost(t)
	gone := filepath.Dir(h.root) + "/gone"
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := h.command("run", "-d", "--name", "nowhere", "busybox", "sh", "-c", "pwd; echo err >&2; cat; sleep 1000")
	cmd.Args = append([]string{"sh", "-c", `rmdir "$(pwd)"; exec "$0" "$@" 0<&- 1>&- 2>&-`}, cmd.Args...)
	cmd.Path, cmd.Dir = "/bin/sh", gone
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Run() // it cannot write the ID
	h.eventually("both lines", func() bool { r := h.try("logs", "nowhere"); return r.out == "/\n" && r.err == "err\n" })
	equal(t, "open files", h.ok("exec", "nowhere", "sh", "-c", "echo $(ls /proc/1/fd)"), "0 1 2")
}
