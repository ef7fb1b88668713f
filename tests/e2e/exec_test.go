package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// idle starts a container that does nothing.
func (h *host) idle(flags ...string) (id string) {
	h.t.Helper()
	return h.ok(append(append([]string{"run", "-d"}, flags...), "busybox", "sleep", "1000000")...)
}

func TestExecExitCode(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	for _, c := range []struct {
		code  int
		words []string
		args  []string
	}{
		{0, nil, []string{"true"}},
		{3, nil, []string{"sh", "-c", "exit 3"}},
		{137, nil, []string{"sh", "-c", "kill -9 $$"}},
		{143, nil, []string{"sh", "-c", "kill $$"}},
		{127, []string{`exec: "nope": executable file not found in $PATH`}, []string{"nope"}},
		{127, []string{`/no/such`, "no such file or directory"}, []string{"/no/such"}},
		{126, []string{"/etc/passwd", "permission denied"}, []string{"/etc/passwd"}},
		{126, []string{"is a directory"}, []string{"/"}},
	} {
		r := h.fails(c.code, c.words, append([]string{"exec", "c1"}, c.args...)...)
		equal(t, "stdout", r.out, "")
	}
}

func TestExecRefused(t *testing.T) {
	h := newHost(t)
	id := h.ok("create", "--name", "c1", "busybox", "sleep", "1000000")
	h.fails(1, []string{"ontainer " + id + " is not running"}, "exec", "c1", "true")
	h.ok("start", "c1")
	h.fails(1, []string{"No such container: nope"}, "exec", "nope", "true")
	h.fails(1, []string{"'mydocker exec' requires at least 2 arguments"}, "exec", "c1")
	h.fails(1, []string{"the input device is not a TTY"}, "exec", "-it", "c1", "true")
	h.fails(126, []string{`/nope`, "no such file or directory"}, "exec", "-w", "/nope", "c1", "pwd")
	h.fails(126, []string{"unable to find user nope: no matching entries in passwd file"}, "exec", "-u", "nope", "c1", "id")
	h.fails(126, []string{"Cwd must be an absolute path"}, "exec", "-w", "tmp", "c1", "pwd")
	h.fails(1, []string{"/no/such/file"}, "exec", "--env-file", "/no/such/file", "c1", "true")
	h.ok("kill", "c1")
	h.becomes("c1", "exited")
	h.fails(1, []string{"ontainer " + id + " is not running"}, "exec", "c1", "true")
}

// An exec is in all the container's namespaces and its cgroup; seen from the host.
func TestExecNamespaces(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	word := nonce()
	h.ok("exec", "-d", "c1", "sleep", word)
	first, exec := "/proc/"+h.pid("c1"), "/proc/"+h.findProcess(word)
	links, err := filepath.Glob(first + "/ns/*")
	if err != nil || len(links) < 9 {
		t.Fatal(links, err)
	}
	shared := 0
	for _, link := range links {
		if strings.HasSuffix(link, "_for_children") {
			continue
		}
		want, _ := os.Readlink(link)
		got, err := os.Readlink(exec + "/ns/" + filepath.Base(link))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, filepath.Base(link), got, want)
		if own, _ := os.Readlink("/proc/self/ns/" + filepath.Base(link)); own == want {
			shared++
		}
	}
	if shared > 2 { // user and time
		t.Errorf("%d namespaces are the host's", shared)
	}
	equal(t, "cgroups", read(t, exec+"/cgroup"), read(t, first+"/cgroup"))
	if !strings.Contains(read(t, exec+"/cgroup"), h.instance) {
		t.Errorf("the cgroup is not the engine's: %s", read(t, exec+"/cgroup"))
	}
	for _, link := range []string{"root", "cwd"} {
		a, _ := os.Stat(first + "/" + link)
		b, _ := os.Stat(exec + "/" + link)
		if a == nil || b == nil || !os.SameFile(a, b) {
			t.Errorf("another %s", link)
		}
	}
	if fds, _ := filepath.Glob(exec + "/fd/*"); len(fds) != 3 {
		t.Errorf("open files: %v", fds)
	}
	equal(t, "its parent as the container sees it", h.ok("exec", "c1", "awk", "/^PPid/ {print $2}", "/proc/self/status"), "0")
}

