package engine

import (
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/system"

	"minidocker/mydocker/cgroup"
)

func TestInfo(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	start(t, e, false)
	create(t, e)
	info, err := e.Info()
	if err != nil {
		t.Fatal(err)
	}
	uname, _ := exec.Command("uname", "-nrm").Output()
	got := []any{info.Containers, info.ContainersRunning, info.ContainersPaused, info.ContainersStopped, info.Images,
		strings.Join([]string{info.Name, info.KernelVersion, info.Architecture}, " "), info.DockerRootDir, info.NCPU, len(info.ID)}
	want := []any{2, 1, 0, 1, 1, strings.TrimSpace(string(uname)), e.config.Root, runtime.NumCPU(), 36}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if info.MemTotal < 1<<26 || info.OperatingSystem == "" || info.DriverStatus[0][1] == "<unknown>" {
		t.Errorf("%+v", info)
	}
	again, err := Open(e.config)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.Info(); err != nil || second.ID != info.ID {
		t.Errorf("the ID changed from %s to %s: %v", info.ID, second.ID, err)
	}
	if v, err := e.Version(); err != nil || v.Version != Version || v.KernelVersion != info.KernelVersion || v.Os != "linux" {
		t.Errorf("%+v %v", v, err)
	}
}

// TestLimitsAsDocker compares with what Docker finds out about the same host.
func TestLimitsAsDocker(t *testing.T) {
	t.Parallel()
	const format = "{{.MemoryLimit}} {{.SwapLimit}} {{.CPUCfsQuota}} {{.CPUShares}} {{.CPUSet}} {{.PidsLimit}} {{.OomKillDisable}} {{.CgroupVersion}} {{.OperatingSystem}}"
	docker, err := exec.Command("docker", "info", "--format", format).Output()
	if err != nil {
		t.Skip("no docker to compare with")
	}
	host, err := cgroup.Host()
	if err != nil {
		t.Fatal(err)
	}
	var i system.Info
	describeLimits(&i, host)
	words := []string{}
	for _, b := range []bool{i.MemoryLimit, i.SwapLimit, i.CPUCfsQuota, i.CPUShares, i.CPUSet, i.PidsLimit, i.OomKillDisable} {
		words = append(words, map[bool]string{true: "true", false: "false"}[b])
	}
	words = append(words, map[int]string{1: "1", 2: "2"}[host.Version], osRelease("PRETTY_NAME", "Linux"))
	if got, want := strings.Join(words, " "), strings.TrimSpace(string(docker)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWarnings(t *testing.T) {
	var i system.Info
	describeLimits(&i, &cgroup.Hierarchies{Version: 1})
	if !slices.Contains(i.Warnings, "WARNING: No memory limit support") || slices.Contains(i.Warnings, "WARNING: No swap limit support") {
		t.Errorf("%q", i.Warnings)
	}
}

func TestEngineID(t *testing.T) {
	id := engineID("/a")
	if engineID("/a") != id || engineID("/b") == id || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Error(id)
	}
}
