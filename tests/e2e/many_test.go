package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Many containers at once: nothing that starts, lists or removes one costs more
// because there are others.
func TestMany(t *testing.T) {
	h := newHost(t)
	count := 200
	if testing.Short() {
		count = 60
	}
	var ids []string
	var took []time.Duration
	for range count {
		began := time.Now()
		ids = append(ids, h.ok("run", "-d", "busybox", "sleep", "100000"))
		took = append(took, time.Since(began))
	}
	// The fastest of some, as other tests run meanwhile; the margin is wide.
	first, last := slices.Min(took[:20]), slices.Min(took[count-20:])
	t.Logf("start: the first %v, the last %v", first, last)
	if last > 3*first {
		t.Errorf("the first start took %v, the last %v", first, last)
	}
	equal(t, "ps", strconv.Itoa(len(strings.Fields(h.ok("ps", "-q")))), strconv.Itoa(count))
	equal(t, "info", h.ok("info", "--format", "{{.ContainersRunning}}"), strconv.Itoa(count))
	for _, id := range []string{ids[0], ids[count/2], ids[count-1]} {
		equal(t, "exec", h.ok("exec", id, "hostname"), id[:12])
	}
	h.monitorMemory(count)
	equal(t, "rm", h.ok(append([]string{"rm", "-f"}, ids...)...), strings.Join(ids, "\n"))
	equal(t, "left", h.ok("ps", "-aq"), "")
	h.eventually("no monitor is left", func() bool { return len(h.groups()) == 0 || len(h.groups()["monitors"]) == 0 })
}

// monitorMemory looks at what the monitors need: the design says 3 MB, twice that
// fails.
func (h *host) monitorMemory(count int) {
	h.t.Helper()
	pids := h.groups()["monitors"]
	if len(pids) != count {
		h.t.Errorf("%d monitors for %d containers", len(pids), count)
	}
	kilobytes := 0
	for _, pid := range pids {
		for line := range strings.Lines(read(h.t, fmt.Sprintf("/proc/%d/smaps_rollup", pid))) {
			if f := strings.Fields(line); strings.HasPrefix(f[0], "Private_") {
				n, _ := strconv.Atoi(f[1])
				kilobytes += n
			}
		}
	}
	mean := float64(kilobytes) * 1024 / 1e6 / float64(max(1, len(pids)))
	h.t.Logf("private memory of a monitor: %.2f MB, mean of %d", mean, len(pids))
	if mean == 0 || mean > 6 {
		h.t.Errorf("private memory of a monitor: %.2f MB", mean)
	}
}
