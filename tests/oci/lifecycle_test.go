package oci

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestLifecycle(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Annotations = map[string]string{"org.example.key": "value"}
		b.spec.Process.Args = []string{"sh", "-c", "echo began; trap 'echo ended; exit 5' TERM; while :; do sleep 0.05; done"}
		if r := b.create(); r.code != 0 {
			t.Fatal(r)
		}
		s := b.state()
		equal(t, "status", string(s.Status), "created")
		equal(t, "id", s.ID, b.id)
		equal(t, "pid", s.Pid, b.pid)
		equal(t, "bundle", s.Bundle, b.dir)
		equal(t, "rootfs", s.Rootfs, b.dir+"/rootfs")
		equal(t, "owner", s.Owner, "")
		equal(t, "annotation", s.Annotations["org.example.key"], "value")
		if when, err := time.Parse(time.RFC3339Nano, s.Created); err != nil || time.Since(when) > time.Hour {
			t.Errorf("created %q: %v", s.Created, err)
		}
		equal(t, "output before start", b.stdout(), "")
		b.fails([]string{"exist"}, "create", "--bundle", b.dir, b.id)
		b.ok("start", b.id)
		equal(t, "status", string(b.state().Status), "running")
		equal(t, "pid of the running", b.state().Pid, b.pid)
		b.fails([]string{"running"}, "start", b.id)
		b.fails([]string{"is not stopped: running"}, "delete", b.id)
		b.eventually("output", func() bool { return b.stdout() == "began\n" })
		b.ok("kill", b.id)
		equal(t, "exit code", b.wait(), 5)
		b.becomes("stopped")
		equal(t, "output", b.stdout(), "began\nended\n")
		b.fails([]string{"stopped"}, "start", b.id)
		b.fails([]string{"not running"}, "kill", b.id)
		b.ok("delete", b.id)
		b.fails([]string{"does not exist"}, "state", b.id)
	})
}

func TestUnknownContainer(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		for _, args := range [][]string{{"start"}, {"state"}, {"kill"}, {"delete"}, {"pause"}, {"resume"}, {"ps"}, {"events"}, {"update", "--memory", "100000000"}} {
			b.fails([]string{"does not exist"}, append(args, "nobody")...)
			b.fails(nil, args...)
			b.fails(nil, append(args, "")...)
		}
		b.fails([]string{"does not exist"}, "exec", "nobody", "true")
		b.ok("delete", "--force", "nobody")
		equal(t, "list", b.ok("list", "-q"), "")
	})
}

func TestCreateErrors(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		for _, id := range []string{"a b", "../x", "a/b", "x:y", ".", ".."} {
			b.write()
			b.fails([]string{"id"}, "create", "--bundle", b.dir, id)
		}
		b.fails(nil, "create", "--bundle", b.dir+"/nothing", b.id)
		os.Remove(b.dir + "/config.json")
		b.fails([]string{"config.json", "not found"}, "create", "--bundle", b.dir, b.id)
		os.WriteFile(b.dir+"/config.json", []byte("{nonsense"), 0o644)
		b.fails(nil, "create", "--bundle", b.dir, b.id)
		b.write()
		b.fails(nil, "create", "--bundle", b.dir, b.id, "surplus")
		b.fails(nil, "create", "--new-flag", b.id)
		b.fails(nil, "create", "--bundle", b.dir, "--pid-file", b.dir+"/no/such/dir/pid", b.id)
		b.fails([]string{"does not exist"}, "state", b.id) // and so it can be made again:
		b.begin()
		b.ok("delete", "--force", b.id)
	})
}

