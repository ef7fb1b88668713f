package cgroup

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestDetailsV2(t *testing.T) {
	f, g := newFake(t, "")
	for name, text := range map[string]string{
		"cpu.stat":                 "usage_usec 12\nuser_usec 10\nsystem_usec 2\nnr_periods 5\nnr_throttled 4\nthrottled_usec 3\n",
		"cpu.pressure":             "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=8\n",
		"cpuset.cpus.effective":    "0-1,4\n",
		"cpuset.mems.effective":    "0\n",
		"memory.current":           "1000\n",
		"memory.peak":              "2000\n",
		"memory.max":               "4000\n",
		"memory.swap.max":          "max\n",
		"memory.swap.current":      "10\n",
		"memory.stat":              "anon 1\nfile 5\n",
		"pids.current":             "3\n",
		"pids.max":                 "max\n",
		"io.stat":                  "8:16 rbytes=100 wbytes=1 rios=9 wios=8 dbytes=0 dios=0\n",
		"hugetlb.2MB.current":      "7\n",
		"hugetlb.2MB.events":       "max 6\n",
		"hugetlb.2MB.rsvd.current": "1\n",
	} {
		f.put("engine/c1/"+name, text)
	}
	d, err := g.Details()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(d)
	want := `{"blkio":{"ioServiceBytesRecursive":[{"major":8,"minor":16,"op":"Read","value":100},{"major":8,"minor":16,"op":"Write","value":1}],` +
		`"ioServicedRecursive":[{"major":8,"minor":16,"op":"Read","value":9},{"major":8,"minor":16,"op":"Write","value":8}]},` +
		`"cpu":{"psi":{"full":{"avg10":0.00,"avg300":0.00,"avg60":0.00,"total":8},"some":{"avg10":1.50,"avg300":0.00,"avg60":0.25,"total":77}},` +
		`"throttling":{"periods":5,"throttledPeriods":4,"throttledTime":3000},"usage":{"kernel":2000,"total":12000,"user":10000}},` +
		`"cpuset":{"cpus":[0,1,4],"mems":[0]},"hugetlb":{"2MB":{"failcnt":6,"usage":7}},"intel_rdt":{},` +
		`"memory":{"cache":5,"raw":{"anon":1,"file":5},"swap":{"limit":18446744073709551615,"usage":1010},"usage":{"limit":4000,"max":2000,"usage":1000}},` +
		`"network_interfaces":null,"pids":{"current":3,"limit":0}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "3": {3}, "0-2,7\n": {0, 1, 2, 7}, "7,0": {7, 0}, "1-1": {1}} {
		if got, err := parseList(text); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "3-1", "1-", "-1", "0-99999999"} {
		if got, err := parseList(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

func TestDetails(t *testing.T) {
	g := newGroup(t)
	limit := int64(64 << 20)
	if err := g.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}, CPU: &specs.LinuxCPU{Cpus: "0"}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 60")
	start(t, g, cmd)
	go cmd.Wait()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		d, err := g.Details()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(d)
		var got struct { // some of the types of runc's events.go
			CPU struct {
				Usage struct {
					Total  uint64
					Percpu []uint64
				}
			}
			CPUSet struct {
				CPUs  []uint16
				Level int64 `json:"sched_relax_domain_level"`
			}
			Memory struct {
				Usage struct{ Limit, Usage uint64 }
				Raw   map[string]uint64
			}
			Pids struct{ Current, Limit uint64 }
		}
		if err := errors.Join(err, json.Unmarshal(text, &got)); err != nil {
			t.Fatal(err)
		}
		if got.CPU.Usage.Total > 0 && got.Memory.Usage.Usage > 0 && got.Memory.Usage.Limit == uint64(limit) && got.Pids.Current > 0 &&
			len(got.Memory.Raw) > 10 && cmp.Equal(got.CPUSet.CPUs, []uint16{0}) && (g.host.Version == 2 || len(got.CPU.Usage.Percpu) > 0 && got.CPUSet.Level == -1) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s", text)
		}
	}
}

func TestNotifyOOM(t *testing.T) {
	g := newGroup(t)
	limit := int64(24 << 20)
	if err := g.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}); err != nil {
		t.Fatal(err)
	}
	stays := exec.Command("sleep", "60") // on version 2 a group without processes is over
	start(t, g, stays)
	ended, cancel := context.WithCancel(t.Context())
	other, err := g.NotifyOOM(ended)
	if err != nil {
		t.Fatal(err)
	}
	notify, err := g.NotifyOOM(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	receive := func(from <-chan struct{}) bool {
		t.Helper()
		select {
		case _, ok := <-from:
			return ok
		case <-time.After(20 * time.Second):
			t.Fatal("nothing came")
			return false
		}
	}
	if receive(other) {
		t.Error("an event, not the end")
	}
	big := player("eat:64")
	start(t, g, big)
	big.Wait()
	if !receive(notify) {
		t.Error("the end, not an event")
	}
	stays.Process.Kill()
	stays.Wait()
	if err := g.Delete(); err != nil {
		t.Fatal(err)
	}
	for receive(notify) { // version 1 tells more than once of one
	}
}
