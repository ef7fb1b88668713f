package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"minidocker/labs/check"
)

// TestHostile: engines that are broken in ways that no check asks for. The checker comes to
// a verdict on each check that is not its own error, in time, and the host is as before.
func TestHostile(t *testing.T) {
	needsDisposable(t)
	t.Setenv("MYDOCKER_LABS_DIR", t.TempDir())
	const container = `[ "$1" != --hostname ] || shift 2; ` // then "$@" is the command
	for name, c := range map[string]struct{ lines, check, seen string }{
		"forks without end":        {`b() { b | b & b; }; b`, "argv-vector", ""},
		"ignores all signals":      {`trap '' $(seq 1 64); while :; do sleep 1004; done`, "argv-vector", "still running"},
		"leaves its process group": {`exec perl -e 'setpgrp(0, getpgrp(getppid())); sleep 1004'`, "argv-vector", "still running"},
		"prints without end":       {`exec yes`, "argv-vector", "ended with status 153"}, // by SIGXFSZ
		"is no program":            {"", "argv-vector", "exec format error"},
		"mounts on the root":       {container + `mount -t tmpfs labs-test /; exec "$@"`, "mounts", ""},
		"unmounts all":             {container + `umount -a -l; umount -l /; exec "$@"`, "argv-vector", ""},
		"joins the real host":      {container + `exec nsenter --mount=/proc/$PPID/ns/mnt "$@"`, "mounts", "it is the host's namespace"},
		"kills its command":        {container + `"$@" & sleep 0.1; kill -9 $!; wait $!`, "hostname", ""},
		"ends before its command":  {container + `"$@" & sleep 0.1`, "leftovers", ""},
		"closes its descriptors":   {container + `exec 0<&- 1>&- 2>&- "$@"`, "hostname", ""},
		"hides what it leaves":     {container + `env -i setsid sleep 1004 & exec "$@"`, "leftovers", "sleep 1004"},
	} {
		t.Run(name, func(t *testing.T) {
			command := script(t, c.lines)
			if c.lines == "" {
				os.WriteFile(command, []byte("no program\n"), 0o755)
			}
			before, begun := mountsHere(t), time.Now()
			engine, err := check.NewEngine(command)
			if err != nil {
				t.Fatal(err)
			}
			results, err := check.Run(labs[0], engine, check.Options{Deadline: time.Second, Patience: 200 * time.Millisecond})
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				if r.Verdict == check.Broken {
					t.Errorf("%s", show(r))
				}
				if r.Check == c.check && (r.Verdict != check.Failed || !strings.Contains(r.Seen, c.seen)) {
					t.Errorf("not seen:\n%s", show(r))
				}
			}
			if after := mountsHere(t); after != before {
				t.Errorf("the host's mounts were\n%s\nand are\n%s", before, after)
			}
			if out, _ := exec.Command("pgrep", "-a", "-f", "^sleep 1004|"+command).Output(); len(out) > 0 {
				t.Errorf("still there: %s", out)
			}
			for _, pattern := range []string{os.Getenv("MYDOCKER_LABS_DIR") + "/*", "/sys/fs/cgroup/labs????????????", "/sys/fs/cgroup/*/labs????????????"} {
				if found, _ := filepath.Glob(pattern); len(found) > 0 {
					t.Errorf("left: %v", found)
				}
			}
			t.Logf("%.1f s", time.Since(begun).Seconds())
		})
	}
}

// mountsHere are the mounts of this test, those of other tests' and of Docker's containers
// left out, which come and go.
func mountsHere(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "docker") && !strings.Contains(line, "containers") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}
