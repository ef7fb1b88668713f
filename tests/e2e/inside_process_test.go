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
		return h.try("exec", id, "sh", "-c", "cat /proc/[0-9]*/stat | grep '(sleep)' | grep -c ') . 1 '").out == "2\n"
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
