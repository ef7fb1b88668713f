package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// tool is a command line that runs containers through a runtime.
type tool struct {
	t    *testing.T
	dir  string
	argv []string
}

// needTools skips the test where one of the programs is not installed.
func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
}

func newTool(t *testing.T) *tool {
	dir, err := os.MkdirTemp("/var/tmp", "oci-") // podman takes no long paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mounts, _ := os.ReadFile("/proc/self/mountinfo") // first what engines leave mounted there
		for line := range strings.Lines(string(mounts)) {
			if at := strings.Fields(line)[4]; strings.HasPrefix(at, dir+"/") {
				unix.Unmount(at, unix.MNT_DETACH)
			}
		}
		os.RemoveAll(dir)
	})
	return &tool{t: t, dir: dir}
}

func (d *tool) command(args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	cmd := exec.CommandContext(ctx, d.argv[0], append(append([]string{}, d.argv[1:]...), args...)...)
	cmd.Dir = d.dir // conmon leaves a file where it is
	cmd.WaitDelay = time.Second
	return cmd, cancel
}

func (d *tool) try(args ...string) result {
	d.t.Helper()
	cmd, cancel := d.command(args...)
	defer cancel()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err, out.String(), stderr.String())
	}
	return result{args: cmd.Args, out: out.String(), err: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// gives runs a command line that must end with this code and output.
func (d *tool) gives(code int, out string, args ...string) {
	d.t.Helper()
	if r := d.try(args...); r.code != code || r.out != out {
		d.t.Errorf("want exit %d, stdout %q: %s", code, out, r)
	}
}

func (d *tool) ok(args ...string) string {
	d.t.Helper()
	r := d.try(args...)
	if r.code != 0 {
		d.t.Fatalf("must succeed: %s", r)
	}
	return strings.TrimSpace(r.out)
}

// onTerminal runs a command line on a terminal of 31 rows, types a line when it
// says ready, and gives the exit code and all that was said.
func (d *tool) onTerminal(args ...string) (int, string) {
	d.t.Helper()
	cmd, cancel := d.command(args...)
	defer cancel()
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 31, Cols: 91})
	if err != nil {
		d.t.Fatal(err)
	}
	defer master.Close()
	s := newScreen(master)
	s.until(&box{t: d.t}, "ready")
	io.WriteString(master, "a line\n")
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), s.until(&box{t: d.t}, "got a line")
}

// onScreen is what runs there.
const onScreen = "until stty size 2>/dev/null | grep -q '31 91'; do sleep 0.05; done; tty; echo ready; read line; echo got $line; exit 6"

// serve starts a daemon in mount and network namespaces of its own, until the
// end of the test, and waits until it answers.
func (d *tool) serve(answers func() bool, name string, args ...string) {
	d.t.Helper()
	log, err := os.Create(d.dir + "/log")
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	d.t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-exited:
		case <-time.After(limit):
			d.t.Errorf("%s did not end on SIGTERM", name)
			unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
			<-exited
		}
	})
	for deadline := time.Now().Add(2 * limit); !answers(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-exited:
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		text, _ := os.ReadFile(d.dir + "/log")
		d.t.Fatalf("%s does not answer: %s", name, text[max(0, len(text)-1000):])
	}
}

// engines run the test with runc, which shows that it is right, and with ours.
func engines(t *testing.T, test func(*testing.T, string, runtime)) {
	for name, rt := range map[string]runtime{"oracle": runc, "tested": tested} {
		t.Run(rt.name, func(t *testing.T) {
			rt.need(t)
			test(t, name, rt)
		})
	}
}

