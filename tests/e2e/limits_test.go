package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// hog allocates and touches the given amount at once, as one process.
func hog(size string) []string {
	return []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=" + size, "count=1"}
}

func TestLimitMemory(t *testing.T) {
	h := newHost(t)
	r := h.try(append([]string{"run", "--name", "oom", "-m", "16m", "busybox"}, hog("64M")...)...)
	if r.code != 137 {
		t.Errorf("want exit 137: %s", r)
	}
	equal(t, "state", h.inspect("oom", "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}"), "true 137 exited")
	h.eventually("event oom", func() bool {
		return h.ok("events", "--since", "1h", "--until", "0s", "--filter", "container=oom", "--filter", "event=oom", "--format", "{{.Action}}") == "oom"
	})
	// Within the limit it may.
	h.ok(append([]string{"run", "--rm", "-m", "96m", "busybox"}, hog("32M")...)...)
	// One process of many dies; the container lives, and is marked.
	r = h.try("run", "--name", "part", "-m", "16m", "busybox", "sh", "-c", strings.Join(hog("64M"), " ")+"; echo rc $?")
	if r.code != 0 || !strings.Contains(r.out, "rc 137") {
		t.Errorf("the shell outlives its child: %s", r)
	}
	equal(t, "state", h.inspect("part", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 0")
	// What exec starts is limited too, and a new start begins without the mark.
	id := h.ok("run", "-d", "-m", "16m", "busybox", "sleep", "1000")
	if r := h.try(append([]string{"exec", id}, hog("64M")...)...); r.code != 137 {
		t.Errorf("exec: want exit 137: %s", r)
	}
	equal(t, "the container survives", h.inspect(id, "{{.State.Running}}"), "true")
	h.ok("stop", "-t", "0", id)
	equal(t, "marked", h.inspect(id, "{{.State.OOMKilled}}"), "true")
	h.ok("start", id)
	equal(t, "after start", h.inspect(id, "{{.State.OOMKilled}} {{.State.ExitCode}}"), "false 0")
	// A plain kill is no OOM kill.
	h.ok("kill", id)
	h.eventually("end", func() bool { return h.inspect(id, "{{.State.Running}}") == "false" })
	equal(t, "killed", h.inspect(id, "{{.State.OOMKilled}} {{.State.ExitCode}}"), "false 137")
}

// cgroupFile is a cgroup file as the container sees it.
func (h *host) cgroupFile(v1, v2 string) string {
	h.t.Helper()
	if pureV2(h.t) {
		return "/sys/fs/cgroup/" + v2
	}
	return "/sys/fs/cgroup/" + v1
}

func TestLimitValues(t *testing.T) {
	h := newHost(t)
	v2 := pureV2(t)
	for _, c := range []struct {
		flags          []string
		v1, v1Want     string
		file2, v2Want  string
		skipV1, skipV2 bool
	}{
		{flags: []string{"-m", "64m"}, v1: "memory/memory.limit_in_bytes", v1Want: "67108864", file2: "memory.max", v2Want: "67108864"},
		{flags: []string{"-m", "64m"}, v1: "memory/memory.memsw.limit_in_bytes", v1Want: "134217728", file2: "memory.swap.max", v2Want: "67108864"},
		{flags: []string{"-m", "64m", "--memory-swap", "100m"}, v1: "memory/memory.memsw.limit_in_bytes", v1Want: "104857600", file2: "memory.swap.max", v2Want: "37748736"},
		{flags: []string{"-m", "64m", "--memory-swap", "64m"}, v1: "memory/memory.memsw.limit_in_bytes", v1Want: "67108864", file2: "memory.swap.max", v2Want: "0"},
		{flags: []string{"-m", "64m", "--memory-swap", "-1"}, v1: "memory/memory.memsw.limit_in_bytes", v1Want: "9223372036854771712", file2: "memory.swap.max", v2Want: "max"},
		{flags: nil, v1: "memory/memory.limit_in_bytes", v1Want: "9223372036854771712", file2: "memory.max", v2Want: "max"},
		{flags: []string{"--cpus", "0.5"}, v1: "cpu/cpu.cfs_quota_us", v1Want: "50000", file2: "cpu.max", v2Want: "50000 100000"},
		{flags: []string{"--cpus", "0.5"}, v1: "cpu/cpu.cfs_period_us", v1Want: "100000", skipV2: true},
		{flags: nil, v1: "cpu/cpu.cfs_quota_us", v1Want: "-1", file2: "cpu.max", v2Want: "max 100000"},
		// 1 + (shares-2)*9999/262142, as runc converts.
		{flags: []string{"--cpu-shares", "512"}, v1: "cpu/cpu.shares", v1Want: "512", file2: "cpu.weight", v2Want: "20"},
		{flags: nil, v1: "cpu/cpu.shares", v1Want: "1024", file2: "cpu.weight", v2Want: "100"},
		{flags: []string{"--cpuset-cpus", "0"}, v1: "cpuset/cpuset.cpus", v1Want: "0", file2: "cpuset.cpus", v2Want: "0"},
		{flags: []string{"--pids-limit", "20"}, v1: "pids/pids.max", v1Want: "20", file2: "pids.max", v2Want: "20"},
		{flags: []string{"--pids-limit", "-1"}, v1: "pids/pids.max", v1Want: "max", file2: "pids.max", v2Want: "max"},
		{flags: nil, v1: "pids/pids.max", v1Want: "max", file2: "pids.max", v2Want: "max"},
	} {
		path, want := "/sys/fs/cgroup/"+c.v1, c.v1Want
		if v2 {
			if c.skipV2 {
				continue
			}
			path, want = "/sys/fs/cgroup/"+c.file2, c.v2Want
		}
		// The first instruction sees it: nothing is written later.
		args := append(append([]string{"run", "--rm"}, c.flags...), "busybox", "cat", path)
		equal(t, fmt.Sprint(c.flags, " ", path), h.ok(args...), want)
	}
	equal(t, "affinity", h.ok("run", "--rm", "--cpuset-cpus", "0", "busybox", "awk", "/^Cpus_allowed_list/ {print $2}", "/proc/self/status"), "0")
	// The limits hold for start too, and for what exec starts.
	id := h.ok("create", "-m", "64m", "--pids-limit", "20", "busybox", "sleep", "1000")
	for range 2 {
		h.ok("start", id)
		equal(t, "after start", h.ok("exec", id, "cat", h.cgroupFile("memory/memory.limit_in_bytes", "memory.max"), h.cgroupFile("pids/pids.max", "pids.max")), "67108864\n20")
		own := h.ok("exec", id, "sh", "-c", "grep -qx $$ "+h.cgroupFile("memory/cgroup.procs", "cgroup.procs")+" && grep -qx 1 "+h.cgroupFile("pids/cgroup.procs", "cgroup.procs")+" && echo inside")
		equal(t, "exec is in the cgroup", own, "inside")
		h.ok("stop", "-t", "0", id)
	}
	equal(t, "configuration", h.inspect(id, "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}}"), "67108864 134217728 20")
}

// --cpus bites: the kernel counts the periods in which it stopped the container.
func TestLimitCPU(t *testing.T) {
	h := newHost(t)
	id := h.ok("run", "-d", "--cpus", "0.05", "busybox", "sh", "-c", "while :; do :; done")
	h.eventually("throttled", func() bool {
		var periods int
		for line := range strings.Lines(h.ok("exec", id, "cat", h.cgroupFile("cpu/cpu.stat", "cpu.stat"))) {
			fmt.Sscanf(line, "nr_throttled %d", &periods)
		}
		return periods > 0
	})
}

func TestLimitRefusals(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		word  string
		flags []string
	}{
		{"Minimum memory limit allowed is 6MB", []string{"-m", "5m"}},
		{"Minimum memoryswap limit should be larger than memory limit, see usage", []string{"-m", "64m", "--memory-swap", "32m"}},
		{"You should always set the Memory limit when using Memoryswap limit, see usage", []string{"--memory-swap", "32m"}},
		{"ange of CPUs is from 0.01 to ", []string{"--cpus", "9999"}},
		{"Requested CPUs are not available - requested 7777, available: 0", []string{"--cpuset-cpus", "7777"}},
		{"Invalid value x for cpuset cpus", []string{"--cpuset-cpus", "x"}},
		{"ulimit soft limit must be less than or equal to hard limit: 100 > 50", []string{"--ulimit", "nofile=100:50"}},
		{"invalid ulimit type: nope", []string{"--ulimit", "nope=1"}},
		{"invalid size: 'x'", []string{"-m", "x"}},
		{"invalid size: 'x'", []string{"--shm-size", "x"}},
	} {
		h.fails(125, []string{c.word}, append(append([]string{"run", "--rm"}, c.flags...), "busybox", "true")...)
	}
	equal(t, "containers left", h.ok("ps", "-aq"), "")
	h.ok("run", "--rm", "-m", "6m", "busybox", "true") // the minimum suffices to start
}

func TestLimitPids(t *testing.T) {
	h := newHost(t)
	const five = "i=0; while [ $i -lt 10 ]; do sleep 1000 & i=$((i+1)); echo $i; done"
	r := h.try("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c", five)
	if r.out != "1\n2\n3\n4\n" || !strings.Contains(r.err, "can't fork: Resource temporarily unavailable") {
		t.Errorf("the shell and four children: %s", r)
	}
	// The engine's own threads do not count: one process may start under a limit
	// of one, and exec has room under four.
	equal(t, "a limit of 1", h.ok("run", "--rm", "--pids-limit", "1", "busybox", "cat", h.cgroupFile("pids/pids.max", "pids.max")), "1")
	id := h.ok("run", "-d", "--pids-limit", "4", "busybox", "sleep", "1000")
	equal(t, "a limit of 4", h.ok("exec", id, "cat", h.cgroupFile("pids/pids.max", "pids.max")), "4")
	if r := h.try("exec", id, "sh", "-c", five); r.code == 0 {
		t.Errorf("exec is under the limit too: %s", r)
	}
}

// A fork bomb is contained, and the container still ends at once. The rlimit of
// the user is for the machine's sake, should --pids-limit not work.
func TestLimitForkBomb(t *testing.T) {
	h := newHost(t)
	id := h.ok("run", "-d", "-u", "student", "--ulimit", "nproc=400:400", "--pids-limit", "40", "--cpus", "0.5", "busybox", "sh", "-c", "(b() { b | b & }; b) & exec sleep 1000")
	h.eventually("the limit is reached", func() bool {
		files, _ := filepath.Glob("/sys/fs/cgroup/pids/" + h.instance + "/" + id + "/pids.events")
		more, _ := filepath.Glob("/sys/fs/cgroup/" + h.instance + "/" + id + "/pids.events")
		for _, file := range append(files, more...) {
			if text, err := os.ReadFile(file); err == nil && !regexp.MustCompile(`(?m)^max 0$`).Match(text) {
				return true
			}
		}
		return false
	})
	h.ok("rm", "-f", id)
	equal(t, "containers", h.ok("ps", "-aq"), "")
}

func TestLimitShm(t *testing.T) {
	h := newHost(t)
	for flag, kilobytes := range map[string]string{"": "65536", "1m": "1024", "2097152": "2048"} {
		args := []string{"run", "--rm"}
		if flag != "" {
			args = append(args, "--shm-size", flag)
		}
		out := h.ok(append(args, "busybox", "sh", "-c", "df -k /dev/shm | awk 'NR == 2 {print $2}'")...)
		equal(t, "--shm-size "+flag, out, kilobytes)
	}
	r := h.try("run", "--rm", "--shm-size", "1m", "busybox", "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=2; wc -c < /dev/shm/x")
	if !strings.Contains(r.err, "No space left on device") || r.out != "1048576\n" {
		t.Errorf("it ends at 1 MB: %s", r)
	}
}

func TestLimitUlimit(t *testing.T) {
	h := newHost(t)
	equal(t, "lowered", h.ok("run", "--rm", "--ulimit", "nofile=64:128", "--ulimit", "core=0", "busybox", "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc"), "64\n128\n0\n0")
	equal(t, "one value", h.ok("run", "--rm", "--ulimit", "nofile=64", "busybox", "sh", "-c", "ulimit -n; ulimit -Hn"), "64\n64")
	id := h.ok("run", "-d", "-u", "student", "--ulimit", "nofile=64:128", "busybox", "sleep", "1000")
	equal(t, "exec", h.ok("exec", id, "sh", "-c", "ulimit -n; ulimit -Hn"), "64\n128")
	equal(t, "inspect", h.inspect(id, "{{json .HostConfig.Ulimits}}"), `[{"Name":"nofile","Hard":128,"Soft":64}]`)
	if r := h.try("run", "--rm", "--ulimit", "nofile=64:128", "busybox", "sh", "-c", "ulimit -Hn 256"); r.code == 0 {
		t.Errorf("raised by the container: %s", r)
	}

	// One beyond what this host's root has.
	hard := h.ok("run", "--rm", "busybox", "sh", "-c", "ulimit -Hn")
	if n, err := strconv.Atoi(hard); err == nil {
		more := strconv.Itoa(n + 1)
		args := []string{"run", "--rm", "--ulimit", "nofile=" + more + ":" + more, "busybox", "sh", "-c", "ulimit -Hn"}
		if capable(t, 24) { // CAP_SYS_RESOURCE, capabilities(7)
			if n < 1048576 { // fs.nr_open
				equal(t, "raised", h.ok(args...), more)
			}
		} else {
			h.fails(125, []string{"RLIMIT_NOFILE", "CAP_SYS_RESOURCE"}, args...)
		}
	}
}

// The first instruction runs under the limits: a program that does nothing but
// exceed them at once does not get past, however often it is tried.
func TestLimitFromTheFirstInstruction(t *testing.T) {
	h := newHost(t)
	for range 10 {
		if r := h.try(append([]string{"run", "--rm", "-m", "8m", "busybox"}, hog("32M")...)...); r.code != 137 {
			t.Fatalf("memory: %s", r)
		}
		if r := h.try("run", "--rm", "--pids-limit", "1", "busybox", "sh", "-c", "(true); echo forked"); r.code == 0 {
			t.Fatalf("pids: %s", r)
		}
	}
}
