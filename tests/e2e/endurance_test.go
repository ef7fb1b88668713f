package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// group reads a file of a container's cgroup, as the host sees it.
func (h *host) group(id, v1, v2 string) string {
	h.t.Helper()
	if pureV2(h.t) {
		return strings.TrimSpace(read(h.t, "/sys/fs/cgroup/"+h.instance+"/"+id+"/"+v2))
	}
	controller, file, _ := strings.Cut(v1, "/")
	return strings.TrimSpace(read(h.t, "/sys/fs/cgroup/"+controller+"/"+h.instance+"/"+id+"/"+file))
}

// unharmed looks whether a neighbour answers, another one starts, and all is told
// as it is.
func (h *host) unharmed(neighbour, offender string) {
	h.t.Helper()
	equal(h.t, "exec in the neighbour", h.ok("exec", neighbour, "cat", "/file"), "mine")
	equal(h.t, "a new neighbour", h.ok("run", "--rm", "busybox", "sh", "-c", "echo $((6*7)) > /f; sync; cat /f"), "42")
	equal(h.t, "its shared memory", h.ok("exec", neighbour, "sh", "-c", "echo a > /dev/shm/a && cat /dev/shm/a"), "a")
	equal(h.t, "the offender", h.inspect(offender, "{{.State.Status}}"), "running")
	h.ok("ps")
	h.ok("logs", "--tail", "1", offender)
}

// over ends an offender, and nothing of it is left.
func (h *host) over(offender string) {
	h.t.Helper()
	id := h.inspect(offender, "{{.Id}}")
	h.ok("stop", "-t", "0", offender)
	equal(h.t, "stopped", h.inspect(offender, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
	if pids := h.groups()[id]; len(pids) > 0 {
		h.t.Errorf("of %s there are left: %v", offender, pids)
	}
	h.ok("rm", offender)
}

func enduring(t *testing.T) (h *host, neighbour string) {
	h = newHost(t)
	return h, h.up("echo mine > /file; echo up; exec sleep 100000")
}

// A container forks as much as it can.
func TestEnduranceForks(t *testing.T) {
	h, neighbour := enduring(t)
	// The first process forks but once: a shell that cannot fork ends.
	id := h.ok("run", "-d", "--name", "bomb", "--pids-limit", "50", "--cpus", "0.5", "busybox", "sh", "-c",
		"echo 'while :; do sh /b & sh /b; done' > /b; sh /b 2>/dev/null & exec sleep 100000")
	most := 0
	refused := func() bool {
		n, _ := strconv.Atoi(h.group(id, "pids/pids.current", "pids.current"))
		most = max(most, n)
		var times int
		fmt.Sscanf(h.group(id, "pids/pids.events", "pids.events"), "max %d", &times)
		return times > 0
	}
	h.eventually("forks are refused", refused)
	for range 3 {
		h.unharmed(neighbour, "bomb")
		refused()
	}
	if most > 50 || most < 10 {
		t.Errorf("at most %d processes were seen", most)
	}
	h.over("bomb")
	h.unharmed(neighbour, neighbour)
}

// A container fills its shared memory.
func TestEnduranceShm(t *testing.T) {
	h, neighbour := enduring(t)
	id := h.up("dd if=/dev/zero of=/dev/shm/x bs=1M; echo up; exec sleep 100000", "--name", "shm", "--shm-size", "8m")
	if log := h.try("logs", "shm").err; !strings.Contains(log, "No space left on device") {
		t.Errorf("it says %q", log)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs("/proc/"+h.pid(id)+"/root/dev/shm", &stat); err != nil {
		t.Fatal(err)
	}
	if size := int64(stat.Blocks) * stat.Bsize; size != 8<<20 || stat.Bfree != 0 {
		t.Errorf("%d bytes, %d blocks free", size, stat.Bfree)
	}
	h.unharmed(neighbour, "shm")
	h.over("shm")
}

// A container writes a lot of log: 1 GB, or a tenth of that in the short run.
func TestEnduranceLog(t *testing.T) {
	h, neighbour := enduring(t)
	size := 1_000_000_000
	if testing.Short() {
		size /= 10
	}
	line := strings.Repeat("x", 999)
	id := h.ok("run", "-d", "--name", "writer", "--log-opt", "max-size=10m", "--log-opt", "max-file=2", "busybox", "sh", "-c",
		fmt.Sprintf("yes %s | head -c %d; echo written; exec sleep 100000", line, size))
	sizes := func() (files int, total int64) {
		found, _ := filepath.Glob(h.root + "/containers/" + id + "/*.log*")
		for _, name := range found {
			if info, err := os.Stat(name); err == nil { // it may be rotated away
				files, total = files+1, total+info.Size()
			}
		}
		return files, total
	}
	deadline := time.Now().Add(2 * time.Minute)
	for rounds := 0; !strings.Contains(h.ok("logs", "--tail", "1", "writer"), "written"); rounds++ {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to its end")
		}
		h.unharmed(neighbour, "writer")
		if files, total := sizes(); files > 2 || total > 21<<20 {
			t.Errorf("%d files of log, %d bytes", files, total)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if files, total := sizes(); files != 2 || total < 10<<20 || total > 21<<20 {
		t.Errorf("at the end: %d files of log, %d bytes", files, total)
	}
	equal(t, "the end of the log", h.ok("logs", "--tail", "2", "writer"), line+"\nwritten")
	h.over("writer")
}

// A container computes on all processors.
func TestEnduranceCPU(t *testing.T) {
	h, neighbour := enduring(t)
	id := h.ok("run", "-d", "--name", "spin", "--cpus", "0.5", "busybox", "sh", "-c", "for i in 1 2 3 4; do while :; do :; done & done; wait")
	used := func() time.Duration {
		if !pureV2(t) {
			nanos, _ := strconv.ParseInt(h.group(id, "cpuacct/cpuacct.usage", ""), 10, 64)
			return time.Duration(nanos)
		}
		var micros int64
		fmt.Sscanf(h.group(id, "", "cpu.stat"), "usage_usec %d", &micros)
		return time.Duration(micros) * time.Microsecond
	}
	began, before := time.Now(), used()
	for time.Since(began) < 2*time.Second {
		h.unharmed(neighbour, "spin")
	}
	share := float64(used()-before) / float64(time.Since(began))
	t.Logf("it had %.2f processors", share)
	if share > 0.65 {
		t.Errorf("it had %.2f processors, of 0.5", share)
	}
	// Beside others it may get less without any limit: the kernel says whether it was held back.
	if stat := h.group(id, "cpu/cpu.stat", "cpu.stat"); !strings.Contains(stat, "nr_throttled ") || strings.Contains(stat, "nr_throttled 0\n") {
		t.Errorf("it was never throttled: %s", stat)
	}
	h.over("spin")
}