// TestDocker is `dockerd --add-runtime`.
func TestDocker(t *testing.T) {
	t.Parallel()
	needTools(t, "dockerd", "docker")
	d := newTool(t)
	socket := "unix://" + d.dir + "/docker.sock"
	d.argv = []string{"docker", "--host", socket}
	d.serve(func() bool { return d.try("version").code == 0 }, "dockerd", "--data-root", d.dir+"/data", "--exec-root", d.dir+"/exec", "--host", socket, "--pidfile", d.dir+"/pid",
		"--bridge", "none", "--iptables=false", "--ip6tables=false", // in its own network namespace: elsewhere this would take the host's docker0 away
		"--add-runtime", "oracle="+strings.Join(runc.argv, ""), "--add-runtime", "tested="+tested.argv[0])
	d.ok("import", "--change", `CMD ["sh"]`, busybox, "busybox")
	engines(t, func(t *testing.T, name string, _ runtime) {
		d := &tool{t, d.dir, d.argv}
		flags := func(more ...string) []string {
			return append([]string{"--runtime", name, "--network", "none"}, more...)
		}
		run := func(more ...string) []string { return append(append([]string{"run", "--rm"}, flags()...), more...) }
		d.gives(7, "hi\n", run("busybox", "sh", "-c", "echo hi; exit 7")...)
		d.gives(127, "", run("busybox", "nothing-here")...)
		d.gives(126, "", run("busybox", "/etc/passwd")...)
		d.gives(0, "1000\n33\n/tmp\nB\n", run("--user", "1000:33", "--workdir", "/tmp", "--env", "A=B", "busybox", "sh", "-c", "id -u; id -g; pwd; echo $A")...)
		d.gives(0, "name\n", run("--hostname", "name", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "busybox", "sh", "-c", "hostname; touch /tmp/x && ! touch /x 2>/dev/null")...)
		d.gives(0, "10 229\n", run("--device", "/dev/null:/dev/other", "--device", "/dev/fuse", "busybox", "sh", "-c", "stat -c '%t %T' /dev/fuse | sed 's/a e5/10 229/'")...)
		d.gives(0, "67108864\n", run("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--oom-score-adj", "5", "busybox", "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max")...)
		d.gives(0, "1\n", run("--sysctl", "net.ipv4.ip_forward=1", "--ipc", "private", "--shm-size", "1m", "busybox", "cat", "/proc/sys/net/ipv4/ip_forward")...)
		if n, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0); n == 1 || name != "oracle" { // runc 1.1 must have all capabilities to give
			d.gives(0, "0\n", run("--privileged", "--pid", "host", "--cgroupns", "host", "busybox", "id", "-u")...)
		}
		code, said := d.onTerminal(run("--interactive", "--tty", "busybox", "sh", "-c", onScreen)...)
		equal(t, "exit code on a terminal", code, 6)
		if !strings.Contains(said, "/dev/pts/0") && !strings.Contains(said, "/dev/console") {
			t.Errorf("terminal: %q", said)
		}

		box := "life-" + name
		d.ok(append(append([]string{"run", "--detach", "--name", box}, flags()...), "busybox", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")...)
		d.gives(5, "in\n", "exec", "--env", "W=in", box, "sh", "-c", "echo $W; exit 5")
		d.gives(0, "1000\n", "exec", "--user", "1000", box, "id", "-u")
		if r := d.try("exec", box, "nothing-here"); r.code != 126 || !strings.Contains(r.out+r.err, `exec: "nothing-here": executable file not found in $PATH`) {
			t.Error(r)
		}
		code, _ = d.onTerminal("exec", "--interactive", "--tty", box, "sh", "-c", onScreen)
		equal(t, "exit code of exec on a terminal", code, 6)
		d.ok("exec", "--detach", box, "touch", "/touched")
		d.ok("pause", box)
		d.gives(0, "paused\n", "inspect", "--format", "{{.State.Status}}", box)
		d.ok("unpause", box)
		d.ok("update", "--memory", "80m", "--memory-swap", "80m", "--pids-limit", "60", box)
		d.gives(0, "83886080\n", "exec", box, "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max")
		if out := d.ok("top", box); !strings.Contains(out, "sleep 0.1") && !strings.Contains(out, "trap") {
			t.Errorf("top: %s", out)
		}
		if out := d.ok("stats", "--no-stream", "--format", "{{.MemUsage}}", box); !strings.Contains(out, "80MiB") {
			t.Errorf("stats: %s", out)
		}
		d.gives(0, box+"\n", "ps", "--filter", "name="+box, "--format", "{{.Names}}")
		d.ok("stop", "--time", "20", box)
		d.gives(0, "exited 3\n", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", box)
		d.ok("start", box)
		d.ok("restart", "--time", "20", box)
		d.gives(0, "running\n", "inspect", "--format", "{{.State.Status}}", box)
		d.ok("kill", box)
		d.gives(0, "137\n", "wait", box)
		d.ok("rm", box)

		d.try(append(append([]string{"run", "--name", "oom-" + name, "--memory", "20m", "--memory-swap", "20m"}, flags()...), "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1")...)
		d.gives(0, "true 137\n", "inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", "oom-"+name)
		d.ok("rm", "oom-"+name)

		d.ok(append(append([]string{"run", "--detach", "--restart", "on-failure:2", "--name", "again-" + name}, flags()...), "busybox", "sh", "-c", "exit 4")...)
		for deadline := time.Now().Add(limit); d.ok("inspect", "--format", "{{.RestartCount}} {{.State.Status}}", "again-"+name) != "2 exited"; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it has not been started again twice")
			}
		}
		d.ok("rm", "again-"+name)
	})
}