// What an exec may do is the container's matter, but for --privileged.
func TestExecPrivileges(t *testing.T) {
	h := newHost(t)
	const status = `awk '/^(CapPrm|CapEff|CapBnd|CapAmb|CapInh|NoNewPrivs|Seccomp):/ {print $2}' /proc/self/status | sed 's/^00000000//' | tr '\n' ' '; cat /proc/self/oom_score_adj`
	const def, zero = "a80425fb", "00000000"
	for _, c := range []struct {
		run, exec []string
		want      string
	}{
		{nil, nil, zero + " " + def + " " + def + " " + def + " " + zero + " 0 2 0"},
		{nil, []string{"-u", "1000"}, zero + " " + zero + " " + zero + " " + def + " " + zero + " 0 2 0"},
		{[]string{"-u", "1000"}, []string{"-u", "0"}, zero + " " + def + " " + def + " " + def + " " + zero + " 0 2 0"},
		{[]string{"--cap-drop", "all", "--cap-add", "chown"}, nil, zero + " 00000001 00000001 00000001 " + zero + " 0 2 0"},
		{[]string{"--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"}, nil, zero + " " + def + " " + def + " " + def + " " + zero + " 1 0 0"},
	} {
		id := h.idle(c.run...)
		equal(t, strings.Join(append(c.run, c.exec...), " "), h.ok(append(append([]string{"exec"}, c.exec...), id, "sh", "-c", status)...), c.want)
		h.ok("rm", "-f", id)
	}
	h.idle("--name", "c1")
	caps := strings.Fields(h.ok("exec", "--privileged", "c1", "grep", "CapEff", "/proc/self/status"))[1]
	own := regexp.MustCompile(`CapBnd:\s+(\w+)`).FindStringSubmatch(read(t, "/proc/self/status"))[1]
	equal(t, "--privileged has what the engine has", caps, own)
	if _, err := os.Stat("/dev/fuse"); err == nil {
		equal(t, "the devices stay the container's", h.ok("exec", "--privileged", "c1", "sh", "-c", "ls /dev/fuse 2>/dev/null || echo none"), "none")
	}
}

func TestExecEnvironment(t *testing.T) {
	h := newHost(t)
	file := h.dir("") + "env"
	h.write(file, "F=file\nB=file\n")
	h.idle("--name", "c1", "-e", "A=run", "-e", "B=run", "-w", "/usr", "-h", "hh", "-u", "student")
	const show = `echo $(env | sort)`
	const base = " HOSTNAME=hh PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PWD="
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "A=run B=run HOME=/home/student" + base + "/usr SHLVL=1"},
		{[]string{"-e", "A=exec", "--env-file", file, "-e", "C=a b", "-w", "/tmp"}, "A=exec B=file C=a b F=file HOME=/home/student" + base + "/tmp SHLVL=1"},
		{[]string{"-u", "0", "-e", "HOME=/x"}, "A=run B=run HOME=/x" + base + "/usr SHLVL=1"},
		{[]string{"-u", "root"}, "A=run B=run HOME=/root" + base + "/usr SHLVL=1"},
		{[]string{"-u", "77:78"}, "A=run B=run HOME=/" + base + "/usr SHLVL=1"},
		{[]string{"-t"}, "A=run B=run HOME=/home/student" + base + "/usr SHLVL=1 TERM=xterm"},
	} {
		out := strings.TrimRight(h.ok(append(append([]string{"exec"}, c.flags...), "c1", "sh", "-c", show)...), "\r\n")
		equal(t, strings.Join(c.flags, " "), out, c.want)
	}
	for flags, want := range map[string]string{
		"": "uid=1000(student) gid=1000(student) groups=29(audio),50(staff),1000(student)", "-u 0:5": "uid=0(root) gid=5 groups=5", "-u 77:78": "uid=77 gid=78 groups=78",
	} {
		got := h.ok(append(append([]string{"exec"}, strings.Fields(flags)...), "c1", "id")...)
		equal(t, "id "+flags, regexp.MustCompile(`5\(\w+\)`).ReplaceAllString(got, "5"), want)
	}
}

