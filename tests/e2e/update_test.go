package e2e

import (
	"strings"
	"testing"
)

func TestUpdate(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "-m", "64m", "busybox", "sleep", "1000")
	file := func(v1, v2 string) string { return strings.TrimSpace(h.ok("exec", "c1", "cat", h.cgroupFile(v1, v2))) }
	memory := func() string { return file("memory/memory.limit_in_bytes", "memory.max") }
	quota := func() string {
		if pureV2(t) {
			return file("", "cpu.max")
		}
		return file("cpu/cpu.cfs_quota_us", "") + " " + file("cpu/cpu.cfs_period_us", "")
	}
	equal(t, "output", h.ok("update", "-m", "100m", "--cpu-quota", "50000", "--pids-limit", "20", "--restart", "on-failure:3", "c1"), "c1")
	equal(t, "memory", memory(), "104857600")
	equal(t, "quota", quota(), "50000 100000")
	h.ok("update", "--cpu-period", "50000", "c1") // keeps the quota
	equal(t, "quota", quota(), "50000 50000")
	equal(t, "pids", file("pids/pids.max", "pids.max"), "20")
	const shown = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuQuota}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
	equal(t, "inspect", h.inspect("c1", shown), "104857600 134217728 50000 on-failure 3")

	// What is refused changes nothing.
	h.fails(1, []string{"Requested memory nodes are not available - requested 4000"}, "update", "-m", "70m", "--cpuset-mems", "4000", "c1")
	equal(t, "after a refusal", memory()+" "+h.inspect("c1", shown), "104857600 104857600 134217728 50000 on-failure 3")
	for _, c := range []struct{ flags, words string }{
		{"-m 200m", "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"},
		{"--cpus 0.5", "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"},
		{"--cpuset-cpus 4095", "Requested CPUs are not available - requested 4095"},
		{"--restart bogus", "unknown policy 'bogus'"},
		{"-m 1m", "Minimum memory limit allowed is 6MB"},
		{"--restart always:x", "maximum retry count must be an integer"},
	} {
		h.fails(1, []string{c.words}, append(append([]string{"update"}, strings.Fields(c.flags)...), "c1")...)
	}
	h.fails(1, []string{"you must provide one or more flags when using this command"}, "update", "c1")
	h.fails(125, []string{"flag --cpu-rt-period is not supported"}, "update", "--cpu-rt-period", "5", "c1")

	// The new limits hold in the next life, and a dead container takes new ones, too.
	h.ok("stop", "-t", "0", "c1")
	h.ok("update", "-m", "80m", "--cpu-shares", "512", "c1")
	h.ok("start", "c1")
	equal(t, "after start", memory()+" "+quota()+" "+file("pids/pids.max", "pids.max"), "83886080 50000 50000 20")
	events := h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=update", "--format", "{{.Action}}")
	equal(t, "events", events, "update\nupdate\nupdate")
	h.ok("run", "-d", "--rm", "--name", "c2", "busybox", "sleep", "1000")
	h.fails(1, []string{"Restart policy cannot be updated because AutoRemove is enabled"}, "update", "--restart", "always", "c2")
	r := h.fails(1, []string{"No such container: none"}, "update", "--cpu-shares", "100", "c1", "none", "c2")
	equal(t, "those that could", r.out, "c1\nc2\n")
}

// TestUpdatePolicy changes the policy of a running container: it holds at its end.
func TestUpdatePolicy(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "busybox", "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done")
	h.ok("update", "--restart", "always", "c1")
	h.ok("exec", "c1", "kill", "1")
	h.eventually("a second life", func() bool { return h.inspect("c1", "{{.RestartCount}} {{.State.Status}}") == "1 running" })
	h.ok("update", "--restart", "no", "c1")
	h.ok("exec", "c1", "kill", "1")
	h.becomes("c1", "exited")
}
