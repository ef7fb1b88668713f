package incident

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mends repairs each incident as its solution says: a shell script, in which $pid is
// the container's process 1, $dir its directory, $group its cgroup in the tree that
// lists processes, and tree CONTROLLER gives it in another.
var mends = map[string]string{
	"no-reaper":          `kill -9 $pid`,
	"term-ignored":       `kill -9 $pid`,
	"stopped":            `kill -CONT $pid`,
	"host-network":       `kill $pid`,
	"shared-propagation": `umount $dir/shared/data`,
	"dev-null-file":      `cd /proc/$pid/root/dev && rm null && mknod -m 666 null c 1 3`,
	"host-proc":          `nsenter -t $pid -m -p mount -t proc proc $dir/root/proc`,
	"read-only-mount":    `nsenter -t $pid -m mount -o remount,rw,bind $dir/root`,
	"memory-limit": `g=$(tree memory); if [ -e $g/memory.max ]; then echo 64M >$g/memory.max
		else echo 64M >$g/memory.memsw.limit_in_bytes; echo 64M >$g/memory.limit_in_bytes; fi`,
	"cpu-quota":   `g=$(tree cpu); if [ -e $g/cpu.max ]; then echo max >$g/cpu.max; else echo -1 >$g/cpu.cfs_quota_us; fi`,
	"pids-limit":  `echo 20 >$(tree pids)/pids.max`,
	"frozen":      `echo 0 >$group/cgroup.freeze`,
	"joined-late": `echo $(cat $dir/worker.pid) >$(tree memory)/cgroup.procs`,
}

// TestIncidents starts each incident, sees that it is broken, repairs it, sees that
// it is repaired, and that nothing is left of it.
func TestIncidents(t *testing.T) {
	if os.Getenv("MYDOCKER_DISPOSABLE") != "1" {
		t.Skip("it starts containers: set MYDOCKER_DISPOSABLE=1 on a machine that may break")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root")
	}
	// Where all mounts are shared, as systemd makes them: what an incident mounts must not reach the host.
	if os.Getenv("LABS_SHARED") == "" {
		again := exec.Command("unshare", "--mount", "--propagation", "shared", os.Args[0], "-test.run", "^TestIncidents$", "-test.v")
		again.Env = append(os.Environ(), "LABS_SHARED=1")
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for _, lab := range []int{1, 2, 3} {
		for _, want := range Of(lab) {
			t.Run(want.Cause, func(t *testing.T) {
				seed, mounts := seedOf(t, lab, want.Cause), hostMounts(t)
				chosen, c, err := Start(lab, seed)
				if err != nil {
					t.Fatal(err)
				}
				defer End(lab, seed)
				if _, _, err := Find(lab, seed); err != nil {
					t.Errorf("Find: %v", err)
				}
				if diff := cmp.Diff(mounts, hostMounts(t)); (diff != "") != (want.Cause == "shared-propagation") {
					t.Errorf("the host's mounts: %s", diff)
				}
				long := patience
				patience = time.Second
				if err := chosen.Repaired(c); err == nil {
					t.Error("it is not broken")
				}
				patience = long
				for _, line := range append(chosen.Symptom(c), chosen.Solution(c)...) {
					t.Log(line)
				}
				script := fmt.Sprintf("pid=%d dir=%s group=%s\ntree() {\ncase $1 in\n", c.Pid, c.Dir, c.group.Paths()[""])
				for controllers, dir := range c.group.Paths() {
					for name := range strings.SplitSeq(controllers, ",") {
						if name != "" {
							script += fmt.Sprintf("%s) echo %s ;;\n", name, dir)
						}
					}
				}
				script += "*) echo $group ;;\nesac\n}\n"
				if out, err := exec.Command("sh", "-c", script+mends[want.Cause]).CombinedOutput(); err != nil {
					t.Fatalf("mend: %v\n%s", err, out)
				}
				if diff := cmp.Diff(mounts, hostMounts(t)); diff != "" && want.Cause != "shared-propagation" {
					t.Errorf("the host's mounts, after its solution: %s", diff)
				}
				err = poll("repaired", func() error { return chosen.Repaired(c) })
				if err != nil {
					log, _ := os.ReadFile(filepath.Join(c.Dir, "log"))
					t.Errorf("after its solution: %v\n%s", err, log)
				}
				if err := End(lab, seed); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(mounts, hostMounts(t)); diff != "" {
					t.Errorf("the host's mounts, at the end: %s", diff)
				}
				if left := processes(c.Name); len(left) > 0 {
					t.Errorf("processes left: %v", left)
				}
				for _, dir := range c.group.Paths() {
					if _, err := os.Stat(dir); err == nil {
						t.Errorf("cgroup left: %s", dir)
					}
				}
				if _, err := os.Stat(c.Dir); err == nil {
					t.Errorf("directory left: %s", c.Dir)
				}
				if _, _, err := Find(lab, seed); !errors.Is(err, ErrNone) {
					t.Errorf("Find after End: %v", err)
				}
			})
		}
	}
}

// hostMounts are where something is mounted on what plays the host.
func hostMounts(t *testing.T) (points []string) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		points = append(points, strings.Fields(line)[4])
	}
	return points
}

// seedOf finds a seed that leads to a cause; every cause must have one.
func seedOf(t *testing.T, lab int, cause string) string {
	t.Helper()
	for i := range 1000 {
		seed := fmt.Sprintf("test-%d-%d", os.Getpid(), i)
		if chosen, _, err := choose(lab, seed); err != nil {
			t.Fatal(err)
		} else if chosen.Cause == cause {
			return seed
		}
	}
	t.Fatalf("no seed leads to %s", cause)
	return ""
}

func TestCauses(t *testing.T) {
	for _, lab := range []int{1, 2, 3} {
		causes := Causes(lab)
		if len(causes) != len(Of(lab))+len(decoys[lab]) {
			t.Errorf("lab %d: a decoy is the cause of a case", lab)
		}
		for _, c := range Of(lab) {
			if mends[c.Cause] == "" {
				t.Errorf("%s has no repair in this test", c.Cause)
			}
		}
	}
	if len(Of(0)) > 0 || len(Of(4)) > 0 {
		t.Error("incidents of labs that have none")
	}
}