func TestRun(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		r := b.run("echo out; echo err >&2; exit 7")
		equal(t, "exit code", r.code, 7)
		equal(t, "stdout", r.out, "out\n")
		if !strings.Contains(r.err, "err\n") {
			t.Errorf("stderr %q", r.err)
		}
		b.fails([]string{"does not exist"}, "state", b.id)
		equal(t, "exit code by signal", b.run("kill -9 $$; true", "--no-pivot").code, 0) // pid 1 cannot kill itself
		equal(t, "list", b.ok("list", "-q"), "")

		cmd := b.command("run", b.id) // the bundle is the working directory, standard input goes in
		cmd.Dir, cmd.Stdin = b.dir, strings.NewReader("a line\n")
		b.spec.Process.Args = []string{"cat"}
		b.write()
		equal(t, "standard input", b.tryCommand(cmd).out, "a line\n")

		b.fails([]string{"nothing"}, "run", "--bundle", b.dir+"/nothing", b.id)
		b.spec.Process.Args = []string{"nothing-here"}
		b.write()
		b.fails([]string{"nothing-here", "executable file not found in $PATH"}, "run", "--bundle", b.dir, b.id)
	})
}

func TestRunDetached(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		r := b.run("sleep 100000", "--detach", "--pid-file", b.dir+"/pid")
		if r.code != 0 {
			t.Fatal(r)
		}
		text, _ := os.ReadFile(b.dir + "/pid")
		b.pid, _ = strconv.Atoi(string(text))
		equal(t, "pid", b.state().Pid, b.pid)
		equal(t, "status", string(b.state().Status), "running")
		b.fails([]string{"exist"}, "run", "--bundle", b.dir, b.id)
		b.ok("kill", b.id, "KILL")
		equal(t, "exit code", b.wait(), 137)
		b.becomes("stopped")
		b.ok("delete", b.id)
	})
}

func TestRunKeep(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		equal(t, "exit code", b.run("exit 3", "--keep").code, 3)
		equal(t, "status", string(b.state().Status), "stopped")
		b.ok("delete", b.id)
	})
}

// TestRunForwardsSignals is that of the foreground.
func TestRunForwardsSignals(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Process.Args = []string{"sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"}
		b.write()
		cmd := b.command("run", "--bundle", b.dir, b.id)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(out).ReadString('\n')
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
		equal(t, "exit code", cmd.ProcessState.ExitCode(), 9)
	})
}

func TestKill(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sh", "-c", "trap 'echo usr1' USR1; trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done")
		b.eventually("ready", func() bool { return b.stdout() == "ready\n" })
		b.fails([]string{"unknown signal"}, "kill", b.id, "NEW")
		b.fails(nil, "kill", b.id, "500")
		for _, s := range []string{"SIGUSR1", "USR1", "10", "HUP", "1"} {
			before := b.stdout()
			b.ok("kill", b.id, s)
			b.eventually(s, func() bool { return b.stdout() != before })
		}
		b.ok("kill", b.id, "0")
		equal(t, "output", b.stdout(), "ready\nusr1\nusr1\nusr1\nhup\nhup\n")
		b.ok("kill", b.id, "9")
		equal(t, "exit code", b.wait(), 137)
		b.ok("delete", b.id)

		if r := b.create(); r.code != 0 { // of one that has not been started
			t.Fatal(r)
		}
		b.ok("kill", b.id, "KILL")
		b.wait()
		b.becomes("stopped")
		b.ok("delete", b.id)
	})
}

// TestKillAll is of a container in the host's PID namespace, where killing its
// first process does not end the others.
func TestKillAll(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		without("pid")(b)
		b.begin("sh", "-c", "sleep 100001 & sleep 100002 & echo $!; wait")
		b.eventually("children", func() bool { return b.stdout() != "" })
		b.ok("kill", "--all", b.id, "KILL")
		b.wait()
		b.becomes("stopped")
		b.ok("delete", b.id)
	})
}

func TestDelete(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		b.ok("delete", "--force", b.id)
		equal(t, "exit code", b.wait(), 137)
		if r := b.create(); r.code != 0 {
			t.Fatal(r)
		}
		b.ok("delete", b.id) // created is not running
		b.wait()
		b.begin("true")
		b.wait()
		b.ok("delete", "-f", b.id)
	})
}

