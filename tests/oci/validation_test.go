package oci

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

// TestValidation runs the validation programs of opencontainers/runtime-tools,
// which `make test-oci` builds into a directory that MYDOCKER_OCI_VALIDATION names.
func TestValidation(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MYDOCKER_OCI_VALIDATION")
	if dir == "" {
		t.Skip("MYDOCKER_OCI_VALIDATION is not set: make test-oci")
	}
	programs, err := os.ReadDir(dir + "/bin")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "programs", len(programs), 58)
	// They look for both in the working directory.
	place := t.TempDir()
	for name, from := range map[string]string{"rootfs-" + goruntime.GOARCH + ".tar.gz": busybox, "runtimetest": dir + "/runtimetest"} {
		text, err := os.ReadFile(from)
		if err = errors.Join(err, os.WriteFile(place+"/"+name, text, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // what the programs that fail have left
		b := box{t: t, rt: tested, root: place + "/containers", dir: place}
		for _, id := range strings.Fields(b.try("list", "-q").out) {
			b.try("delete", "--force", id)
		}
	})
	for _, p := range programs {
		t.Run(p.Name(), func(t *testing.T) {
			if !strings.HasPrefix(p.Name(), "linux_cgroups") { // which have one cgroup among them
				t.Parallel()
			}
			var out string
			passed := false
			for try := 0; try < 3 && !passed; try++ { // some race with what they have started
				var err error
				out, err = validate(filepath.Join(dir, "bin", p.Name()), place)
				passed = err == nil && !notOK(out)
			}
			why, fails := failing[p.Name()]
			switch {
			case passed && fails:
				t.Logf("passes, though: %s", why)
			case !passed && !fails:
				t.Errorf("%s", out)
			case !passed:
				t.Skipf("fails with runc and crun too: %s", why)
			}
		})
	}
}

// failing are the programs that pass with neither runc 1.1 nor crun 1.8 on a
// hybrid host without CAP_SYS_RESOURCE. Those that have no test in their output
// (hooks, poststart, prestart and the like) say what happened and cannot fail.
var failing = map[string]string{
	"delete":                         "wants an error when a created container is deleted",
	"linux_cgroups_blkio":            "wants blkio.leaf_weight, which kernels have no more",
	"linux_cgroups_relative_blkio":   "the same",
	"linux_cgroups_hugetlb":          "wants a hierarchy of version 1",
	"linux_cgroups_relative_hugetlb": "the same",
	"linux_cgroups_network":          "wants hierarchies net_cls and net_prio",
	"linux_cgroups_relative_network": "the same",
	"linux_cgroups_memory":           "wants memory.kmem.limit_in_bytes, which kernels ignore",
	"linux_cgroups_relative_memory":  "the same",
	"linux_process_apparmor_profile": "wants AppArmor",
	"misc_props":                     "wants a program in a root file system that it does not put there",
	"pidfile":                        "kills a process that has ended",
	"process_capabilities_fail":      "wants an error for an unknown capability, where the specification wants a warning since 1.1",
	"process_rlimits":                "its own Go runtime has raised a limit",
	"start":                          "wants a container without process to be created",
}

// notOK tells whether a test of a program has failed, but for want of a
// capability that this process itself does not have.
func notOK(out string) bool {
	for line := range strings.Lines(strings.ReplaceAll(out, `\n`, "\n")) { // a program's output may be quoted in another's
		if strings.HasPrefix(line, "not ok") && !strings.Contains(line, "capability CAP_SYS_RESOURCE set") && !strings.Contains(line, "check root propagation") {
			return true
		}
	}
	return false
}

// validate runs a program, with mounts of its own: some containers are without,
// and those mounts nobody would remove.
func validate(program, place string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := place + "/" + filepath.Base(program)
	script := "#!/bin/sh\n"
	if filepath.Base(program) == "hooks_stdin" {
		// It compares a PID of hooks with what `state` says after `start` of a process that ends at once: one that ends later is meant.
		script += "[ \"$1\" != create ] || sed -i 's/\"true\"/\"sleep\",\"1\"/' \"$3/config.json\"\n"
	}
	script += "exec " + strings.Join(tested.argv, " ") + " --root " + place + "/containers \"$@\"\n"
	if err := os.WriteFile(command, []byte(script), 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--mount", program)
	cmd.Dir, cmd.Env = place, append(os.Environ(), "RUNTIME="+command, "TMPDIR="+place)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
