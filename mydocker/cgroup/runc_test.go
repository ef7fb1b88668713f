package cgroup

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestAsRunc makes a group by runc and one by this package from the same resources, and
// compares every file that holds a setting. What runc refuses has to be refused.
func TestAsRunc(t *testing.T) {
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("runc is not installed")
	}
	rootfs := t.TempDir()
	archive := os.Getenv("MYDOCKER_ROOTFS_BUSYBOX")
	if archive == "" {
		archive = "../../bin/rootfs/busybox.tar"
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", rootfs).CombinedOutput(); err != nil {
		t.Skipf("no root file system (make image): %s", out)
	}
	host, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	disk := findDisk(t)
	// What runc 1.1 does not do: the newer fields, and on version 2 what only version 1 cannot. It leaves out
	// there what only version 1 can: ours refuses it.
	better := map[string]bool{"burst and idle": true}
	for _, name := range []string{"devices with a hole", "OOM", "a class", "leaf weight", "realtime", "swappiness", "one share", "weight of no device"} {
		better[name] = host.Version == 2
	}
	for name, config := range map[string]string{
		"nothing":                `{}`,
		"memory":                 `{"memory":{"limit":67108864,"reservation":33554432}}`,
		"memory and swap":        `{"memory":{"limit":67108864,"swap":134217728}}`,
		"no swap":                `{"memory":{"limit":67108864,"swap":67108864}}`,
		"swap unlimited":         `{"memory":{"limit":67108864,"swap":-1}}`,
		"memory unlimited":       `{"memory":{"limit":-1}}`,
		"swap below memory":      `{"memory":{"limit":67108864,"swap":33554432}}`,
		"swap without memory":    `{"memory":{"swap":67108864}}`,
		"memory zero":            `{"memory":{"limit":0,"swap":0,"reservation":0,"kernel":0,"kernelTCP":0,"disableOOMKiller":false}}`,
		"shares":                 `{"cpu":{"shares":1024}}`,
		"one share":              `{"cpu":{"shares":1}}`,
		"realtime":               `{"cpu":{"realtimePeriod":1000000,"realtimeRuntime":1000}}`,
		"OOM":                    `{"memory":{"limit":67108864,"swappiness":50,"disableOOMKiller":true,"useHierarchy":true}}`,
		"swappiness":             `{"memory":{"swappiness":101}}`,
		"classes of zero":        `{"network":{"classID":0}}`,
		"a class":                `{"network":{"classID":1048577}}`,
		"leaf weight":            `{"blockIO":{"leafWeight":10}}`,
		"I/O weight":             `{"blockIO":{"weight":300}}`,
		"weight of no device":    `{"blockIO":{"weightDevice":[{"major":255,"minor":9,"weight":10}]}}`,
		"few shares":             `{"cpu":{"shares":2}}`,
		"shares of zero":         `{"cpu":{"shares":0,"quota":0,"period":0}}`,
		"quota":                  `{"cpu":{"quota":20000}}`,
		"quota and period":       `{"cpu":{"quota":20000,"period":50000}}`,
		"period":                 `{"cpu":{"period":50000}}`,
		"quota unlimited":        `{"cpu":{"quota":-1,"period":50000}}`,
		"cpuset":                 `{"cpu":{"cpus":"0","mems":"0"}}`,
		"cpuset of no CPU":       `{"cpu":{"cpus":"999"}}`,
		"burst and idle":         `{"cpu":{"quota":20000,"burst":10000,"idle":1}}`,
		"pids":                   `{"pids":{"limit":70}}`,
		"pids unlimited":         `{"pids":{"limit":-1}}`,
		"pids of zero":           `{"pids":{"limit":0}}`,
		"rates":                  `{"blockIO":{"throttleReadBpsDevice":[{DISK"rate":1048576}],"throttleWriteBpsDevice":[{DISK"rate":2097152}],"throttleReadIOPSDevice":[{DISK"rate":100}],"throttleWriteIOPSDevice":[{DISK"rate":200}]}}`,
		"weight of zero":         `{"blockIO":{"weight":0,"leafWeight":0}}`,
		"unified":                `{"unified":{"memory.high":"104857600","memory.min":"1048576","pids.max":"99","cpu.max":"max 50000"}}`,
		"unified of a path":      `{"unified":{"a/b":"1"}}`,
		"unified of no file":     `{"unified":{"memory.nothing":"1"}}`,
		"unified not controlled": `{"unified":{"nothing.max":"1"}}`,
		"huge pages of no size":  `{"hugepageLimits":[{"pageSize":"3MB","limit":1}]}`,
		"devices":                `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"},{"allow":true,"type":"b","major":8,"access":"r"},{"allow":false,"type":"c","major":10,"minor":229,"access":"m"}]}`,
		"devices allowed":        `{"devices":[{"allow":true,"access":"rwm"}]}`,
		"devices with a hole":    `{"devices":[{"allow":true,"type":"c","major":10,"access":"rwm"},{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}]}`,
		"no access":              `{"devices":[{"allow":true,"type":"c","major":10}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			config = strings.ReplaceAll(config, "DISK", disk)
			var res specs.LinuxResources
			if err := json.Unmarshal([]byte(config), &res); err != nil {
				t.Fatal(err)
			}
			ours, ourErr := byOurs(t, &res)
			theirs, theirErr := byRunc(t, &res, rootfs, testParent()+"/runc")
			if (ourErr == nil) != (theirErr == nil) && !better[name] {
				t.Errorf("ours: %v\nrunc: %v", ourErr, theirErr)
			}
			if diff := cmp.Diff(theirs, ours); ourErr == nil && theirErr == nil && diff != "" && !better[name] {
				t.Errorf("version %d: -runc +ours:\n%s", host.Version, diff)
			}
		})
	}
}

// findDisk gives a disk's numbers as they begin a JSON object.
func findDisk(t *testing.T) string {
	found, _ := filepath.Glob("/sys/block/*/dev")
	for _, file := range found {
		data, err := os.ReadFile(file)
		if major, minor, ok := strings.Cut(strings.TrimSpace(string(data)), ":"); err == nil && ok {
			return `"major":` + major + `,"minor":` + minor + `,`
		}
	}
	t.Skip("no disk")
	return ""
}

// files reads all settings of a group, by hierarchy and name: not what counts.
func files(t *testing.T, g Group) map[string]string {
	counts := regexp.MustCompile(`usage|stat|io_service|procs|tasks|threads|events|pressure|current|peak|failcnt|slabinfo|effective|reclaim|subtree_control|kmem|prioidx|devices.list`)
	all := map[string]string{}
	for tree, dir := range g.Paths() {
		if tree == "misc" {
			continue // a hierarchy of version 1 that runc does not know
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if data, err := os.ReadFile(filepath.Join(dir, entry.Name())); err == nil && !counts.MatchString(entry.Name()) {
				all[tree+"/"+entry.Name()] = string(data)
			}
		}
	}
	if file, err := g.file("devices.list"); err == nil {
		data, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		slices.Sort(lines)
		all["devices.list"] = strings.Replace(strings.Join(lines, "\n"), "c 10:200 rwm\n", "", 1) // runc allows tun until 1.2
	}
	return all
}

func byOurs(t *testing.T, res *specs.LinuxResources) (map[string]string, error) {
	g := newGroup(t)
	if err := errors.Join(g.Create(res), g.SetDevices(slices.Concat(res.Devices, DefaultDevices()))); err != nil {
		return nil, err
	}
	if err := g.LimitPids(res); err != nil {
		return nil, err
	}
	return files(t, g), nil
}

// byRunc gives the settings of runc's group, for a scope those that systemd has noted.
func byRunc(t *testing.T, res *specs.LinuxResources, rootfs, path string) (map[string]string, error) {
	g, err := Open("/none")
	if !strings.Contains(path, ":") {
		g, err = Open(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	bundle, id := t.TempDir(), "mydocker-test-"+itoa(os.Getpid())
	if out, err := exec.Command("runc", "spec", "-b", bundle).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	file := filepath.Join(bundle, "config.json")
	var spec specs.Spec
	data, err := os.ReadFile(file)
	if err := errors.Join(err, json.Unmarshal(data, &spec)); err != nil {
		t.Fatal(err)
	}
	spec.Process.Terminal, spec.Root.Path, spec.Linux.CgroupsPath, spec.Linux.Resources = false, rootfs, path, res
	if data, err = json.Marshal(spec); err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(bundle, "log")) // no pipe: the container's init keeps it open
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{"create", "-b", bundle, id}
	if g.path == "/none" {
		args = append([]string{"--systemd-cgroup"}, args...)
	}
	cmd := exec.Command("runc", args...)
	cmd.Stdout, cmd.Stderr = log, log
	defer func() {
		exec.Command("runc", "delete", "-f", id).Run()
		if err := g.Delete(); err != nil {
			t.Error(err)
		}
	}()
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.New(string(text))
	}
	if g.path == "/none" {
		return noted(t, path), nil
	}
	return files(t, g), nil
}

// noted reads the properties of a scope that are about resources.
func noted(t *testing.T, path string) map[string]string {
	part := strings.Split(path, ":")
	out, err := exec.Command("systemctl", "show", part[1]+"-"+part[2]+".scope").Output()
	if err != nil {
		t.Fatal(err)
	}
	about := regexp.MustCompile(`^(CPU|Memory|Tasks|IO|BlockIO|Allowed|Device|Slice=|Delegate|DefaultDep|ActiveState|Wants|Requires)`)
	counts := regexp.MustCompile(`^(CPUUsageNSec|MemoryCurrent|TasksCurrent|MemoryAvailable|IO(Read|Write)\w+|DelegateControllers|MemorySwapCurrent)=`)
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, _ := strings.Cut(line, "="); about.MatchString(line) && !counts.MatchString(line) && !strings.Contains(value, "10:200") {
			all[name] += value
		}
	}
	devices := strings.SplitAfter(all["DeviceAllow"], "\n")
	slices.Sort(devices)
	all["DeviceAllow"] = strings.Join(devices, "")
	return all
}

// TestScopeAsRunc compares what systemd is told.
func TestScopeAsRunc(t *testing.T) {
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("runc is not installed")
	}
	if _, err := os.Stat("/run/systemd/private"); err != nil {
		t.Skip("this machine was not booted with systemd: `make test-vm` has one")
	}
	rootfs := t.TempDir()
	if out, err := exec.Command("tar", "-xf", os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"), "-C", rootfs).CombinedOutput(); err != nil {
		t.Skipf("no root file system (make image): %s", out)
	}
	for name, config := range map[string]string{
		"nothing":   `{}`,
		"memory":    `{"memory":{"limit":67108864,"swap":134217728,"reservation":33554432}}`,
		"unlimited": `{"memory":{"limit":-1},"cpu":{"quota":-1,"period":50000},"pids":{"limit":-1}}`,
		"cpu":       `{"cpu":{"shares":512,"quota":33333,"period":100000,"cpus":"0-1","mems":"0"},"pids":{"limit":77}}`,
		"unified":   `{"unified":{"memory.high":"104857600","memory.max":"max","pids.max":"99","cpu.max":"20000 50000","cpu.weight":"77"}}`,
		"devices":   `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"},{"allow":true,"type":"b","major":7,"access":"r"}]}`,
		"all":       `{"devices":[{"allow":true,"access":"rwm"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var res specs.LinuxResources
			if err := json.Unmarshal([]byte(config), &res); err != nil {
				t.Fatal(err)
			}
			path := "mydocker-as.slice:p:" + itoa(os.Getpid())
			theirs, theirErr := byRunc(t, &res, rootfs, path)
			g, err := OpenSystemd(path, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			err = g.Create(&res)
			if err == nil {
				err = errors.Join(g.SetDevices(slices.Concat(res.Devices, DefaultDevices())), g.LimitPids(&res))
			}
			if (err == nil) != (theirErr == nil) {
				t.Errorf("ours: %v\nrunc: %v", err, theirErr)
			} else if err == nil {
				if diff := cmp.Diff(theirs, noted(t, path)); diff != "" {
					t.Errorf("-runc +ours:\n%s", diff)
				}
			}
			if err := g.Delete(); err != nil {
				t.Error(err)
			}
		})
	}
}
