package engine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"minidocker/mydocker/namespace"

	"golang.org/x/sys/unix"
)

// TestDoctor: this host can run containers, or the other tests could not pass.
func TestDoctor(t *testing.T) {
	e := newEngine(t)
	before, _ := filepath.Glob(e.config.Root + "/*")
	var findings []Finding
	fastest := time.Hour // the first may load modules
	for range 3 {
		begin := time.Now()
		findings = Diagnose(e.config)
		fastest = min(fastest, time.Since(begin))
	}
	if fastest > 300*time.Millisecond {
		t.Errorf("doctor took %v", fastest)
	}
	for _, f := range findings {
		t.Logf("%+v", f)
		if f.Fatal && !f.OK {
			t.Errorf("%+v", f)
		}
		if !f.OK && (f.Detail == "" || f.Fix == "") {
			t.Errorf("no explanation: %+v", f)
		}
	}
	if after, _ := filepath.Glob(e.config.Root + "/*"); len(after) != len(before) {
		t.Errorf("doctor left %v", after)
	}
	mounts, _ := os.ReadFile("/proc/thread-self/mountinfo")
	if strings.Contains(string(mounts), doctorPrefix) {
		t.Error("doctor left a mount")
	}
}

// TestDoctorFinds: what is missing is found. A process without capabilities stands
// for a container around us.
func TestDoctorFinds(t *testing.T) {
	if root := os.Getenv("TEST_DOCTOR"); root != "" {
		json.NewEncoder(os.Stdout).Encode(Diagnose(Config{Root: root}))
		os.Exit(0)
	}
	t.Parallel()
	root := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestDoctorFinds$")
	cmd.Env = append(os.Environ(), "TEST_DOCTOR="+root)
	var out []byte
	err := namespace.OnThread(func() (err error) {
		for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
				return err
			}
		}
		out, err = cmd.Output() // forks from this thread
		return err
	})
	var found []Finding
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []Finding{
		{"CAP_SYS_ADMIN", false, true, "nothing can be mounted", "--cap-add CAP_SYS_ADMIN"},
		{"CAP_NET_RAW", false, false, "by default", "--cap-add CAP_NET_RAW"},
		{"pid namespace", false, true, "CLONE_NEWPID", "as root"},
		{"cgroup namespace", false, true, "CLONE_NEWCGROUP", "as root"},
		{"user namespace", false, false, "make user namespace", "as root"},
		{"extended attributes", false, true, "trusted.mydocker", "as root"},
		{"overlayfs", false, true, "unshare", "as root"},
		{"id-mapped mounts", false, false, "", "as root"},
		{"seccomp", true, true, "filters work", ""},
		{"disk", true, false, root, ""},
	} {
		i := slices.IndexFunc(found, func(f Finding) bool { return f.Name == want.Name })
		if i < 0 || found[i].OK != want.OK || found[i].Fatal != want.Fatal ||
			!strings.Contains(found[i].Detail, want.Detail) || !strings.Contains(found[i].Fix, want.Fix) {
			t.Errorf("want %+v, found\n%s", want, out)
		}
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("doctor left %v", left)
	}
}

func TestDoctorOfStorage(t *testing.T) {
	t.Parallel()
	var d doctor
	d.storage("/proc/1")
	if len(d.findings) != 1 || d.findings[0].OK || !d.findings[0].Fatal || !strings.Contains(d.findings[0].Fix, "--root") {
		t.Errorf("a root that cannot be written: %+v", d.findings)
	}
	ramfs := t.TempDir()
	if err := unix.Mount("ramfs", ramfs, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(ramfs, unix.MNT_DETACH)
	d = doctor{}
	d.storage(ramfs)
	for _, f := range d.findings {
		if (f.Name == "extended attributes" || f.Name == "id-mapped mounts") && f.OK {
			t.Errorf("ramfs: %+v", f)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"5.15.0-91-generic": true, "6.1.0-18-amd64": true, "10.0": true, "5.14.21-default": false, "4.19.0": false, "": false, "odd": false,
	} {
		if err := atLeast(release, 5, 15); (err == nil) != want {
			t.Errorf("atLeast(%q) = %v", release, err)
		}
	}
}
