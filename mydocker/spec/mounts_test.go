package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseBind(t *testing.T) {
	bound := func(source, target string, readOnly bool, p mount.Propagation) mount.Mount {
		return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly,
			BindOptions: &mount.BindOptions{CreateMountpoint: true, Propagation: p}}
	}
	for _, test := range []struct {
		raw  string
		want mount.Mount
		err  string
	}{
		{"/a:/b", bound("/a", "/b", false, ""), ""},
		{"/a/../c/:/b:ro", bound("/c", "/b", true, ""), ""},
		{"/a:/b:rslave,ro,z", bound("/a", "/b", true, "rslave"), ""},
		{"name:/b:rw", mount.Mount{Type: mount.TypeVolume, Source: "name", Target: "/b"}, ""},
		{"name:/b:nocopy", mount.Mount{Type: mount.TypeVolume, Source: "name", Target: "/b", VolumeOptions: &mount.VolumeOptions{NoCopy: true}}, ""},
		{"/b", mount.Mount{Type: mount.TypeVolume, Target: "/b"}, ""},
		{"/b:ro", mount.Mount{}, "invalid volume specification: '/b:ro': invalid mount config for type \"bind\": invalid mount path: 'ro' mount path must be absolute"},
		{"/a:/b:ro:x", mount.Mount{}, "invalid volume specification: '/a:/b:ro:x': not SOURCE:TARGET[:MODE]"},
		{"", mount.Mount{}, "invalid volume specification: '': not SOURCE:TARGET[:MODE]"},
		{"/a:/b:readonly", mount.Mount{}, "invalid volume specification: '/a:/b:readonly': invalid mode: readonly"},
		{"/a:/b:ro,rw", mount.Mount{}, "invalid volume specification: '/a:/b:ro,rw': invalid mode: ro,rw"},
		{"/a:/b:nocopy", mount.Mount{}, `invalid volume specification: '/a:/b:nocopy': invalid mount config for type "bind": field VolumeOptions must not be specified`},
		{"/a:b", mount.Mount{}, `invalid volume specification: '/a:b': invalid mount config for type "bind": invalid mount path: 'b' mount path must be absolute`},
		{"/a:/", mount.Mount{}, `invalid volume specification: '/a:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`},
	} {
		got, err := Mounts(&api.Config{}, &api.HostConfig{Binds: []string{test.raw}})
		want := []mount.Mount{test.want}
		if test.err != "" {
			want = nil
		}
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%q: %v %s", test.raw, err, diff)
		}
	}
}

func TestMounts(t *testing.T) {
	config := &api.Config{Volumes: map[string]struct{}{"/data": {}, "/cache": {}, "/b/": {}, "/tmp": {}}}
	host := &api.HostConfig{
		Binds:  []string{"/a:/b"},
		Mounts: []mount.Mount{{Type: mount.TypeTmpfs, Target: "/t/"}},
		Tmpfs:  map[string]string{"/tmp": ""},
	}
	all, err := Mounts(config, host)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, string(m.Type)+" "+m.Target)
	}
	if diff := cmp.Diff([]string{"bind /b", "tmpfs /t", "volume /cache", "volume /data"}, got); diff != "" {
		t.Error(diff)
	}
	for want, host := range map[string]*api.HostConfig{
		"Duplicate mount point: /b":                            {Binds: []string{"/a:/b", "/c:/b/"}},
		"Duplicate mount point: /t":                            {Binds: []string{"/a:/t"}, Tmpfs: map[string]string{"/t": ""}},
		"field Source must not be empty":                       {Mounts: []mount.Mount{{Type: "bind", Target: "/b"}}},
		"field Target must not be empty":                       {Mounts: []mount.Mount{{Type: "bind", Source: "/b"}}},
		"invalid mount config for type \"x\"":                  {Mounts: []mount.Mount{{Type: "x", Target: "/b"}}},
		"invalid propagation mode: up":                         {Mounts: []mount.Mount{{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{Propagation: "up"}}}},
		"field Source must not be specified":                   {Mounts: []mount.Mount{{Type: "tmpfs", Source: "/a", Target: "/b"}}},
		"invalid mount path: 'b' mount path must be absolute":  {Mounts: []mount.Mount{{Type: "bind", Source: "/a", Target: "b"}}},
		"must not set ReadOnly mode when using anonymous volu": {Mounts: []mount.Mount{{Type: "volume", Target: "/b", ReadOnly: true}}},
	} {
		if _, err := Mounts(&api.Config{}, host); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestTmpfsOptions(t *testing.T) {
	for given, want := range map[string]string{
		"":                        "noexec,nosuid,nodev,rprivate",
		"exec,size=1m,size=2m":    "noexec,nosuid,nodev,rprivate,exec,size=1m,size=2m",
		"rw,noatime,uid=1,gid=10": "noexec,nosuid,nodev,rprivate,rw,noatime,uid=1,gid=10",
	} {
		host := &api.HostConfig{Tmpfs: map[string]string{"/t/": given}}
		if err := Validate(&api.Config{}, host, Facts{}); err != nil {
			t.Errorf("%q: %v", given, err)
		}
		if options, _ := mountsOf(t, host, Facts{}); options["/t"] != want {
			t.Errorf("%q: %s, want %s", given, options["/t"], want)
		}
	}
	m := mount.Mount{Type: mount.TypeTmpfs, Target: "/t", ReadOnly: true, TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 5, Mode: 0o700}}
	if options, _ := mountsOf(t, &api.HostConfig{}, Facts{Mounts: []mount.Mount{m}}); options["/t"] != "noexec,nosuid,nodev,rprivate,ro,mode=700,size=5" {
		t.Errorf("--mount type=tmpfs: %s", options["/t"])
	}
}