// TestContainerd is `ctr run --runc-binary`.
func TestContainerd(t *testing.T) {
	t.Parallel()
	needTools(t, "containerd", "ctr")
	d := newTool(t)
	config := "version = 2\nroot = \"" + d.dir + "/root\"\nstate = \"" + d.dir + "/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"" + d.dir + "/sock\"\n"
	rootfs := d.dir + "/rootfs"
	err := errors.Join(os.WriteFile(d.dir+"/config.toml", []byte(config), 0o644), os.Mkdir(rootfs, 0o755), exec.Command("tar", "-C", rootfs, "-xf", busybox).Run())
	if err != nil {
		t.Fatal(err)
	}
	d.argv = []string{"ctr", "--address", d.dir + "/sock"}
	d.serve(func() bool { return d.try("version").code == 0 }, "containerd", "--config", d.dir+"/config.toml")
	engines(t, func(t *testing.T, name string, rt runtime) {
		d := &tool{t, d.dir, d.argv}
		path, err := exec.LookPath(rt.argv[0])
		if err != nil {
			t.Fatal(err)
		}
		run := func(flags ...string) []string {
			return append([]string{"run", "--runc-binary", path, "--runc-root", d.dir + "/runc-" + name, "--rootfs"}, flags...)
		}
		d.gives(7, "hi\n", run("--rm", rootfs, "once-"+name, "/bin/sh", "-c", "echo hi; exit 7")...)
		code, said := d.onTerminal(run("--rm", "--tty", rootfs, "tty-"+name, "/bin/sh", "-c", onScreen)...)
		equal(t, "exit code on a terminal", code, 6)
		if !strings.Contains(said, "/dev/pts/0") {
			t.Errorf("terminal: %q", said)
		}
		box := "life-" + name
		d.ok(run("--detach", "--memory-limit", "50000000", rootfs, box, "/bin/sleep", "100000")...)
		d.gives(5, "in\n", "task", "exec", "--exec-id", "e1", box, "/bin/sh", "-c", "echo in; exit 5")
		code, _ = d.onTerminal("task", "exec", "--tty", "--exec-id", "e2", box, "/bin/sh", "-c", onScreen)
		equal(t, "exit code of exec on a terminal", code, 6)
		listed := func(status string) {
			t.Helper()
			if out := d.ok("task", "ls"); !strings.Contains(strings.Join(strings.Fields(out), " "), " "+status) || !strings.Contains(out, box) {
				t.Errorf("want %s: %s", status, out)
			}
		}
		listed("RUNNING")
		d.ok("task", "pause", box)
		listed("PAUSED")
		d.ok("task", "resume", box)
		if out := d.ok("task", "ps", box); len(strings.Split(out, "\n")) != 2 {
			t.Errorf("ps: %s", out)
		}
		if out := d.ok("task", "metrics", box); !strings.Contains(out, "pids.current") && !strings.Contains(out, "memory") {
			t.Errorf("metrics: %s", out)
		}
		d.ok("task", "kill", "--signal", "KILL", box)
		for deadline := time.Now().Add(limit); !strings.Contains(d.ok("task", "ls"), "STOPPED"); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not stop")
			}
		}
		d.try("task", "rm", box) // says how it ended
		d.ok("container", "rm", box)
	})
}

