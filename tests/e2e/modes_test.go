package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJoinContainer asserts that a container sees another's processes and shared
// memory, and ends with the other's first process.
func TestJoinContainer(t *testing.T) {
	h := newHost(t)
	donor := h.ok("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sh", "-c", "echo shared >/dev/shm/f; sleep 1000")
	h.eventually("the donor has written", func() bool { return h.try("exec", "donor", "cat", "/dev/shm/f").out == "shared\n" })
	h.ok("run", "-d", "--name", "guest", "--pid", "container:donor", "--ipc", "container:donor", "busybox", "sleep", "999")
	if got := h.inspect("guest", "{{.HostConfig.PidMode}} {{.HostConfig.IpcMode}}"); got != "container:"+donor+" container:"+donor {
		t.Errorf("modes: %s", got)
	}
	if got := h.ok("exec", "guest", "cat", "/dev/shm/f"); got != "shared" {
		t.Errorf("shared memory: %q", got)
	}
	if got := h.ok("exec", "guest", "ps"); !strings.Contains(got, "sleep 1000") || !strings.Contains(got, "sleep 999") {
		t.Errorf("processes: %s", got)
	}
	// The guest passes on what it has joined.
	equal(t, "by way of the guest", h.ok("run", "--rm", "--ipc", "container:guest", "--read-only", "-u", "1000", "busybox", "sh", "-c", "cat /dev/shm/f; echo mine >/dev/shm/mine"), "shared")
	equal(t, "the donor's /dev/shm", h.ok("exec", "donor", "cat", "/dev/shm/mine"), "mine")
	h.ok("kill", "donor")
	if got := h.ok("wait", "guest"); got != "137" {
		t.Errorf("guest exits with %s", got)
	}
	h.fails(1, []string{"container " + donor + " is not running"}, "start", "guest")
}

// A guest whose restart policy holds waits while its donor waits for its own next life.
func TestJoinRestart(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "donor", "--restart", "always", "busybox", "sh", "-c",
		`echo >> /lives; n=$(wc -l < /lives); [ $n = 1 ] || [ $n = 5 ] || exit 1; exec sleep 1000`)
	h.ok("run", "-d", "--name", "guest", "--restart", "always", "--pid", "container:donor", "busybox", "sleep", "1000")
	killProcess(h, "donor")
	h.hasLife("donor", "running 4 0")
	h.eventually("the guest lives again", func() bool { return h.inspect("guest", "{{.State.Status}}") == "running" })
	equal(t, "both", h.ok("ps", "--filter", "status=running", "--format", "{{.Names}}"), "guest\ndonor")
	h.ok("rm", "-f", "guest")
}

func TestJoinErrors(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "private", "busybox", "sleep", "1000")
	h.ok("create", "--name", "dead", "--ipc", "shareable", "busybox", "true")
	for words, args := range map[string][]string{
		"No such container: nosuch":   {"--pid", "container:nosuch"},
		"non-shareable IPC":           {"--ipc", "container:private"},
		"is not running":              {"--pid", "container:dead"},
		"can't join IPC of container": {"--ipc", "container:dead"},
		"invalid IPC mode: foo":       {"--ipc", "foo"},
		"--pid: invalid PID mode":     {"--pid", "foo"},
		"--userns: invalid USER mode": {"--userns", "foo"},
		"hosts ipc namespace":         {"--ipc", "host", "--sysctl", "kernel.shm_rmid_forced=1"},
	} {
		h.fails(125, []string{words}, append(append([]string{"run", "--rm"}, args...), "busybox", "true")...)
	}
}

func TestHostNamespaces(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ flag, name string }{{"--pid", "pid"}, {"--ipc", "ipc"}, {"--uts", "uts"}, {"--cgroupns", "cgroup"}} {
		ours, _ := os.Readlink("/proc/self/ns/" + c.name)
		if got := h.ok("run", "--rm", c.flag, "host", "busybox", "readlink", "/proc/self/ns/"+c.name); got != ours {
			t.Errorf("%s host: %s, want %s", c.flag, got, ours)
		}
	}
	// Nobody's end but the cgroup's takes the second process along.
	h.ok("run", "--pid", "host", "--name", "left", "busybox", "sh", "-c", "sleep 1000 & true")
}

// TestHostCgroupNamespace: what a cgroup2 mount from the host's cgroup namespace says of
// nsdelegate and the like would hold for the host's own mount.
func TestHostCgroupNamespace(t *testing.T) {
	h := newHost(t)
	options := func() (list []string) {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			if _, fs, _ := strings.Cut(line, " - "); strings.HasPrefix(fs, "cgroup2 ") {
				list = append(list, fs)
			}
		}
		return list
	}
	before := options()
	for _, mode := range [][]string{{"--userns", "host"}, {"--privileged"}, {}} {
		h.ok(append(append([]string{"run", "--rm", "--cgroupns", "host"}, mode...), "busybox", "ls", "/sys/fs/cgroup")...)
		if diff := cmp.Diff(before, options()); diff != "" {
			t.Errorf("%v changed the host's cgroup2 mounts: %s", mode, diff)
		}
	}
}

func TestCgroupParent(t *testing.T) {
	h := newHost(t)
	parent := h.instance + "/parent" // among the containers' own groups
	t.Cleanup(func() {               // it stays, as Docker's does; runs before the harness looks
		h.ok("rm", "-f", "child")
		left, _ := filepath.Glob("/sys/fs/cgroup/*/" + parent)
		v2, _ := filepath.Glob("/sys/fs/cgroup/" + parent)
		for _, dir := range append(left, v2...) {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	id := h.ok("run", "-d", "--name", "child", "--cgroup-parent", parent, "busybox", "sleep", "1000")
	groups, err := os.ReadFile("/proc/" + h.pid(id) + "/cgroup")
	if err != nil || !strings.Contains(string(groups), "/"+parent+"/"+id) {
		t.Errorf("cgroup: %v\n%s", err, groups)
	}
	h.ok("system", "check", "--repair") // does not take the parent for a leak, nor the child's life
	equal(t, "after the check", h.inspect("child", "{{.State.Status}}"), "running")
}
