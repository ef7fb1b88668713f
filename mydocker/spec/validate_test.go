package spec

import (
	"strings"
	"testing"

	"github.com/docker/go-units"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/blkiodev"
	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"minidocker/mydocker/security"
)

func TestValidate(t *testing.T) {
	limits := func(r api.Resources) api.HostConfig { return api.HostConfig{Resources: r} }
	for _, test := range []struct {
		want   string
		config api.Config
		host   api.HostConfig
	}{
		{want: "the working directory 'x' is invalid, it needs to be an absolute path", config: api.Config{WorkingDir: "x"}},
		{want: `invalid CapAdd: unknown capability: "CAP_X"`, host: api.HostConfig{CapAdd: []string{"x"}}},
		{want: `invalid --security-opt 2: "x=y"`, host: api.HostConfig{SecurityOpt: []string{"x=y"}}},
		{want: `invalid --security-opt 2: "x"`, host: api.HostConfig{SecurityOpt: []string{"x"}}},
		{want: `invalid --security-opt 2: "no-new-privileges=maybe"`, host: api.HostConfig{SecurityOpt: []string{"no-new-privileges=maybe"}}},
		{want: "--security-opt apparmor=mine: SELinux labels and AppArmor profiles are not supported", host: api.HostConfig{SecurityOpt: []string{"apparmor=mine"}}},
		{want: "--security-opt label=type:x: SELinux labels and AppArmor profiles are not supported", host: api.HostConfig{SecurityOpt: []string{"label=type:x"}}},
		{want: `invalid tmpfs option ["x"]`, host: api.HostConfig{Tmpfs: map[string]string{"/t": "size=1m,x"}}},
		{want: "invalid mount path: 't' mount path must be absolute", host: api.HostConfig{Tmpfs: map[string]string{"t": ""}}},
		{want: "invalid device cgroup rule format: 'c 1:3'", host: limits(api.Resources{DeviceCgroupRules: []string{"c 1:3"}})},
		{want: "sysctl 'kernel.panic' is not allowed", host: api.HostConfig{Sysctls: map[string]string{"kernel.panic": "1"}}},
		{want: `sysctl "net.core.somaxconn" not allowed in host network namespace`, host: api.HostConfig{NetworkMode: "host", Sysctls: map[string]string{"net.core.somaxconn": "1"}}},
		{want: `sysctl "kernel.sem" is not allowed in the hosts ipc namespace`, host: api.HostConfig{IpcMode: "host", Sysctls: map[string]string{"kernel.sem": "1"}}},
		{want: "invalid IPC mode: x", host: api.HostConfig{IpcMode: "x"}},
		{want: "invalid PID mode: x", host: api.HostConfig{PidMode: "x"}},
		{want: "invalid UTS mode: x", host: api.HostConfig{UTSMode: "x"}},
		{want: "conflicting options: hostname and the UTS mode", config: api.Config{Hostname: "h"}, host: api.HostConfig{UTSMode: "host"}},
		{want: "SHM size can not be less than 0", host: api.HostConfig{ShmSize: -1}},
		{want: "Invalid value 1001, range for oom score adj is [-1000, 1000]", host: api.HostConfig{OomScoreAdj: 1001}},
		{want: "Minimum memory limit allowed is 6MB", host: limits(api.Resources{Memory: 4 << 20})},
		{want: "Minimum memoryswap limit should be larger than memory limit, see usage", host: limits(api.Resources{Memory: 64 << 20, MemorySwap: 32 << 20})},
		{want: "You should always set the Memory limit when using Memoryswap limit, see usage", host: limits(api.Resources{MemorySwap: 32 << 20})},
		{want: "Conflicting options: Nano CPUs and CPU Quota cannot both be set", host: limits(api.Resources{NanoCPUs: 1, CPUQuota: 1000})},
		{want: "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", host: limits(api.Resources{NanoCPUs: 3e9})},
		{want: "Requested CPUs are not available - requested 1-2, available: 0-1", host: limits(api.Resources{CpusetCpus: "1-2"})},
		{want: `Invalid value x for cpuset cpus: invalid format: x`, host: limits(api.Resources{CpusetCpus: "x"})},
		{want: "can't create 'AutoRemove' container with restart policy", host: api.HostConfig{AutoRemove: true, RestartPolicy: api.RestartPolicy{Name: "always"}}},
	} {
		err := Validate(&test.config, &test.host, Facts{Capabilities: allCapabilities(), CPUs: "0-1"})
		if err == nil || err.Error() != test.want {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
	err := Validate(&api.Config{}, &api.HostConfig{
		SecurityOpt: []string{"label=disable", "apparmor=unconfined", "no-new-privileges:true", "seccomp=unconfined"},
		Resources:   api.Resources{CpusetCpus: "0,1", NanoCPUs: 2e9, Ulimits: []*units.Ulimit{{Name: "core", Soft: -1, Hard: -1}}},
		Sysctls:     map[string]string{"net.core.somaxconn": "1", "fs.mqueue.msg_max": "1"},
	}, Facts{Capabilities: allCapabilities(), CPUs: "0-1"})
	if err != nil {
		t.Error(err)
	}
}

func TestDefault(t *testing.T) {
	host := &api.HostConfig{Resources: api.Resources{Memory: 64 << 20}}
	Default(host, true)
	if host.MemorySwap != 128<<20 || host.ShmSize != 64<<20 || host.IpcMode != "private" || host.CgroupnsMode != "private" || len(host.MaskedPaths) < 10 || host.OomKillDisable != nil {
		t.Errorf("%+v", host)
	}
	v1 := &api.HostConfig{Privileged: true}
	if Default(v1, false); v1.OomKillDisable == nil || v1.MaskedPaths != nil {
		t.Errorf("%+v", v1)
	}
}

func TestResources(t *testing.T) {
	none := int64(0)
	host := &api.HostConfig{Resources: api.Resources{CPUQuota: -1, MemorySwappiness: &none, PidsLimit: &none,
		BlkioDeviceReadBps: []*blkiodev.ThrottleDevice{{Path: "/dev/disk", Rate: 7}}}}
	facts := Facts{Devices: map[string][]specs.LinuxDevice{"/dev/disk": {{Major: 8, Minor: 1}}}}
	r := resources(host, facts)
	if *r.CPU.Quota != -1 || *r.Memory.Swappiness != 0 || r.Memory.Limit != nil || *r.Pids.Limit != -1 {
		t.Errorf("%+v %+v %+v", r.CPU, r.Memory, r.Pids)
	}
	if d := r.BlockIO.ThrottleReadBpsDevice; len(d) != 1 || d[0].Major != 8 || d[0].Minor != 1 || d[0].Rate != 7 {
		t.Errorf("%+v", d)
	}
	facts.CgroupV2 = true
	if r := resources(host, facts); r.Memory.Swappiness != nil {
		t.Error("version 2 has no swappiness")
	}
}

func TestJoinNamespaces(t *testing.T) {
	host := &api.HostConfig{NetworkMode: "container:abc", PidMode: "container:abc", IpcMode: "container:abc"}
	facts := Facts{Namespaces: map[specs.LinuxNamespaceType]string{"network": "/n", "pid": "/p"}, ShmPath: "/shm"}
	if _, err := namespaces(host, facts); err == nil || !strings.Contains(err.Error(), "join the ipc namespace of container:abc") {
		t.Error(err)
	}
	facts.Namespaces["ipc"] = "/i"
	got, err := namespaces(host, facts)
	want := []specs.LinuxNamespace{{Type: "mount"}, {Type: "network", Path: "/n"}, {Type: "uts"}, {Type: "pid", Path: "/p"}, {Type: "ipc", Path: "/i"}, {Type: "cgroup"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if s := sysctls(&api.Config{}, host, security.IDRange{}); len(s) != 0 {
		t.Errorf("sysctls of a joined network namespace: %v", s)
	}
}

func TestDeviceRules(t *testing.T) {
	for _, bad := range []string{"", "c 1:3", "d 1:3 r", "c 1 r", "c 1:3 x", "c 1:3 rwmr", "c x:3 r", "c 1:-1 r", "c  1:3 r", "c 1:99999999999 r"} {
		if rule, err := parseDeviceRule(bad); err == nil {
			t.Errorf("%q: %+v", bad, rule)
		}
	}
	got, err := parseDeviceRule("b 8:* rm")
	if diff := cmp.Diff(deviceRule("b", 8, anyNumber, "rm"), got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestDevices(t *testing.T) {
	dir := []specs.LinuxDevice{{Path: "/dev/snd/a", Type: "c", Major: 1}, {Path: "/dev/snd/b/c", Type: "c", Major: 2}}
	host := &api.HostConfig{Resources: api.Resources{Devices: []api.DeviceMapping{{PathOnHost: "/dev/snd", PathInContainer: "/dev/sound", CgroupPermissions: "r"}}}}
	facts := Facts{Devices: map[string][]specs.LinuxDevice{"/dev/snd": dir}}
	nodes, rules := deviceNodes(host, facts), deviceRules(host, facts)
	if len(nodes) != 2 || nodes[0].Path != "/dev/sound/a" || nodes[1].Path != "/dev/sound/b/c" {
		t.Errorf("%v", nodes)
	}
	if deny := rules[0]; deny.Allow || deny.Type != "" || deny.Major != nil || deny.Access != "rwm" {
		t.Errorf("the first rule is %+v", deny)
	}
	if !decide(rules, "c", 2, 0, "r") || decide(rules, "c", 2, 0, "w") {
		t.Error("rules of mapped devices")
	}
}

func TestHostDevices(t *testing.T) {
	all, err := HostDevices()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]specs.LinuxDevice{}
	for _, d := range all {
		found[d.Path] = d
	}
	null := found["/dev/null"]
	if null.Type != "c" || null.Major != 1 || null.Minor != 3 || *null.FileMode != 0o666 {
		t.Errorf("/dev/null is %+v", null)
	}
	for path := range found {
		if strings.HasPrefix(path, "/dev/pts/") || path == "/dev/console" {
			t.Errorf("%s is a container's own", path)
		}
	}
	at, err := DevicesAt("/dev/null")
	if err != nil || len(at) != 1 || at[0].Minor != 3 {
		t.Errorf("%v %v", at, err)
	}
	for _, bad := range []string{"/etc/passwd", "/dev/none", "/etc"} {
		if d, err := DevicesAt(bad); err == nil {
			t.Errorf("%s: %v", bad, d)
		}
	}
}

func TestExec(t *testing.T) {
	config := &api.Config{Cmd: []string{"x"}, Env: []string{"A=1"}, WorkingDir: "/w"}
	unlimited := int64(0)
	host := &api.HostConfig{Resources: api.Resources{PidsLimit: &unlimited}}
	s, err := Build(config, host, Facts{Capabilities: allCapabilities(), Home: "/root", ID: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	request := api.ExecCreateRequest{Cmd: []string{"y"}, Env: []string{"A=2"}, Tty: true, ConsoleSize: &[2]uint{4, 5}}
	got, err := Exec(s, config, request, specs.User{UID: 7}, "/home/seven", allCapabilities())
	if err != nil {
		t.Fatal(err)
	}
	want := *s.Process
	want.Args, want.Cwd, want.Terminal, want.ConsoleSize = []string{"y"}, "/w", true, &specs.Box{Height: 4, Width: 5}
	want.User = specs.User{UID: 7}
	want.Env = []string{"PATH=" + defaultPath, "HOSTNAME=0123456789ab", "TERM=xterm", "A=2", "HOME=/home/seven"}
	want.Capabilities = &specs.LinuxCapabilities{Bounding: s.Process.Capabilities.Bounding}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if pids := s.Linux.Resources.Pids; pids == nil || *pids.Limit != -1 {
		t.Errorf("pids limit 0 is %v", pids)
	}
	request.Privileged = true
	if got, _ := Exec(s, config, request, specs.User{}, "/", allCapabilities()); len(got.Capabilities.Effective) != len(allCapabilities()) {
		t.Errorf("privileged exec has %v", got.Capabilities.Effective)
	}
	if _, err := Exec(s, config, api.ExecCreateRequest{}, specs.User{}, "/", nil); err != ErrNoCommand {
		t.Error(err)
	}
}
