package runtime

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestValidate(t *testing.T) {
	zero, root := 0, t.TempDir()
	without := func(kind specs.LinuxNamespaceType) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == kind })
		}
	}
	for _, c := range []struct {
		want   string // "": valid
		change func(s *specs.Spec)
	}{
		{"", func(s *specs.Spec) {}},
		{"process property must not be empty", func(s *specs.Spec) { s.Process = nil }},
		{"args must not be empty", func(s *specs.Spec) { s.Process.Args = nil }},
		{"Cwd property must not be empty", func(s *specs.Spec) { s.Process.Cwd = "" }},
		{"Cwd must be an absolute path", func(s *specs.Spec) { s.Process.Cwd = "tmp" }},
		{"commandLine", func(s *specs.Spec) { s.Process.CommandLine = "x" }},
		{"selinux is disabled", func(s *specs.Spec) { s.Process.SelinuxLabel = "x" }},
		{`invalid environment variable: "A"`, func(s *specs.Spec) { s.Process.Env = []string{"A"} }},
		{"name can't be empty", func(s *specs.Spec) { s.Process.Env = []string{"=A"} }},
		{"RLIMIT_CPU is specified twice", func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CPU"}, {Type: "RLIMIT_CPU"}}
		}},
		{"scheduler policy is required", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{} }},
		{"invalid scheduler policy", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "x"} }},
		{"invalid ioPriority.Priority: 8", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 8}
		}},
		{"invalid ioPriority.Class", func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{} }},
		{"root must be specified", func(s *specs.Spec) { s.Root = nil }},
		{"invalid rootfs", func(s *specs.Spec) { s.Root.Path = root + "/none" }},
		{"no linux section", func(s *specs.Spec) { s.Linux = nil }},
		{"another platform", func(s *specs.Spec) { s.Windows = &specs.Windows{} }},
		{`duplicated ns {"pid" ""}`, func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
		}},
		{`namespace {"x" "/y"} does not exist`, func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "x", Path: "/y"})
		}},
		{"", without(specs.MountNamespace)},
		{"unable to restrict sys entries", func(s *specs.Spec) { without(specs.MountNamespace)(s); s.Linux.MaskedPaths = []string{"/x"} }},
		{"hostname without a private UTS", func(s *specs.Spec) { without(specs.UTSNamespace)(s); s.Hostname = "h" }},
		{"time namespace isn't enabled", func(s *specs.Spec) { s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {}} }},
		{"invalid personality domain", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{} }},
		{"personality flags", func(s *specs.Spec) {
			s.Linux.Personality = &specs.LinuxPersonality{Domain: "LINUX", Flags: []specs.LinuxPersonalityFlag{"x"}}
		}},
		{"memory policy nodes", func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "3-1"}
		}},
		{"intelRdt", func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }},
		{"is not absolute", func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "x"}}} }},
		{"not above zero", func(s *specs.Spec) { s.Hooks = &specs.Hooks{Prestart: []specs.Hook{{Path: "/x", Timeout: &zero}}} }},
		{"tmpcopyup is for a tmpfs", func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/x", Type: "proc", Options: []string{"tmpcopyup"}}}
		}},
		{"", func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"net/ipv4/conf/eth0.1/forwarding": "", "kernel.shmmax": "", "fs.mqueue.x": "", "kernel.domainname": ""}
		}},
		{"is not in a separate kernel namespace", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"vm.swappiness": "1"} }},
		{"is not in a separate kernel namespace", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel/panic": "1"} }},
		{`conflicts with the OCI "hostname" field`, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.hostname": "x"} }},
		{"hosts ipc namespace", func(s *specs.Spec) {
			without(specs.IPCNamespace)(s)
			s.Linux.Sysctl = map[string]string{"kernel.sem": "x"}
		}},
		{"host network namespace", func(s *specs.Spec) {
			without(specs.NetworkNamespace)(s)
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/proc/self/ns/net"})
			s.Linux.Sysctl = map[string]string{"net.x": "x"}
		}},
	} {
		spec, _ := bundleOf(t)
		c.change(spec)
		err := Validate(spec, false)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	got := Warnings(&specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_X"}, Ambient: []string{"A", "CAP_X"}}})
	if len(got) != 1 || got[0] != "ignoring unknown or unavailable capabilities: [A CAP_X]" {
		t.Error(got)
	}
}

func TestEnvironment(t *testing.T) {
	passwd := func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("root:x:0:0:root:/root:/bin/sh\nbroken\nu:x:7:7::/home/u:\nn:x:8:8:::\n")), nil
	}
	none := func() (io.ReadCloser, error) { return nil, os.ErrNotExist }
	for _, c := range []struct {
		env    []string
		uid    uint32
		passwd func() (io.ReadCloser, error)
		want   []string
	}{
		{[]string{"A=1", "B=2", "A=3", "HOME=/x"}, 0, nil, []string{"B=2", "A=3", "HOME=/x"}},
		{[]string{"AB=1", "A=1"}, 7, passwd, []string{"AB=1", "A=1", "HOME=/home/u"}},
		{[]string{"HOME=/x", "HOME="}, 0, passwd, []string{"HOME=/root"}},
		{nil, 8, passwd, []string{"HOME=/"}},
		{nil, 9, passwd, []string{"HOME=/"}},
		{nil, 0, none, []string{"HOME=/"}},
	} {
		if got := environment(&specs.Process{Env: c.env, User: specs.User{UID: c.uid}}, c.passwd); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.env, got, c.want)
		}
	}
}
