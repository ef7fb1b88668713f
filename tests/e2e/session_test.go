package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A container outlives what it was started from: a process group, a session, a
// terminal, a cgroup, a systemd unit.

// starts is a shell's script that starts two containers, the second by a
// background job, and stays.
const starts = `exec > /dev/null 2>&1; "$0" run -d --name c1 busybox sleep "$1" && { "$0" run --name c2 busybox sleep "$2" & }; sleep 1000`

// startIn begins a shell that starts c1 and c2, both up when it returns.
func (h *host) startIn(attr *syscall.SysProcAttr) (shell *process, words [2]string) {
	h.t.Helper()
	words = [2]string{nonce(), nonce()}
	cmd := h.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", starts, binary, words[0], words[1]}
	cmd.SysProcAttr = attr
	shell = h.beginCommand(cmd)
	for _, word := range words {
		h.findProcess(word)
	}
	return shell, words
}

// lives holds that both containers run as before.
func (h *host) lives(pids [2]string) {
	h.t.Helper()
	for i, name := range []string{"c1", "c2"} {
		equal(h.t, name, h.inspect(name, "{{.State.Status}} {{.State.Pid}}"), "running "+pids[i])
		equal(h.t, "exec in "+name, h.ok("exec", name, "echo", "fine"), "fine")
		h.ok("stop", "-t", "0", name)
		equal(h.t, name+" stopped", h.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
	}
}

// alone tells whether no process but zombies is in the list.
func alone(pids []int) bool {
	return !slices.ContainsFunc(pids, func(pid int) bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && !strings.Contains(string(stat[strings.LastIndexByte(string(stat), ')'):]), ") Z ")
	})
}

func TestSessionProcessGroup(t *testing.T) {
	h := newHost(t)
	for _, signal := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGKILL} {
		shell, _ := h.startIn(&syscall.SysProcAttr{Setpgid: true})
		pids := [2]string{h.pid("c1"), h.pid("c2")}
		if err := syscall.Kill(-shell.cmd.Process.Pid, signal); err != nil {
			t.Fatal(err)
		}
		shell.wait()
		if signal == unix.SIGTERM { // which the client of c2 passes on; a sleep as pid 1 ignores it
			equal(t, "c2", h.inspect("c2", "{{.State.Status}}"), "running")
		}
		h.lives(pids)
		h.ok("rm", "c1", "c2")
	}
}

// Every process of the session is killed, as when a user's processes are.
func TestSession(t *testing.T) {
	h := newHost(t)
	shell, _ := h.startIn(&syscall.SysProcAttr{Setsid: true})
	pids := [2]string{h.pid("c1"), h.pid("c2")}
	session := strconv.Itoa(shell.cmd.Process.Pid)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	killed := 0
	for _, file := range stats {
		stat, _ := os.ReadFile(file)
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 3 && fields[3] == session {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && unix.Kill(pid, unix.SIGKILL) == nil {
				killed++
			}
		}
	}
	if killed < 3 { // the shell, its sleep, the client of c2
		t.Errorf("only %d processes of the session were there", killed)
	}
	shell.wait()
	h.lives(pids)
}

// The terminal is hung up.
func TestSessionTerminal(t *testing.T) {
	h := newHost(t)
	word := nonce()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.command("run", "-it", "--name", "c1", "busybox", "sleep", word)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := h.beginCommand(cmd)
	slave.Close()
	h.findProcess(word)
	pid := h.pid("c1")
	master.Close()
	p.wait()
	equal(t, "c1", h.inspect("c1", "{{.State.Status}} {{.State.Pid}}"), "running "+pid)
	h.ok("stop", "-t", "0", "c1")
}

// Every process of the cgroup is killed in each hierarchy, as systemd does when
// it stops a unit (KillMode=control-group, systemd.kill(5)).
func TestSessionCgroup(t *testing.T) {
	h := newHost(t)
	var groups []string
	if pureV2(t) {
		groups = []string{"/sys/fs/cgroup/" + h.instance + "-unit"}
	} else {
		all, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
		for _, file := range all {
			groups = append(groups, filepath.Dir(file)+"/"+h.instance+"-unit")
		}
	}
	procs := func(group string) (pids []int) {
		data, err := os.ReadFile(group + "/cgroup.procs")
		if err != nil {
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(data)) {
			pid, _ := strconv.Atoi(field)
			pids = append(pids, pid)
		}
		return pids
	}
	enter := ""
	for _, group := range groups {
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			h.eventually("the unit's cgroup goes: "+group, func() bool {
				err := os.Remove(group)
				return err == nil || errors.Is(err, os.ErrNotExist)
			})
		})
		for _, setting := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new group of version 1
			if value, err := os.ReadFile(filepath.Dir(group) + "/" + setting); err == nil && strings.Contains(group, "cpuset") {
				h.write(group+"/"+setting, string(value))
			}
		}
		enter += "echo $$ > " + group + "/cgroup.procs && "
	}
	words := [2]string{nonce(), nonce()}
	cmd := h.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", enter + starts, binary, words[0], words[1]}
	shell := h.beginCommand(cmd)
	for _, word := range words {
		h.findProcess(word)
	}
	pids := [2]string{h.pid("c1"), h.pid("c2")}
	for _, group := range groups {
		if members := procs(group); len(members) < 3 && group == groups[0] {
			t.Errorf("only %v are in %s: the test tests nothing", members, group)
		}
		for { // a fork may run ahead
			members := procs(group)
			for _, pid := range members {
				unix.Kill(pid, unix.SIGKILL)
			}
			if alone(members) {
				break
			}
		}
	}
	shell.wait()
	h.lives(pids)
}

// A systemd unit is stopped.
func TestSessionUnit(t *testing.T) {
	if !onHost("/run/systemd/system") { // sd_booted(3); TestSessionCgroup does what systemd does
		t.Log("this host was not booted by systemd")
		return
	}
	h := newHost(t)
	unit := h.instance + ".service"
	words := [2]string{nonce(), nonce()}
	args := []string{"--unit", unit, "--collect", "-p", "KillMode=control-group", "-p", "TimeoutStopSec=5"}
	for _, name := range []string{"MYDOCKER_ROOT=" + h.root, "MYDOCKER_RUN_ROOT=" + h.runRoot, "MYDOCKER_INSTANCE=" + h.instance} {
		args = append(args, "--setenv", name)
	}
	cmd := h.command()
	path, err := exec.LookPath("systemd-run")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Args = path, append(append([]string{"systemd-run"}, args...), "/bin/sh", "-c", starts, binary, words[0], words[1])
	if r := h.beginCommand(cmd).wait(); r.code != 0 {
		t.Fatal(r)
	}
	for _, word := range words {
		h.findProcess(word)
	}
	pids := [2]string{h.pid("c1"), h.pid("c2")}
	stop := h.command()
	if stop.Path, err = exec.LookPath("systemctl"); err != nil {
		t.Fatal(err)
	}
	stop.Args = []string{"systemctl", "stop", unit}
	if r := h.beginCommand(stop).wait(); r.code != 0 {
		t.Fatal(r)
	}
	h.lives(pids)
}