func TestDeleteWithGroupsBelow(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Mounts[6].Options = []string{"rw"}
		without("cgroup")(b)
		b.begin("sh", "-c", "cd /sys/fs/cgroup/pids; mkdir -p below/deeper; echo 0 >below/deeper/cgroup.procs; echo ready; sleep 100000")
		b.eventually("ready", func() bool { return b.stdout() != "" })
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestList(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		equal(t, "empty", strings.TrimSpace(b.ok("list", "--format", "json")), "null")
		b.begin("sleep", "100000")
		lines := strings.Split(b.ok("list"), "\n")
		equal(t, "header", strings.Join(strings.Fields(lines[0]), " "), "ID PID STATUS BUNDLE CREATED OWNER")
		fields := strings.Fields(lines[1])
		equal(t, "line", strings.Join(fields[:4], " ")+" "+fields[5], fmt.Sprintf("%s %d running %s root", b.id, b.pid, b.dir))
		var list []map[string]any
		if err := json.Unmarshal([]byte(b.ok("list", "--format", "json")), &list); err != nil || len(list) != 1 {
			t.Fatal(err, list)
		}
		for key, want := range map[string]any{"id": b.id, "pid": float64(b.pid), "status": "running", "bundle": b.dir, "rootfs": b.dir + "/rootfs", "owner": "root"} {
			equal(t, key, list[0][key], want)
		}
		equal(t, "quiet", b.ok("list", "--quiet"), b.id+"\n")
		b.fails([]string{"invalid format"}, "list", "--format", "nonsense")
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestPs(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sleep", "100000")
		table := b.ok("ps", b.id)
		lines := strings.Split(strings.TrimSpace(table), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "PID") || !strings.Contains(lines[1], "sleep") || !strings.Contains(lines[1], strconv.Itoa(b.pid)) {
			t.Errorf("ps: %s", table)
		}
		var pids []int
		if err := json.Unmarshal([]byte(b.ok("ps", "--format", "json", b.id)), &pids); err != nil || len(pids) != 1 || pids[0] != b.pid {
			t.Errorf("ps: %v %v", pids, err)
		}
		equal(t, "ps -o", strings.Join(strings.Fields(b.ok("ps", b.id, "-e", "-o", "pid,comm")), " "), fmt.Sprintf("PID COMMAND %d sleep", b.pid))
		b.fails([]string{"invalid format"}, "ps", "--format", "nonsense", b.id)
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestPause(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sh", "-c", "while :; do echo x; sleep 0.01; done")
		b.fails([]string{"not paused"}, "resume", b.id)
		b.ok("pause", b.id)
		equal(t, "status", string(b.state().Status), "paused")
		before := b.stdout()
		time.Sleep(100 * time.Millisecond)
		equal(t, "what it says meanwhile", b.stdout(), before)
		b.fails([]string{"paused"}, "exec", b.id, "true")
		b.fails(nil, "pause", b.id)
		b.fails([]string{"paused"}, "delete", b.id)
		b.ok("resume", b.id)
		equal(t, "status", string(b.state().Status), "running")
		b.eventually("more output", func() bool { return b.stdout() != before })
		b.ok("pause", b.id)
		b.ok("delete", "--force", b.id)
		b.wait()
	})
}

type event struct {
	Type, ID string
	Data     struct {
		CPU struct {
			Usage struct {
				Total  uint64
				Percpu []uint64
			}
			Throttling map[string]uint64
		}
		Memory struct {
			Usage struct{ Limit, Usage, Max, Failcnt uint64 }
			Raw   map[string]uint64
		}
		Pids struct{ Current, Limit uint64 }
	}
}

func TestEvents(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer(int64(64 << 20))}
		b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: pointer(int64(77))}
		b.begin("sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 100000")
		b.eventually("some use", func() bool {
			var e event
			if err := json.Unmarshal([]byte(b.ok("events", "--stats", b.id)), &e); err != nil {
				t.Fatal(err)
			}
			equal(t, "type", e.Type, "stats")
			equal(t, "id", e.ID, b.id)
			equal(t, "memory limit", e.Data.Memory.Usage.Limit, 64<<20)
			equal(t, "pids limit", e.Data.Pids.Limit, 77)
			return e.Data.CPU.Usage.Total > 0 && e.Data.Memory.Usage.Usage > 0 && e.Data.Pids.Current > 0 && len(e.Data.Memory.Raw) > 0
		})
		cmd := b.command("events", "--interval", "50ms", b.id)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(limit, func() { cmd.Process.Kill() })
		defer kill.Stop()
		reader := bufio.NewReader(out)
		for range 3 {
			line, err := reader.ReadString('\n')
			if err != nil || !strings.Contains(line, `"stats"`) {
				t.Fatal(line, err)
			}
		}
		b.ok("delete", "-f", b.id)
		b.wait()
		cmd.Wait() // it ends with the container
	})
}

