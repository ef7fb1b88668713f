package engine

import (
	"minidocker/mydocker/namespace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		findings = e.Doctor()
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

// TestDoctorFinds: what is missing is found, and nothing panics over it.
func TestDoctorFinds(t *testing.T) {
	t.Parallel()
	find := func(d *doctor, name string) *Finding {
		for _, f := range d.findings {
			if f.Name == name {
				return &f
			}
		}
		return &Finding{OK: true}
	}
	check := func(f *Finding, detail, fix string) {
		t.Helper()
		if f.OK || !strings.Contains(f.Detail, detail) || !strings.Contains(f.Fix, fix) {
			t.Errorf("%+v, want %q, %q", *f, detail, fix)
		}
	}
	d := &doctor{root: "/proc/1"}
	d.storage()
	check(find(d, "disk"), "/proc/1", "--root")

	d = &doctor{root: "/dev/shm"}
	err := namespace.OnThread(func() error { // an overlay on an overlay
		for _, step := range []error{
			unix.Unshare(unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""),
			unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""),
			os.MkdirAll("/mnt/l", 0o755), os.MkdirAll("/mnt/u", 0o755), os.MkdirAll("/mnt/w", 0o755), os.MkdirAll("/mnt/m", 0o755),
			unix.Mount("overlay", "/mnt/m", "overlay", 0, "lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w"),
		} {
			if step != nil {
				return step
			}
		}
		if _, err := probeAttributes("/mnt/m"); err != nil {
			return err
		}
		_, err := probeIDMap("/mnt/m")
		d.add(Finding{Name: "id-mapped mounts", OK: err == nil, Detail: err.Error()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(find(d, "id-mapped mounts"), "overlayfs", "")

	// A thread without capabilities stands for a container around us.
	d = &doctor{root: t.TempDir(), instance: "unit-none"}
	err = namespace.OnThread(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		d.privileges()
		d.namespaces()
		d.try("mount API", true, probeMountAPI, d.explain)
		d.cgroups()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(find(d, "CAP_SYS_ADMIN"), "nothing can be mounted", "--cap-add SYS_ADMIN")
	check(find(d, "CAP_NET_RAW"), "by default", "--cap-add NET_RAW")
	check(find(d, "pid namespace"), "CLONE_NEWPID", "as root")
	check(find(d, "mount API"), "open_tree", "as root")
	if !find(d, "user namespace").OK {
		t.Log("user namespaces need privileges here")
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"5.15.0-91-generic": true, "6.1.0-18-amd64": true, "10.0": true, "5.14.21-default": false, "4.19.0": false, "": false, "odd": false,
	} {
		if got := atLeast(release, 5, 15); got != want {
			t.Errorf("atLeast(%q) = %v", release, got)
		}
	}
}
