package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestExpandSlice(t *testing.T) {
	for slice, want := range map[string]string{
		"-.slice": "/", "user.slice": "/user.slice", "a-b-c.slice": "/a.slice/a-b.slice/a-b-c.slice",
		"": "", "a": "", ".slice": "", "a--b.slice": "", "-a.slice": "", "a-.slice": "", "a/b.slice": "", "--.slice": "",
	} {
		got, err := expandSlice(slice)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", slice, got, err, want)
		}
	}
}

func TestOpenSystemd(t *testing.T) {
	for path, want := range map[string]string{
		"": "/system.slice/runc-id.scope", "user.slice:p:n": "/user.slice/p-n.scope", ":p:n": "/system.slice/p-n.scope", "a-b.slice::n": "/a.slice/a-b.slice/n.scope",
		"/a/b": "", "a:b": "", "x:y:z": "", "a.slice:p:": "", "a.slice:../p:n": "", "a.slice:p:n.slice": "",
	} {
		g, err := OpenSystemd(path, "id", nil)
		if g.path != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", path, g.path, err, want)
		}
	}
}

func show(list []property) string {
	var words []string
	for _, p := range list {
		words = append(words, p.Name+"="+fmt.Sprint(p.Value.Value()))
	}
	return strings.Join(words, " ")
}