// TestEventsOOM is that of a container that takes too much memory.
func TestEventsOOM(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer(int64(20 << 20)), Swap: pointer(int64(20 << 20))}
		b.begin("sh", "-c", "until [ -e /go ]; do sleep 0.05; done; while :; do dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 0.1; done")
		cmd := b.command("events", "--interval", "10s", b.id)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(limit, func() { cmd.Process.Kill() })
		defer kill.Stop()
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		found := false
		time.Sleep(200 * time.Millisecond) // until it listens
		os.WriteFile(b.dir+"/rootfs/go", nil, 0o644)
		for !found && lines.Scan() {
			var e event
			json.Unmarshal(lines.Bytes(), &e)
			found = e.Type == "oom" && e.ID == b.id
		}
		equal(t, "an oom event", found, true)
		cmd.Process.Kill()
		cmd.Wait()
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestUpdate(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer(int64(64 << 20)), Reservation: pointer(int64(32 << 20))}
		b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Shares: pointer(uint64(100)), Quota: pointer(int64(500000)), Period: pointer(uint64(1000000))}
		b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: pointer(int64(20))}
		b.begin("sleep", "100000")
		check := func(want map[string]string) {
			t.Helper()
			got := map[string]string{}
			outside(b.pid, got)
			for key, value := range want {
				equal(t, key, got["host "+key], value)
			}
		}
		if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil {
			t.Skip("the names here are version 1's")
		}
		for _, step := range []struct {
			args  []string
			stdin string
			want  map[string]string
		}{
			{args: []string{"--memory", "67108864", "--memory-swap", "134217728"}, want: map[string]string{"memory/memory.limit_in_bytes": "67108864", "memory/memory.memsw.limit_in_bytes": "134217728"}},
			{args: []string{"--memory", "33554432"}, want: map[string]string{"memory/memory.limit_in_bytes": "33554432"}},
			{args: []string{"--memory", "268435456", "--memory-swap", "268435456"}, want: map[string]string{"memory/memory.limit_in_bytes": "268435456", "memory/memory.memsw.limit_in_bytes": "268435456"}},
			{args: []string{"--memory", "-1"}, want: map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.memsw.limit_in_bytes": "9223372036854771712"}},
			{args: []string{"--memory-reservation", "16777216"}, want: map[string]string{"memory/memory.soft_limit_in_bytes": "16777216"}},
			{args: []string{"--cpu-share", "200"}, want: map[string]string{"cpu/cpu.shares": "200", "cpu/cpu.cfs_quota_us": "500000"}},
			{args: []string{"--cpu-quota", "600000"}, want: map[string]string{"cpu/cpu.cfs_quota_us": "600000", "cpu/cpu.cfs_period_us": "1000000"}},
			{args: []string{"--cpu-period", "900000"}, want: map[string]string{"cpu/cpu.cfs_period_us": "900000", "cpu/cpu.cfs_quota_us": "600000"}},
			{args: []string{"--cpu-quota", "50000", "--cpu-period", "100000"}, want: map[string]string{"cpu/cpu.cfs_period_us": "100000", "cpu/cpu.cfs_quota_us": "50000"}},
			{args: []string{"--cpuset-cpus", "0", "--cpuset-mems", "0"}, want: map[string]string{"cpuset/cpuset.cpus": "0", "cpuset/cpuset.mems": "0"}},
			{args: []string{"--pids-limit", "10"}, want: map[string]string{"pids/pids.max": "10"}},
			{args: []string{"--pids-limit", "-1"}, want: map[string]string{"pids/pids.max": "max"}},
			{args: []string{"-r", "-"}, stdin: `{"memory": {"limit": 33554432, "reservation": 8388608}, "cpu": {"shares": 300, "quota": 500000, "period": 1000000, "cpus": "0"}, "pids": {"limit": 30}}`,
				want: map[string]string{"memory/memory.limit_in_bytes": "33554432", "cpu/cpu.shares": "300", "cpu/cpu.cfs_quota_us": "500000", "pids/pids.max": "30"}},
			{args: []string{"-r", "-"}, stdin: `{}`, want: map[string]string{"memory/memory.limit_in_bytes": "33554432", "cpu/cpu.shares": "300", "pids/pids.max": "30"}},
		} {
			cmd := b.command(append(append([]string{"update"}, step.args...), b.id)...)
			cmd.Stdin = strings.NewReader(step.stdin)
			if r := b.tryCommand(cmd); r.code != 0 {
				t.Error(r)
				continue
			}
			check(step.want)
			if t.Failed() {
				t.Fatal(step.args, step.stdin)
			}
		}
		file := b.writeJSON("resources.json", map[string]any{"cpu": map[string]any{"shares": 400}})
		b.ok("update", "--resources", file, b.id)
		check(map[string]string{"cpu/cpu.shares": "400"})
		before := map[string]string{}
		outside(b.pid, before)
		b.fails(nil, "update", "--cpu-period", "1", b.id)
		b.fails(nil, "update", "--cpuset-cpus", "9000", b.id)
		b.fails(nil, "update", "--memory", "nonsense", b.id)
		b.fails(nil, "update", "--resources", b.dir+"/nothing", b.id)
		equal(t, "status", string(b.state().Status), "running")
		b.fails(nil, "update", "--memory", "1", b.id) // less than it uses
		b.ok("update", "--pids-limit", "40", b.id)
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestSpec(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		cmd := b.command("spec")
		cmd.Dir = b.dir
		if r := b.tryCommand(cmd); r.code != 0 {
			t.Fatal(r)
		}
		b.fails([]string{"config.json"}, "spec", "--bundle", b.dir) // it is there
		var made specs.Spec
		read := func() {
			text, err := os.ReadFile(b.dir + "/config.json")
			if err == nil {
				made = specs.Spec{}
				err = json.Unmarshal(text, &made)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		read()
		equal(t, "terminal", made.Process.Terminal, true)
		equal(t, "command", strings.Join(made.Process.Args, " "), "sh")
		equal(t, "root", *made.Root, specs.Root{Path: "rootfs", Readonly: true})
		equal(t, "hostname", made.Hostname != "", true)
		made.Process.Terminal, made.Process.Rlimits = false, nil
		made.Process.Args = []string{"id", "-u"}
		b.spec = &made
		b.write()
		equal(t, "what it runs", b.ok("run", "--bundle", b.dir, b.id), "0\n")
		os.Remove(b.dir + "/config.json")
		b.ok("spec", "--bundle", b.dir, "--rootless")
		read()
		var kinds []string
		for _, n := range made.Linux.Namespaces {
			if n.Type != "cgroup" { // on version 2 only
				kinds = append(kinds, string(n.Type))
			}
		}
		slices.Sort(kinds)
		equal(t, "namespaces", strings.Join(kinds, " "), "ipc mount pid user uts")
		equal(t, "maps", len(made.Linux.UIDMappings)+len(made.Linux.GIDMappings), 2)
	})
}

func TestVersionHelpFeatures(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		for _, args := range [][]string{{"--version"}, {"-v"}} {
			if out := b.ok(args...); !strings.Contains(out, " version ") || !strings.Contains(out, "\nspec: 1.") {
				t.Errorf("version: %q", out)
			}
		}
		for _, command := range []string{"create", "delete", "events", "exec", "kill", "list", "pause", "ps", "resume", "run", "spec", "start", "state", "update", "features"} {
			if out := b.ok(command, "--help"); !strings.Contains(out, command) {
				t.Errorf("help of %s: %q", command, out)
			}
			if !strings.Contains(b.ok("--help"), command) {
				t.Errorf("help does not name %s", command)
			}
		}
		b.fails(nil, "newcommand")
		b.fails(nil, "--new-flag", "list")
		var features struct {
			OCIVersionMin, OCIVersionMax string
			Hooks, MountOptions          []string
			Linux                        struct {
				Namespaces, Capabilities []string
				Cgroup                   map[string]any
				Seccomp                  struct {
					Enabled                   bool
					Actions, Operators, Archs []string
				}
			}
		}
		if err := json.Unmarshal([]byte(b.ok("features")), &features); err != nil {
			t.Fatal(err)
		}
		equal(t, "least version", features.OCIVersionMin, "1.0.0")
		for what, list := range map[string][]string{"hooks": features.Hooks, "mountOptions": features.MountOptions, "namespaces": features.Linux.Namespaces, "capabilities": features.Linux.Capabilities,
			"actions": features.Linux.Seccomp.Actions, "operators": features.Linux.Seccomp.Operators} {
			if len(list) < 6 {
				t.Errorf("%s: %v", what, list)
			}
		}
		equal(t, "seccomp", features.Linux.Seccomp.Enabled, true)
		equal(t, "cgroup v1", features.Linux.Cgroup["v1"], any(true))
	})
}