func TestExecStreams(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	r := h.try("exec", "c1", "sh", "-c", "echo out; echo err >&2")
	equal(t, "stdout", r.out, "out\n")
	equal(t, "stderr", r.err, "err\n")
	data := noise(5 << 20)
	r = h.tryWith(data, "exec", "-i", "c1", "cat")
	if r.out != data || r.code != 0 {
		t.Errorf("exec -i cat: exit %d, %d bytes of %d: %s", r.code, len(r.out), len(data), r.err)
	}
	equal(t, "without -i", h.tryWith("in", "exec", "c1", "cat").out, "")
	// The command may end before its input does, and without having read it.
	p := h.begin("exec", "-i", "c1", "head", "-c", "3")
	p.stdin.Write([]byte("abcdef"))
	equal(t, "head", p.wait().out, "abc")
	// A child that keeps the output open does not keep the exec.
	word := nonce()
	p = h.begin("exec", "c1", "sh", "-c", "echo hello; sleep "+word+" & exit 4")
	r = p.wait()
	equal(t, "output", r.out+exitCode(r), "hello\n4")
	if !onHost("/proc/" + h.findProcess(word)) {
		t.Error("the child has not outlived it")
	}
}

func TestExecDetached(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	word := nonce()
	r := h.try("exec", "-d", "c1", "sh", "-c", "echo > /mark; exec sleep "+word)
	equal(t, "output", r.out+r.err+exitCode(r), "0")
	pid := h.findProcess(word)
	equal(t, "ran", h.ok("exec", "c1", "ls", "/mark"), "/mark")
	if ids := h.inspect("c1", "{{len .ExecIDs}}"); ids != "1" {
		t.Errorf("%s exec IDs", ids)
	}
	h.ok("exec", "c1", "sh", "-c", "kill -9 $(pidof sleep | cut -d' ' -f1)") // the younger one
	h.eventually("reaped", func() bool { return !onHost("/proc/" + pid) })
	h.eventually("no exec IDs", func() bool { return h.inspect("c1", "{{json .ExecIDs}}") == "null" })
	if r := h.try("exec", "-d", "c1", "nope"); r.code == 0 {
		t.Errorf("not started: %s", r)
	}
	equal(t, "logs", h.ok("logs", "c1"), "") // an exec's output is not the container's
}

// An exec ends with its container, and its client says so.
func TestExecEndsWithContainer(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	p := h.begin("exec", "c1", "sh", "-c", "echo up; sleep 1000000")
	p.says("up")
	h.ok("kill", "c1")
	equal(t, "exit code", exitCode(p.wait()), "137")
}

// Killing the client leaves the command running, as Docker does.
func TestExecClientKilled(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	word := nonce()
	p := h.begin("exec", "c1", "sh", "-c", "echo up; exec sleep "+word)
	p.says("up")
	p.cmd.Process.Kill()
	p.wait()
	if pid := h.findProcess(word); strings.Contains(read(t, "/proc/"+pid+"/status"), "State:\tZ") {
		t.Error("the command has ended")
	}
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
}

// Many at once: each gets its own streams and exit code.
func TestExecMany(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	var all []*process
	for i := range 10 {
		p := h.begin("exec", "-i", "-e", "N="+strconv.Itoa(i), "c1", "sh", "-c", "cat; echo $N; exit $N")
		all = append(all, p)
	}
	for i, p := range all {
		p.stdin.Write([]byte("in "))
		p.stdin.Close()
		r := p.wait()
		equal(t, "exec", r.out+exitCode(r), "in "+strconv.Itoa(i)+"\n"+strconv.Itoa(i))
	}
	equal(t, "processes left", h.ok("exec", "c1", "sh", "-c", "set -- /proc/[0-9]*; echo $#"), "2")
}

// A command line of its own: what follows the container is not exec's.
func TestExecArguments(t *testing.T) {
	h := newHost(t)
	h.idle("--name", "c1")
	got := strings.Split(h.ok("exec", "c1", "printf", "%s\n", "-d", "--", "", "a b", "*", "$A"), "\n")
	if diff := cmp.Diff([]string{"-d", "--", "", "a b", "*", "$A"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
