package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// powerOff does to an engine what a power cut does to the machine: all its
// processes are gone at once and with them its cgroups, links and firewall, the
// run directory is empty, and afterwards the boot is another one.
func powerOff(h *host) {
	h.t.Helper()
	bridge := h.bridge("bridge")
	killAll(h)
	// Deepest first, as there are groups below.
	h.eventually("the cgroups go", func() bool {
		for _, pattern := range []string{"/*", ""} {
			for _, root := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/"} {
				dirs, _ := filepath.Glob(root + h.instance + pattern)
				for _, dir := range dirs {
					unix.Rmdir(dir)
				}
			}
		}
		return len(h.cgroups()) == 0
	})
	h.tool("ip", "link", "delete", bridge).Run()
	h.script("nft delete table inet " + h.instance + " || true; " +
		`nft -a list chain ip filter DOCKER-USER 2> /dev/null | sed -n 's/.*"` + bridge + `".* # handle //p' |
		while read handle; do nft delete rule ip filter DOCKER-USER handle $handle; done`)
	if err := os.RemoveAll(h.runRoot); err != nil {
		h.t.Fatal(err)
	}
	leases, _ := filepath.Glob("/run/mydocker-host/ids/*")
	for _, lease := range leases {
		if owner, _ := os.Readlink(lease); strings.HasPrefix(owner, fmt.Sprintf("%x", sha256.Sum256([]byte(h.root)))[:12]) {
			os.Remove(lease)
		}
	}
	boot := strings.TrimSpace(read(h.t, "/proc/sys/kernel/random/boot_id"))
	states, _ := filepath.Glob(h.root + "/containers/*/state.json")
	for _, file := range states {
		h.write(file, strings.ReplaceAll(read(h.t, file), boot, "00000000-0000-0000-0000-000000000000"))
	}
}

// killAll kills every process of the engine.
func killAll(h *host) {
	h.t.Helper()
	h.eventually("all are dead", func() bool {
		left := false
		for _, pids := range h.groups() {
			for _, pid := range pids {
				left = unix.Kill(pid, unix.SIGKILL) == nil || left
			}
		}
		return !left
	})
}

func TestReboot(t *testing.T) {
	h := newHost(t)
	word := nonce()
	h.ok("create", "--name", "created", "busybox", "echo", "started")
	h.ok("create", "--rm", "--name", "created-rm", "busybox", "true")
	h.fails(3, nil, "run", "--name", "exited", "busybox", "sh", "-c", "echo before; exit 3")
	h.up(`echo one >> /file; echo up; exec sleep `+word, "--name", "running")
	h.up(`echo up; exec sleep 1000`, "--name", "running-rm", "--rm")
	h.up(patient, "--name", "stopped")
	h.ok("stop", "stopped")
	h.up(deaf, "--name", "empty")
	h.up(deaf, "--name", "zeros")
	empty, zeros, gone := h.inspect("empty", "{{.Id}}"), h.inspect("zeros", "{{.Id}}"), h.inspect("running-rm", "{{.Id}}")

	powerOff(h)
	// What a file system may make of a file that was not synced.
	h.write(h.root+"/containers/"+empty+"/state.json", "")
	h.write(h.root+"/containers/"+zeros+"/state.json", strings.Repeat("\x00", 300))

	all := map[string]string{}
	for line := range strings.Lines(h.ok("ps", "-a", "--format", "{{.Names}}\t{{.Status}}") + "\n") {
		name, status, _ := strings.Cut(strings.TrimSpace(line), "\t")
		all[name] = status
	}
	for name, want := range map[string]string{"created": "Created", "exited": "Exited (3) ", "running": "Exited (255) ", "stopped": "Exited (5) ", "empty": "Exited (255) ", "zeros": "Exited (255) "} {
		if !strings.HasPrefix(all[name], want) {
			t.Errorf("ps says of %s: %q, want %q", name, all[name], want)
		}
	}
	if status, there := all["running-rm"]; there {
		t.Errorf("ps says of running-rm: %q", status)
	}
	if onHost(h.root + "/containers/" + gone) {
		t.Error("the directory of running-rm is still there")
	}
	equal(t, "ps", h.ok("ps", "-q"), "")
	equal(t, "inspect", h.inspect("running", "{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.State.ExitCode}} {{.State.OOMKilled}}"), "exited false 0 255 false")
	equal(t, "wait", h.ok("wait", "running"), "255")
	if r := h.try("system", "check"); r.code != 0 {
		t.Error(r)
	}

	// All that is there can be used again.
	equal(t, "start of the created", h.ok("start", "-a", "created"), "started")
	equal(t, "start of the exited", h.fails(3, nil, "start", "-a", "exited").out, "before\n")
	equal(t, "log of the exited", h.ok("logs", "exited"), "before\nbefore")
	for _, name := range []string{"running", "stopped", "empty", "zeros"} {
		equal(t, "start", h.ok("start", name), name)
		equal(t, "state of "+name, h.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "running 0")
	}
	h.findProcess(word)
	equal(t, "files", h.ok("exec", "running", "cat", "/file"), "one\none")
	equal(t, "the name is free", h.ok("run", "--rm", "--name", "running-rm", "busybox", "echo", "fine"), "fine")
	equal(t, "the images", h.ok("run", "--rm", "busybox", "echo", "fine"), "fine")
}