// TestLog is --log, --log-format and --debug.
func TestLog(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		file := b.dir + "/log"
		b.fails(nil, "--log", file, "--log-format", "json", "state", "nobody")
		text, _ := os.ReadFile(file)
		var line struct{ Level, Msg, Time string }
		if err := json.Unmarshal([]byte(strings.TrimSpace(string(text))), &line); err != nil {
			t.Fatalf("%v: %q", err, text)
		}
		equal(t, "level", line.Level, "error")
		if !strings.Contains(line.Msg, "does not exist") {
			t.Errorf("message %q", line.Msg)
		}
		os.Remove(file)
		b.fails([]string{"does not exist"}, "--log", file, "state", "nobody")
		text, _ = os.ReadFile(file)
		if !strings.Contains(string(text), "level=error") {
			t.Errorf("log %q", text)
		}
		b.fails([]string{"nonsense"}, "--log-format", "nonsense", "list")
		b.spec.Process.Args = []string{"true"}
		b.write()
		b.ok("--debug", "--log", file, "run", "--bundle", b.dir, b.id)
		text, _ = os.ReadFile(file)
		if !strings.Contains(string(text), "level=debug") {
			t.Errorf("log %q", text)
		}
	})
}

func TestPreservedDescriptors(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Process.Args = []string{"sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd; env | grep LISTEN"}
		b.write()
		for _, word := range []string{"one", "two", "three"} {
			os.WriteFile(b.dir+"/"+word, []byte(word+"\n"), 0o600)
		}
		open := func(words ...string) (files []*os.File) {
			for _, w := range words {
				f, err := os.Open(b.dir + "/" + w)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				files = append(files, f)
			}
			return files
		}
		cmd := b.command("run", "--preserve-fds", "2", "--bundle", b.dir, b.id)
		cmd.ExtraFiles = open("one", "two", "three")
		equal(t, "two preserved", b.tryCommand(cmd).out, "one\ntwo\n0\n1\n2\n3\n4\n5\n") // the last is ls's own
		cmd = b.command("run", "--preserve-fds", "1", "--bundle", b.dir, b.id)
		cmd = exec.Command("sh", append([]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)...) // sd_listen_fds(3)
		cmd.ExtraFiles = open("one", "two", "three")
		out := b.tryCommand(cmd).out
		if !strings.HasPrefix(out, "one\ntwo\n") || !strings.Contains(out, "LISTEN_FDS=1\n") || !strings.Contains(out, "LISTEN_PID=1\n") {
			t.Errorf("listening: %q", out)
		}
	})
}

