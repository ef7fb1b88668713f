package engine

import (
	"os"
	"os/exec"
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
	if info.MemTotal < 1<<26 || info.OperatingSystem == "" || info.DriverStatus[0][1] == "<unknown>" || info.DriverStatus[1][1] != "true" {
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
	describeHost(&i)
	describeLimits(&i, host)
	words := []string{}
	for _, b := range []bool{i.MemoryLimit, i.SwapLimit, i.CPUCfsQuota, i.CPUShares, i.CPUSet, i.PidsLimit, i.OomKillDisable} {
		words = append(words, map[bool]string{true: "true", false: "false"}[b])
	}
	words = append(words, map[int]string{1: "1", 2: "2"}[host.Version], i.OperatingSystem)
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

func TestOSRelease(t *testing.T) {
	for text, want := range map[string][2]string{
		"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n": {"Debian GNU/Linux 12 (bookworm)", "12"},
		"PRETTY_NAME='Alpine Linux v3.19'\nVERSION_ID=3.19.1\n":                                          {"Alpine Linux v3.19", "3.19.1"},
		"": {"Linux", ""},
	} {
		if name, version := osRelease(text); name != want[0] || version != want[1] {
			t.Errorf("%q: %q %q", text, name, version)
		}
	}
}

func TestEngineIDIsOne(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	ids := make(chan string)
	for range 8 {
		go func() {
			id, err := e.id()
			if err != nil {
				id = err.Error()
			}
			ids <- id
		}()
	}
	first := <-ids
	for range 7 {
		if id := <-ids; id != first {
			t.Errorf("%s and %s", first, id)
		}
	}
	if data, _ := os.ReadFile(e.config.Root + "/engine-id"); strings.TrimSpace(string(data)) != first {
		t.Errorf("stored %q", data)
	}
}
