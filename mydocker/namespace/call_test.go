package namespace

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDoConditions(t *testing.T) {
	dir := t.TempDir()
	mkdir := func(name string) Call {
		return NewCall("mkdir "+name, unix.SYS_MKDIRAT, unix.AT_FDCWD, filepath.Join(dir, name), 0o700)
	}
	for _, c := range []struct {
		name  string
		calls []Call
		made  string
		fails string
	}{
		{"all succeed", []Call{mkdir("a"), mkdir("b")}, "a b", ""},
		{"a failure ends the list", []Call{mkdir("a"), mkdir("no/such"), mkdir("b")}, "a", "mkdir no/such"},
		{"but not if it means nothing", []Call{mkdir("no/such").On(Ignore), mkdir("b")}, "b", ""},
		{"else after a failed try", []Call{mkdir("no/such").On(Try), mkdir("a"), mkdir("b").On(Else)}, "a b", ""},
		{"no else after a try that succeeded", []Call{mkdir("a").On(Try), mkdir("b").On(Else)}, "a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir = t.TempDir()
			calls := make([]Call, len(c.calls))
			for i, call := range c.calls { // again, in this directory
				calls[i] = mkdir(strings.TrimPrefix(call.Name, "mkdir ")).On(call.If)
			}
			err := Do(calls)
			var failed *CallError
			if got := errors.As(err, &failed); got != (c.fails != "") || got && (failed.Call.Name != c.fails || failed.Errno != syscall.ENOENT) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			entries, _ := os.ReadDir(dir)
			var made []string
			for _, entry := range entries {
				made = append(made, entry.Name())
			}
			if got := strings.Join(made, " "); got != c.made {
				t.Errorf("made %q, want %q", got, c.made)
			}
		})
	}
}

func TestOnThread(t *testing.T) {
	host, err := os.Readlink("/proc/thread-self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		err := OnThread(func() error {
			if unix.Gettid() == os.Getpid() {
				return errors.New("it is the process's first thread")
			}
			return unix.Unshare(unix.CLONE_NEWUTS)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var left []string // a thread that ends may be seen for a moment
	for range 100 {
		left = nil
		tasks, _ := filepath.Glob("/proc/self/task/*/ns/uts")
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil && ns != host {
				left = append(left, task+" in "+ns)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("threads are left: %v", left)
}

// TestSpawn joins a process in namespaces of its own.
func TestSpawn(t *testing.T) {
	target := exec.Command("sleep", "1000")
	target.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID}
	if err := target.Start(); err != nil {
		t.Fatal(err)
	}
	defer target.Wait()
	defer target.Process.Kill()
	pidfd, err := unix.PidfdOpen(target.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	spawn := func(script string) (string, error) {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		argv, _ := Strings([]string{"sh", "-c", script})
		envv, _ := Strings([]string{"X=y"})
		null, _ := os.Open("/dev/null")
		defer null.Close()
		pid, err := Spawn(pidfd, target.Process.Pid, Child{Files: []*os.File{null, writer, writer}, Calls: []Call{
			NewCall("execve /nowhere/sh", unix.SYS_EXECVE, "/nowhere/sh", argv, envv).On(Exec),
			NewCall("execve /bin/sh", unix.SYS_EXECVE, "/bin/sh", argv, envv).On(Exec),
		}})
		writer.Close()
		if err != nil {
			return "", err
		}
		out := make([]byte, 4096)
		n, _ := reader.Read(out)
		unix.Wait4(pid, nil, 0, nil)
		return string(out[:n]), nil
	}
	for _, ns := range []string{"mnt", "uts", "pid"} {
		ours, _ := os.Readlink("/proc/self/ns/" + ns)
		theirs, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(target.Process.Pid), "ns", ns))
		got, err := spawn("readlink /proc/self/ns/" + ns + " 2>/dev/null || echo hidden")
		if err != nil {
			t.Fatal(err)
		}
		// The target sees the host's /proc, in which the child's pid is another's.
		if got = strings.TrimSpace(got); got != theirs && got != "hidden" || got == ours {
			t.Errorf("%s: %s, want %s", ns, got, theirs)
		}
	}
	if got, err := spawn("echo $X; ls /proc/$$/fd 2>/dev/null | wc -l >/dev/null"); err != nil || got != "y\n" {
		t.Errorf("environment: %q, %v", got, err)
	}

	target.Process.Kill()
	target.Wait()
	if _, err := spawn("true"); !errors.Is(err, unix.ESRCH) {
		t.Errorf("join the dead: %v, want ESRCH", err)
	}
}