func TestKeyring(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		session := func(flags ...string) string {
			b.spec.Process.Args = []string{"/report", "report"}
			if r := b.create(flags...); r.code != 0 {
				t.Fatal(r)
			}
			b.ok("start", b.id)
			b.eventually("a report", func() bool { return strings.HasSuffix(b.stdout(), "}\n") })
			seen := observation{}
			json.Unmarshal([]byte(b.stdout()), &seen)
			b.ok("delete", "-f", b.id)
			b.wait()
			os.Remove(b.dir + "/stdout")
			return seen["session keyring"]
		}
		own, host := session(), session("--no-new-keyring")
		if own == host || !strings.Contains(own, "_ses") {
			t.Errorf("session keyrings: %q, with --no-new-keyring %q", own, host)
		}
	})
}

// TestJoin puts a second container into namespaces of a first.
func TestJoin(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.begin("sh", "-c", "hostname first; mkdir /dev/mqueue/x 2>/dev/null; sleep 100000")
		other := newBox(t, b.rt)
		for i, n := range other.spec.Linux.Namespaces {
			name := map[specs.LinuxNamespaceType]string{"network": "net", "mount": "mnt"}[n.Type]
			if name == "" {
				name = string(n.Type)
			}
			if n.Type == "pid" || n.Type == "network" || n.Type == "ipc" || n.Type == "uts" {
				other.spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", b.pid, name)
			}
		}
		other.spec.Hostname = ""
		other.begin("/report", "report")
		other.eventually("a report", func() bool { return strings.HasSuffix(other.stdout(), "}\n") })
		seen := observation{}
		json.Unmarshal([]byte(other.stdout()), &seen)
		for name, same := range map[string]bool{"pid": true, "net": true, "ipc": true, "uts": true, "mnt": false, "cgroup": false} {
			theirs, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", b.pid, name))
			equal(t, "namespace "+name+" is shared", theirs == seen["ns "+name], same)
		}
		equal(t, "it is process 1", seen["pid"] == "1", false)
		other.ok("delete", "-f", other.id)
		other.wait()
		equal(t, "the first", string(b.state().Status), "running")
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

// TestPropagation is of a shared bind: what the host mounts there the container
// sees, and what the container mounts there the host sees, if it is rshared.
func TestPropagation(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		source := b.dir + "/source"
		os.MkdirAll(source+"/host", 0o755)
		os.MkdirAll(source+"/inside", 0o755)
		b.mount(source, source, "", unix.MS_BIND)
		b.mount("", source, "", unix.MS_SHARED)
		b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: source, Options: []string{"rbind", "rshared"}})
		b.spec.Linux.RootfsPropagation = "shared"
		some := []string{"CAP_SYS_ADMIN"}
		capabilities(specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some})(b)
		b.begin("sh", "-c", "mount -t tmpfs x /mnt/inside && echo mounted; until [ -e /mnt/host/file ]; do sleep 0.05; done; echo seen; umount /mnt/inside; sleep 100000")
		b.eventually("mounted", func() bool { return b.stdout() == "mounted\n" })
		mounts, _ := os.ReadFile("/proc/self/mountinfo")
		equal(t, "the host sees it", strings.Contains(string(mounts), source+"/inside"), true)
		b.mount("tmpfs", source+"/host", "tmpfs", 0)
		os.WriteFile(source+"/host/file", nil, 0o644)
		b.eventually("seen", func() bool { return b.stdout() == "mounted\nseen\n" })
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

// TestOutsideRoot is that links in the image lead nowhere else.
func TestOutsideRoot(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		target := b.dir + "/outside"
		os.MkdirAll(target, 0o755)
		os.Symlink(target, b.dir+"/rootfs/link")
		b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/link/below", Type: "tmpfs", Source: "tmpfs"})
		b.spec.Linux.MaskedPaths = append(b.spec.Linux.MaskedPaths, "/link/masked")
		equal(t, "exit code", b.run("touch /link/below/file").code, 0)
		if found, _ := filepath.Glob(target + "/*"); len(found) > 0 {
			t.Errorf("outside there are %v", found)
		}
	})
}