func TestProperties(t *testing.T) {
	res := specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](100), Swap: ptr[int64](150), Reservation: ptr[int64](50)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](1024), Quota: ptr[int64](33_333), Period: ptr[uint64](100_000), Cpus: "0,2-3,9"},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](-1)},
	}
	const infinity = "18446744073709551615"
	for version, want := range []string{
		1: "MemoryLimit=100 CPUShares=1024 AllowedCPUs=[13 2] TasksMax=" + infinity + " CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=340000",
		2: "MemoryMax=100 MemorySwapMax=50 MemoryLow=50 CPUWeight=39 AllowedCPUs=[13 2] TasksMax=" + infinity +
			" CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=340000",
	} {
		if version == 0 {
			continue
		}
		limits, err := settings(res, version)
		if err != nil {
			t.Fatal(err)
		}
		list, err := properties(limits, version)
		if diff := cmp.Diff(want, show(list)); err != nil || diff != "" {
			t.Errorf("version %d: %v -want +got:\n%s", version, err, diff)
		}
	}
	limits, err := settings(specs.LinuxResources{Unified: map[string]string{"memory.high": "max", "cpu.max": "max", "cpu.idle": "1", "io.max": "8:0 rbps=1"}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	list, err := properties(limits, 2)
	want := "CPUWeight=0 MemoryHigh=" + infinity + " CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=" + infinity
	if diff := cmp.Diff(want, show(list)); err != nil || diff != "" {
		t.Errorf("unified: %v -want +got:\n%s", err, diff)
	}
	if limits, err := settings(specs.LinuxResources{Unified: map[string]string{"memory.high": "5M"}}, 2); err != nil {
		t.Fatal(err)
	} else if _, err := properties(limits, 2); err == nil {
		t.Error("memory.high of 5M: no error, systemd would be told another limit")
	}
}

func TestAnnotated(t *testing.T) {
	list, err := annotated(map[string]string{"org.systemd.property.TimeoutStopSec": "1.5", "org.systemd.property.CollectMode": "'inactive-or-failed'",
		"org.systemd.property.JobTimeoutUSec": "uint64 7", "other": "x"})
	if got, want := show(list), `CollectMode=inactive-or-failed JobTimeoutUSec=7 TimeoutStopUSec=1500000`; err != nil || got != want {
		t.Errorf("%v, %s, want %s", err, got, want)
	}
	for name, value := range map[string]string{"ab": "1", "Some/thing": "1", "Description": "not quoted", "TimeoutStopSec": "'long'"} {
		if _, err := annotated(map[string]string{annotation + name: value}); err == nil {
			t.Errorf("%s=%s: no error", name, value)
		}
	}
}

// TestScope speaks to a real systemd, which is there in the test machine.
func TestScope(t *testing.T) {
	if _, err := os.Stat("/run/systemd/private"); err != nil {
		t.Skip("this machine was not booted with systemd: `make test-vm` has one")
	}
	id := "mydocker-test-" + itoa(os.Getpid())
	path := "mydocker-test.slice:p:" + id
	g, err := OpenSystemd(path, "x", map[string]string{"org.systemd.property.TimeoutStopSec": "uint64 7"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(g.Kill(), g.Delete(), g.Delete()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(g.Paths()[""]); err == nil {
			t.Errorf("%s is left", g.Paths()[""])
		}
		exec.Command("systemctl", "stop", "mydocker.slice").Run() // Stopping it stops those below it
	})
	res := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](20_000), Period: ptr[uint64](50_000), Cpus: "0"},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](20)},
	}
	rules := append([]specs.LinuxDeviceCgroup{{Access: "rwm"}}, DefaultDevices()...)
	if err := errors.Join(g.Create(res), g.SetDevices(rules)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start(t, g, cmd)
	go cmd.Wait()
	if err := g.LimitPids(res); err != nil {
		t.Fatal(err)
	}
	if list, err := g.Pids(); err != nil || len(list) != 1 || list[0] != cmd.Process.Pid {
		t.Errorf("pids %v, %v, want %d", list, err, cmd.Process.Pid)
	}
	unit := "p-" + id + ".scope"
	has := func(wants ...string) {
		t.Helper()
		out, err := exec.Command("systemctl", "show", unit).CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains("\n"+string(out), "\n"+want) {
				name, _, _ := strings.Cut(want, "=")
				var got string
				for line := range strings.Lines(string(out)) {
					if strings.HasPrefix(line, name+"=") {
						got += line
					}
				}
				t.Errorf("systemctl show %s: want %s, got %s", unit, want, got)
			}
		}
	}
	has("ActiveState=active\n", "Slice=mydocker-test.slice\n", "Delegate=yes\n", "CPUQuotaPerSecUSec=400ms\n", "CPUQuotaPeriodUSec=50ms\n", "TasksMax=20\n", "TimeoutStopUSec=7s\n", "DevicePolicy=strict\n")
	if g.host.Version == 2 {
		has("MemoryMax=67108864\n", "CPUWeight=20\n", "AllowedCPUs=0\n")
	} else {
		has("MemoryLimit=67108864\n", "CPUShares=512\n")
	}
	// A limit that is changed stays when systemd reads its units again; a refused one changes nothing.
	if _, err := g.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](80 << 20)}, CPU: &specs.LinuxCPU{Period: ptr[uint64](100_000)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](90 << 20)}, CPU: &specs.LinuxCPU{Mems: "77"}}); err == nil {
		t.Error("node 77: no error")
	}
	if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	has("CPUQuotaPerSecUSec=200ms\n")
	if s, err := g.Stats(); err != nil || s.MemoryLimit != 80<<20 || s.PidsLimit != 20 {
		t.Errorf("after the update: %+v, %v", s, err)
	}
	// systemd keeps whole percents, the file is exact; and what is undone is undone in both.
	undo, err := g.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](33_333)}, Memory: &specs.LinuxMemory{Limit: ptr[int64](70 << 20)}})
	if err != nil {
		t.Fatal(err)
	}
	has("CPUQuotaPerSecUSec=340ms\n")
	if quota, period := g.bandwidth(); quota != 33_333 || period != 100_000 {
		t.Errorf("quota %d in %d", quota, period)
	}
	undo()
	has("CPUQuotaPerSecUSec=200ms\n")
	if s, err := g.Stats(); err != nil || s.MemoryLimit != 80<<20 {
		t.Errorf("undone: %+v, %v", s, err)
	}
	// Another process opens the same group, and cannot make it again.
	same, err := OpenSystemd(path, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := same.CheckFree(); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("CheckFree: %v", err)
	}
	if err := same.Create(nil); err == nil {
		t.Error("made twice")
	}
	devices := player("devices:both /dev/null,read /dev/kmsg")
	var out strings.Builder
	devices.Stdin, devices.Stdout, devices.Stderr = os.Stdin, &out, os.Stderr
	start(t, same, devices)
	if err := devices.Wait(); err != nil || strings.TrimSpace(out.String()) != "both /dev/null:yes read /dev/kmsg:no" {
		t.Errorf("%v, %s", err, out.String())
	}
	if _, err := os.Stat(filepath.Join(g.Paths()[""], "cgroup.procs")); err != nil {
		t.Error(err)
	}
}
