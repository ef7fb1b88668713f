package main

import (
	"os"
	"os/exec"
	"testing"

	"minidocker/labs/check"
)

// TestDocker: Docker passes every check, but those that the lab lists with the reason.
func TestDocker(t *testing.T) {
	needsDisposable(t)
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		t.Skipf("no Docker to compare with: docker version: %v: %s", err, out)
	}
	for _, lab := range labs {
		t.Run(lab.Name, func(t *testing.T) {
			want := map[string]check.Verdict{}
			for name, reason := range lab.Docker {
				want[name] = check.Failed // one that passes is to be taken off the list
				t.Logf("%s: %s", name, reason)
			}
			results := run(t, lab, adapter(t, "docker"), "docker", patient)
			for name := range want {
				if results[name].Verdict == check.Blocked {
					want[name] = check.Blocked
				}
			}
			compare(t, lab, results, want)
		})
	}
}

// TestAdapterUsage: what the adapter itself refuses is an error of the engine.
func TestAdapterUsage(t *testing.T) {
	for _, words := range [][]string{{}, {"other"}, {"docker"}, {"docker", "run", "--rootfs", "/no/such/directory", "true"}} {
		cmd := exec.Command("./adapter.sh", words...)
		cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin:/usr/local/bin")
		out, err := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); err == nil || status != 125 {
			t.Errorf("adapter.sh %q: status %d, %s", words, status, out)
		}
	}
}