// mountsOf builds and maps targets to options.
func mountsOf(t *testing.T, host *api.HostConfig, facts Facts) (map[string]string, *specs.Spec) {
	t.Helper()
	facts.Capabilities = allCapabilities()
	s, err := Build(&api.Config{Cmd: []string{"x"}}, host, facts)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range s.Mounts {
		all[m.Destination] = strings.Join(m.Options, ",")
	}
	return all, s
}

func TestOrderAndPropagation(t *testing.T) {
	bound := func(target string, p mount.Propagation) mount.Mount {
		return mount.Mount{Type: mount.TypeBind, Source: "/s", Target: target, BindOptions: &mount.BindOptions{Propagation: p, NonRecursive: true}}
	}
	facts := Facts{HostsPath: "/h", Mounts: []mount.Mount{bound("/x/y/z", ""), bound("/x/y", "shared"), bound("/x", "rslave"), bound("/etc/hosts", "")}}
	options, s := mountsOf(t, &api.HostConfig{Tmpfs: map[string]string{"/x/t": ""}}, facts)
	if options["/x"] != "bind,rslave" || options["/etc/hosts"] != "bind,rprivate" || s.Linux.RootfsPropagation != "shared" {
		t.Errorf("%v, root %s", options, s.Linux.RootfsPropagation)
	}
	var order []string
	for _, m := range s.Mounts[7:] {
		order = append(order, m.Destination)
	}
	if want := []string{"/x", "/etc/hosts", "/x/t", "/x/y", "/x/y/z"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestReadOnlyBind(t *testing.T) {
	for want, o := range map[string]*mount.BindOptions{
		"rbind,rprivate,rro": nil, "rbind,rprivate,ro": {ReadOnlyNonRecursive: true}, "bind,rprivate,rro": {NonRecursive: true},
	} {
		facts := Facts{Mounts: []mount.Mount{{Type: mount.TypeBind, Source: "/s", Target: "/x", ReadOnly: true, BindOptions: o}}}
		if options, _ := mountsOf(t, &api.HostConfig{}, facts); options["/x"] != want {
			t.Errorf("%s, want %s", options["/x"], want)
		}
	}
}

func TestOwnDev(t *testing.T) {
	facts := Facts{Mounts: []mount.Mount{{Type: mount.TypeBind, Source: "/dev", Target: "/dev"}}}
	options, _ := mountsOf(t, &api.HostConfig{}, facts)
	if _, ok := options["/dev/pts"]; ok || options["/dev"] != "rbind,rprivate" {
		t.Errorf("mounts under a /dev of the user's own: %v", options)
	}
}