// The next command after the reboot may be any: it tells the truth too.
func TestRebootNextCommand(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		args []string
		code int
		out  string
		err  string
	}{
		{[]string{"inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "c1"}, 0, "exited 255\n", ""},
		{[]string{"wait", "c1"}, 0, "255\n", ""},
		{[]string{"stop", "c1"}, 0, "c1\n", ""},
		{[]string{"kill", "c1"}, 1, "", "is not running"},
		{[]string{"exec", "c1", "true"}, 1, "", "is not running"},
		{[]string{"attach", "c1"}, 1, "", "cannot attach to a stopped container"},
		{[]string{"start", "c1"}, 0, "c1\n", ""},
		{[]string{"logs", "c1"}, 0, "up\n", ""},
		{[]string{"rm", "c1"}, 0, "c1\n", ""},
		{[]string{"ps", "-q"}, 0, "", ""},
		{[]string{"rmi", "busybox"}, 1, "", "must force"},
	} {
		h.up(deaf, "--name", "c1")
		powerOff(h)
		r := h.try(c.args...)
		if r.code != c.code || r.out != c.out || !strings.Contains(r.err, c.err) {
			t.Errorf("want %d, %q, %q: %s", c.code, c.out, c.err, r)
		}
		h.ok("rm", "-f", "c1")
	}
}

// Without a reboot what was killed was killed.
func TestRebootNot(t *testing.T) {
	h := newHost(t)
	h.up(deaf, "--name", "c1")
	h.up(deaf, "--name", "c2", "--rm")
	killAll(h)
	equal(t, "ps", strings.Join(strings.Fields(h.ok("ps", "-a", "--format", "{{.Names}} {{.State}}")), " "), "c1 exited")
	equal(t, "exit code", h.inspect("c1", "{{.State.ExitCode}}"), "137")
	if r := h.try("system", "check"); r.code != 0 {
		t.Error(r)
	}
	h.ok("start", "c1")
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
}

// The run directory is wiped while containers live, by a zealous clean up of
// /run: the truth is told, and there is a way out.
func TestRebootRunDirectory(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "created", "busybox", "echo", "fine")
	h.ok("run", "--name", "exited", "busybox", "sh", "-c", "echo fine")
	h.up(deaf, "--name", "running")
	pid := h.pid("running")
	if err := os.RemoveAll(h.runRoot); err != nil {
		t.Fatal(err)
	}
	equal(t, "what is not running", h.ok("start", "-a", "created")+h.ok("start", "-a", "exited"), "finefine")
	equal(t, "what runs", h.inspect("running", "{{.State.Status}} {{.State.Pid}}"), "running "+pid)
	if r := h.try("system", "check"); r.code != 1 || !strings.Contains(r.out, h.inspect("running", "{{.Id}}")) {
		t.Errorf("nobody can reach the container: %s", r)
	}
	h.try("system", "check", "--repair")
	if state := h.inspect("running", "{{.State.Status}} {{.State.ExitCode}}"); state != "exited 137" {
		t.Errorf("repaired: %s", state)
		killAll(h)
	}
	if n, err := strconv.Atoi(pid); err != nil || !alone([]int{n}) {
		t.Error("its process lives")
	}
	h.ok("start", "running")
	equal(t, "exec", h.ok("exec", "running", "echo", "fine"), "fine")
}
