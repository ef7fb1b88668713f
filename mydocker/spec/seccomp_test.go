package spec

import (
	"slices"
	"strings"
	"testing"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestMaskedPaths(t *testing.T) {
	facts := Facts{MaskedPaths: []string{"/sys/throttle"}}
	for name, test := range map[string]struct {
		host api.HostConfig
		want []string
	}{
		"default":     {api.HostConfig{}, append(maskedPaths[:], "/sys/throttle")},
		"recorded":    {api.HostConfig{MaskedPaths: []string{"/x"}}, []string{"/x", "/sys/throttle"}},
		"systempaths": {api.HostConfig{MaskedPaths: []string{}}, nil},
		"privileged":  {api.HostConfig{Privileged: true}, nil},
	} {
		if _, s := mountsOf(t, &test.host, facts); !slices.Equal(s.Linux.MaskedPaths, test.want) {
			t.Errorf("%s: %v, want %v", name, s.Linux.MaskedPaths, test.want)
		}
	}
}

func TestSeccompProfile(t *testing.T) {
	const own = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}]}`
	allows := func(s *specs.LinuxSeccomp, name string) bool {
		for _, call := range s.Syscalls {
			for _, n := range call.Names {
				if n == name && call.Action == specs.ActAllow && len(call.Args) == 0 {
					return true
				}
			}
		}
		return false
	}
	for _, test := range []struct {
		host  api.HostConfig
		want  specs.LinuxSeccompAction // "": none
		mount bool
	}{
		{api.HostConfig{}, specs.ActErrno, false},
		{api.HostConfig{CapAdd: []string{"SYS_ADMIN"}}, specs.ActErrno, true},
		{api.HostConfig{SecurityOpt: []string{"seccomp=builtin"}}, specs.ActErrno, false},
		{api.HostConfig{SecurityOpt: []string{"seccomp=unconfined"}}, "", false},
		{api.HostConfig{SecurityOpt: []string{"seccomp=" + own}}, specs.ActAllow, false},
		{api.HostConfig{Privileged: true}, "", false},
		{api.HostConfig{Privileged: true, SecurityOpt: []string{"seccomp=" + own}}, specs.ActAllow, false},
	} {
		s, err := Build(&api.Config{Cmd: []string{"x"}}, &test.host, Facts{Capabilities: allCapabilities()})
		if err != nil {
			t.Fatal(err)
		}
		profile := s.Linux.Seccomp
		if profile == nil {
			if test.want != "" {
				t.Errorf("%v: no profile", test.host.SecurityOpt)
			}
			continue
		}
		if profile.DefaultAction != test.want || allows(profile, "mount") != test.mount {
			t.Errorf("%v: %s, mount %v", test.host.SecurityOpt, profile.DefaultAction, allows(profile, "mount"))
		}
	}
	_, err := Build(&api.Config{Cmd: []string{"x"}}, &api.HostConfig{SecurityOpt: []string{"seccomp={"}}, Facts{Capabilities: allCapabilities()})
	if err == nil || !strings.Contains(err.Error(), "--security-opt seccomp:") {
		t.Error(err)
	}
}
