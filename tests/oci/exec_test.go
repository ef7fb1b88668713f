package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestExec(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		some := []string{"CAP_CHOWN", "CAP_NET_RAW"}
		capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some})(b)
		b.spec.Process.Cwd, b.spec.Process.Env = "/tmp", append(b.spec.Process.Env, "FROM=config")
		b.begin("sleep", "100000")
		for _, c := range []struct {
			args []string
			code int
			out  string
		}{
			{[]string{b.id, "sh", "-c", "echo $FROM; pwd; exit 6"}, 6, "config\n/tmp\n"},
			{[]string{"--cwd", "/etc", b.id, "pwd"}, 0, "/etc\n"},
			{[]string{"--env", "A=1", "--env", "B=2", b.id, "sh", "-c", "echo $A$B$FROM"}, 0, "12config\n"},
			{[]string{"--user", "1000:1001", b.id, "sh", "-c", "id -u; id -g"}, 0, "1000\n1001\n"},
			{[]string{"-u", "1000", b.id, "sh", "-c", "id -u; id -g"}, 0, "1000\n0\n"},
			{[]string{"--user", "1000:1001", "-g", "7", "-g", "8", b.id, "sh", "-c", "grep Groups /proc/self/status"}, 0, "Groups:\t7 8 \n"},
			{[]string{b.id, "grep", "-E", "^(Cap|NoNew)", "/proc/self/status"}, 0, "CapInh:\t0000000000000000\nCapPrm:\t0000000000002001\nCapEff:\t0000000000002001\nCapBnd:\t0000000000002001\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n"},
			{[]string{"--cap", "CAP_KILL", b.id, "grep", "CapEff", "/proc/self/status"}, 0, "CapEff:\t0000000000002021\n"},
			{[]string{"--no-new-privs", b.id, "grep", "NoNew", "/proc/self/status"}, 0, "NoNewPrivs:\t1\n"},
			{[]string{b.id, "sh", "-c", "kill -TERM $$"}, 143, ""},
			{[]string{b.id, "readlink", "/proc/self/exe"}, 0, "/bin/busybox\n"},
			{[]string{b.id, "ls", "/proc/self/fd"}, 0, "0\n1\n2\n3\n"},
		} {
			r := b.try(append([]string{"exec"}, c.args...)...)
			if r.code != c.code || r.out != c.out {
				t.Errorf("want exit %d, stdout %q: %s", c.code, c.out, r)
			}
		}
		cmd := b.command("exec", b.id, "cat")
		cmd.Stdin = strings.NewReader("a line\n")
		equal(t, "standard input", b.tryCommand(cmd).out, "a line\n")
		for words, args := range map[string][]string{
			"executable file not found in $PATH": {b.id, "nothing-here"},
			"no such file or directory":          {b.id, "/nothing/here"},
			"ermission denied":                   {b.id, "/etc/passwd"},
		} {
			r := b.fails([]string{"exec failed", words}, append([]string{"exec"}, args...)...)
			equal(t, "exit code", r.code, 255)
		}
		b.fails(nil, "exec", b.id)
		b.fails(nil, "exec", "--user", "nonsense", b.id, "true")
		b.fails(nil, "exec", "--cap", "CAP_NONSENSE", "--new-flag", b.id, "true")
		b.ok("kill", b.id, "KILL")
		b.wait()
		b.fails([]string{"stopped"}, "exec", b.id, "true")
		b.ok("delete", b.id)
	})
}

func TestExecInCreated(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		if r := b.create(); r.code != 0 {
			t.Fatal(r)
		}
		equal(t, "before start", b.ok("exec", b.id, "echo", "hello"), "hello\n")
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

// TestExecJoins compares an executed process with the container's first.
func TestExecJoins(t *testing.T) {
	for name, change := range map[string]func(*box){
		"plain":          func(*box) {},
		"user namespace": userNamespace,
		"restricted": func(b *box) {
			b.spec.Process.OOMScoreAdj = pointer(50)
			b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 5, Hard: 6}}
			b.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mknod", "mknodat"}, Action: specs.ActErrno}}}
			b.spec.Root.Readonly = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, b *box) {
				change(b)
				b.begin()
				b.eventually("a report", func() bool { return strings.HasSuffix(b.stdout(), "}\n") })
				first, second := observation{}, observation{}
				if err := json.Unmarshal([]byte(b.stdout()), &first); err != nil {
					t.Fatal(err)
				}
				cmd := b.command("exec", "--pid-file", b.dir+"/exec-pid", b.id, "/report", "report")
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := json.NewDecoder(out).Decode(&second); err != nil {
					t.Fatal(err)
				}
				inside, host := observation{}, observation{}
				outside(b.pid, inside)
				var pid int
				b.eventually("a PID", func() bool {
					text, _ := os.ReadFile(b.dir + "/exec-pid")
					pid, _ = strconv.Atoi(string(text))
					return pid != 0
				})
				outside(pid, host)
				if diff := differences(inside, host); diff != "" {
					t.Errorf("cgroups of the first and of the executed:\n%s", diff)
				}
				for _, key := range []string{"pid", "ppid", "session", "group", "status NSpid", "fd 0", "fd 1", "fd 2", "session keyring", "parent death signal"} {
					delete(first, key)
					delete(second, key)
				}
				if diff := differences(first, second); diff != "" {
					t.Errorf("the first and the executed:\n%s", diff)
				}
				b.ok("delete", "-f", b.id)
				b.wait()
				cmd.Wait()
			})
		})
	}
}