// TestPodman is `podman --runtime`.
func TestPodman(t *testing.T) {
	t.Parallel()
	needTools(t, "podman", "conmon")
	d := newTool(t)
	d.argv = []string{"podman", "--root", d.dir + "/root", "--runroot", d.dir + "/run", "--tmpdir", d.dir + "/tmp", "--cgroup-manager", "cgroupfs", "--events-backend", "file"}
	d.ok("import", busybox, "busybox")
	engines(t, func(t *testing.T, name string, rt runtime) {
		path, err := exec.LookPath(rt.argv[0])
		if err != nil {
			t.Fatal(err)
		}
		d := &tool{t, d.dir, append(append([]string{}, d.argv...), "--runtime", path)}
		// Its own default limits only CAP_SYS_RESOURCE may set.
		flags := []string{"--network", "none", "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000"}
		run := func(more ...string) []string { return append(append([]string{"run", "--rm"}, flags...), more...) }
		d.gives(7, "hi\n", run("busybox", "sh", "-c", "echo hi; exit 7")...)
		d.gives(127, "", run("busybox", "nothing-here")...)
		d.gives(126, "", run("busybox", "/etc/passwd")...)
		d.gives(0, "1000\n/tmp\nB\n", run("--user", "1000", "--workdir", "/tmp", "--env", "A=B", "busybox", "sh", "-c", "id -u; pwd; echo $A")...)
		d.gives(0, "0 300000 65536\n", run("--uidmap", "0:300000:65536", "--gidmap", "0:300000:65536", "busybox", "sh", "-c", "echo $(cat /proc/self/uid_map)")...)
		code, said := d.onTerminal(run("--interactive", "--tty", "busybox", "sh", "-c", onScreen)...)
		equal(t, "exit code on a terminal", code, 6)
		if !strings.Contains(said, "/dev/pts/0") {
			t.Errorf("terminal: %q", said)
		}
		box := "life-" + name
		d.ok(append(append([]string{"run", "--detach", "--memory", "64m", "--name", box}, flags...), "busybox", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")...)
		d.gives(5, "in\n", "exec", box, "sh", "-c", "echo in; exit 5")
		code, _ = d.onTerminal("exec", "--interactive", "--tty", box, "sh", "-c", onScreen)
		equal(t, "exit code of exec on a terminal", code, 6)
		d.ok("pause", box)
		d.gives(0, "paused\n", "inspect", "--format", "{{.State.Status}}", box)
		d.ok("unpause", box)
		d.ok("update", "--cpu-shares", "300", box)
		d.gives(0, box+"\n", "ps", "--filter", "name="+box, "--format", "{{.Names}}")
		if out := d.ok("top", box); !strings.Contains(out, "sh") {
			t.Errorf("top: %s", out)
		}
		d.ok("stop", "--time", "20", box)
		d.gives(0, "exited 3\n", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", box)
		d.ok("start", box)
		d.ok("restart", "--time", "20", box)
		d.ok("kill", box)
		d.gives(0, "137\n", "wait", box)
		d.ok("rm", box)
		d.try(append(append([]string{"run", "--name", "oom-" + name, "--memory", "20m", "--memory-swap", "20m"}, flags...), "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1")...)
		d.gives(0, "137\n", "inspect", "--format", "{{.State.ExitCode}}", "oom-"+name)
		d.ok("rm", "oom-"+name)
	})
}
