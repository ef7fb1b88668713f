package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The host of this test can run containers, so doctor says yes.
func TestDoctor(t *testing.T) {
	h := newHost(t)
	out := h.ok("doctor")
	for _, word := range []string{"kernel", "overlayfs", "cgroups", "mount namespace", "pid namespace", "network namespace", "ipc namespace", "uts namespace",
		"cgroup namespace", "user namespace", "nftables", "id-mapped", "seccomp", "privileges", "disk"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(word)) {
			t.Errorf("doctor does not speak of %s:\n%s", word, out)
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if release := unix.ByteSliceToString(name.Release[:]); !strings.Contains(out, release) {
		t.Errorf("doctor does not name the kernel %s:\n%s", release, out)
	}
	version := "1"
	if pureV2(t) {
		version = "2"
	}
	if !regexp.MustCompile(`(?i)cgroups?.*(v|version )` + version).MatchString(out) {
		t.Errorf("doctor does not say that cgroup is version %s:\n%s", version, out)
	}
	// It makes nothing that is left: cleanUp checks, and the containers still work.
	h.ok("run", "--rm", "busybox", "true")
}

// Where containers cannot be, doctor fails, and each "no" names what to do.
func TestDoctorSaysNo(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ shell, word string }{
		{"umount -R -l /sys/fs/cgroup; exec", "cgroups"},
		{"mount -t ramfs x " + filepath.Dir(h.root) + "; exec", "extended attributes"},
		{"exec setpriv --bounding-set -sys_admin", "CAP_SYS_ADMIN"},
	} {
		cmd := h.command("doctor")
		cmd.Args = []string{"unshare", "-m", "sh", "-c", c.shell + ` "$0" doctor`, binary}
		path, err := exec.LookPath("unshare")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = path
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: want exit 1, got %v", c.shell, err)
		}
		found := false
		for line := range strings.Lines(string(out)) {
			found = found || strings.HasPrefix(line, c.word) && strings.Contains(line, " no ")
		}
		if !found || !strings.Contains(string(out), "fix:") {
			t.Errorf("%s: no line with \"no\" and %q, or no fix:\n%s", c.shell, c.word, out)
		}
	}
}

func TestVersion(t *testing.T) {
	h := newHost(t)
	out := h.ok("version")
	for _, word := range []string{"Version:", "Go version:", "OS/Arch:", runtime.GOARCH} {
		if !strings.Contains(out, word) {
			t.Errorf("version has no %q:\n%s", word, out)
		}
	}
	version := h.ok("version", "--format", "{{.Client.Version}}")
	if !regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(version) {
		t.Errorf("version %q", version)
	}
	if out := h.ok("--version"); !strings.Contains(strings.ToLower(out), "mydocker version "+version) {
		t.Errorf("--version: %q", out)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(h.ok("version", "--format", "json")), &v); err != nil {
		t.Errorf("version --format json: %v", err)
	}
}

func TestInfo(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "busybox", "sleep", "1000")
	h.ok("run", "busybox", "true")
	h.ok("create", "busybox", "true")
	cgroup := "1"
	if pureV2(t) {
		cgroup = "2"
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	for field, want := range map[string]string{
		"{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}} {{.Images}}": "3 1 0 2 1",
		"{{.Driver}} {{.CgroupDriver}} {{.CgroupVersion}}":                                                "overlay2 cgroupfs " + cgroup,
		"{{.LoggingDriver}} {{.OSType}}":                                                                  "json-file linux",
		"{{.KernelVersion}}":                                                                              unix.ByteSliceToString(name.Release[:]),
		"{{.NCPU}}":                                                                                       fmt.Sprint(runtime.NumCPU()),
		"{{.Name}}":                                                                                       host,
		"{{.DockerRootDir}}":                                                                              h.root,
	} {
		equal(t, field, h.ok("info", "--format", field), want)
	}
	var memory, want uint64
	fmt.Sscan(h.ok("info", "--format", "{{.MemTotal}}"), &memory)
	for line := range strings.Lines(read(t, "/proc/meminfo")) {
		fmt.Sscanf(line, "MemTotal: %d kB", &want)
	}
	if memory != want*1024 {
		t.Errorf("MemTotal %d, want %d", memory, want*1024)
	}
	out := h.ok("info")
	for _, word := range []string{"Containers: 3", " Running: 1", " Stopped: 2", "Images: 1", "Storage Driver: overlay2", "Cgroup Version: " + cgroup, "Kernel Version: ", "CPUs: "} {
		if !strings.Contains(out, word) {
			t.Errorf("info has no %q:\n%s", word, out)
		}
	}
}