func TestExecProcessFile(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		some := []string{"CAP_CHOWN"}
		file := b.writeJSON("process.json", specs.Process{Args: []string{"sh", "-c", "pwd; id -u; echo $X; grep CapEff /proc/self/status; exit 4"}, Cwd: "/etc", Env: []string{"PATH=/bin", "X=y"},
			User: specs.User{UID: 0, GID: 5}, Capabilities: &specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some}})
		r := b.try("exec", "--process", file, b.id)
		equal(t, "exit code", r.code, 4)
		equal(t, "stdout", r.out, "/etc\n0\ny\nCapEff:\t0000000000000001\n")
		b.fails(nil, "exec", "--process", b.dir+"/nothing", b.id)
		os.WriteFile(b.dir+"/bad.json", []byte("{"), 0o600)
		b.fails(nil, "exec", "--process", b.dir+"/bad.json", b.id)
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestExecDetached(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		b.ok("exec", "--detach", "--pid-file", b.dir+"/exec-pid", b.id, "sh", "-c", "exit 44")
		text, _ := os.ReadFile(b.dir + "/exec-pid")
		pid, _ := strconv.Atoi(string(text))
		var status unix.WaitStatus
		for { // the caller, being a subreaper, is its parent: so Docker's shim learns how it ended
			if _, err := unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
				equal(t, "error", err, nil)
				break
			}
		}
		equal(t, "exit code", status.ExitStatus(), 44)
		b.fails([]string{"not found"}, "exec", "-d", b.id, "nothing-here")
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestExecDescriptors(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		os.WriteFile(b.dir+"/one", []byte("one\n"), 0o600)
		file, err := os.Open(b.dir + "/one")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd := b.command("exec", "--preserve-fds", "1", b.id, "cat", "/proc/self/fd/3")
		cmd.ExtraFiles = []*os.File{file}
		equal(t, "preserved", b.tryCommand(cmd).out, "one\n")
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestExecCgroup(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		groups := map[string]string{}
		outside(b.pid, groups)
		if groups["host cgroup pids"] == "" {
			t.Skip("the names here are version 1's")
		}
		below := "/sys/fs/cgroup/pids" + groups["host cgroup pids"] + "/below"
		if err := os.Mkdir(below, 0o755); err != nil {
			t.Fatal(err)
		}
		out := b.ok("exec", "--cgroup", "pids:below", b.id, "sh", "-c", "grep -E 'pids|memory' /proc/self/cgroup")
		for _, want := range []string{":pids:/below\n", ":memory:/\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("want %q in %q", want, out)
			}
		}
		b.fails(nil, "exec", "--cgroup", "pids:nothing", b.id, "true")
		b.fails(nil, "exec", "--cgroup", "../..", b.id, "true")
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

// TestExecMany is that of several at once.
// The shims above a runtime are protected from the OOM killer; what they execute is not.
func TestExecOOMScore(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		for _, score := range []int{0, 300} {
			b.spec.Process.OOMScoreAdj = &score
			b.begin("sleep", "100000")
			cmd := b.command("exec", b.id, "cat", "/proc/self/oom_score_adj")
			cmd.Args = append([]string{"sh", "-c", `echo 100 >/proc/self/oom_score_adj; exec "$0" "$@"`}, cmd.Args...)
			cmd.Path = "/bin/sh"
			equal(t, "oom_score_adj", b.tryCommand(cmd).out, strconv.Itoa(score)+"\n")
			b.ok("delete", "--force", b.id)
		}
	})
}

func TestExecMany(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		done := make(chan result)
		const count = 8
		for i := range count {
			go func() { done <- b.try("exec", b.id, "sh", "-c", fmt.Sprint("echo ", i, "; exit ", i)) }()
		}
		for range count {
			r := <-done
			equal(t, "stdout", r.out, fmt.Sprintln(r.code))
		}
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}
