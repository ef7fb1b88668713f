package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// recording is what testdata/record.sh has seen dockerd do.
type recording struct {
	Flags, ID                               string
	Config                                  *api.Config
	HostConfig                              *api.HostConfig
	HostnamePath, HostsPath, ResolvConfPath string
	Spec                                    *specs.Spec
}

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
	testGroup  = "root:x:0:\nuser:x:1000:\nwheel:x:10:user\nextra:x:77:\n"
)

// TestAsDocker builds a specification from what the recorded dockerd (20.10)
// kept of the flags, and compares it with what that wrote for runc.
func TestAsDocker(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 25 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r recording
			if err := json.Unmarshal(data, &r); err != nil {
				t.Fatal(err)
			}
			facts := factsOf(t, r)
			got, err := Build(r.Config, r.HostConfig, facts)
			if err != nil {
				t.Fatal(err)
			}
			compareDevices(t, got, r.Spec)
			adjust(got, r, facts)
			if diff := cmp.Diff(r.Spec, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("docker run %s: dockerd -, mydocker +\n%s", r.Flags, diff)
			}
		})
	}
}

func factsOf(t *testing.T, r recording) Facts {
	user, home, err := ResolveUser(r.Config.User, r.HostConfig.GroupAdd, strings.NewReader(testPasswd), strings.NewReader(testGroup))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := Mounts(r.Config, r.HostConfig)
	if err != nil {
		t.Fatal(err)
	}
	facts := Facts{
		ID: r.ID, Hostname: "the-host", Rootfs: r.Spec.Root.Path, CgroupPath: r.Spec.Linux.CgroupsPath,
		User: user, Home: home, Mounts: mounts,
		HostnamePath: r.HostnamePath, HostsPath: r.HostsPath, ResolvConfPath: r.ResolvConfPath,
		Capabilities: allCapabilities(), CPUs: "0-1",
		HostDevices: r.Spec.Linux.Devices,
	}
	null := specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}
	for _, d := range r.Spec.Linux.Devices {
		if d.Path == "/dev/mynull" {
			null.FileMode, null.UID, null.GID = d.FileMode, d.UID, d.GID
			facts.Devices = map[string][]specs.LinuxDevice{"/dev/null": {null}}
		}
	}
	return facts
}

// allCapabilities are those that Docker 20.10 knew: what a privileged container had.
func allCapabilities() []string {
	var r recording
	data, err := os.ReadFile("testdata/privileged.json")
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		panic(err)
	}
	return r.Spec.Process.Capabilities.Bounding
}

// adjust removes the differences that are meant, so that none else hides.
func adjust(got *specs.Spec, r recording, facts Facts) {
	want := r.Spec
	want.Version = got.Version
	want.Hooks = nil // sets the network up
	sortCapabilities(got.Process.Capabilities)
	sortCapabilities(want.Process.Capabilities)

	// runc adds HOME, mydocker's init does not know of it.
	if !slices.ContainsFunc(want.Process.Env, func(v string) bool { return strings.HasPrefix(v, "HOME=") }) {
		want.Process.Env = append(want.Process.Env, "HOME="+facts.Home)
	}
	slices.Sort(want.Process.User.AdditionalGids)
	slices.Sort(got.Process.User.AdditionalGids)
	sortNamespaces(want.Linux.Namespaces)
	sortNamespaces(got.Linux.Namespaces)
	// Docker 20.10 writes 0 where nothing is asked for; runc ignores it.
	if cpu := want.Linux.Resources.CPU; cpu != nil && *cpu.Shares == 0 {
		cpu.Shares = nil
	}
	if weight := want.Linux.Resources.BlockIO.Weight; weight != nil && *weight == 0 {
		want.Linux.Resources.BlockIO.Weight = nil
	}
	// The host's network namespace has a path there, and is not listed here.
	want.Linux.Namespaces = slices.DeleteFunc(want.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Path == "/var/run/docker/netns/default"
	})
	for i, m := range got.Mounts {
		if slices.Contains(m.Options, "exec") { // the later option counts; dockerd leaves out the earlier
			got.Mounts[i].Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "noexec" })
		}
		for i, option := range m.Options {
			switch option {
			case "rro": // Docker 20.10 left what is mounted below the source writable
				m.Options[i] = "ro"
			case "size=2097152":
				m.Options[i] = "size=2m"
			}
		}
	}
	sortMounts(want.Mounts)
	sortMounts(got.Mounts)
	// Seccomp has its own tests; here only whether there is a profile.
	if got.Linux.Seccomp != nil {
		got.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: got.Linux.Seccomp.DefaultAction}
	}
}

func sortNamespaces(list []specs.LinuxNamespace) {
	slices.SortFunc(list, func(a, b specs.LinuxNamespace) int { return strings.Compare(string(a.Type), string(b.Type)) })
}

func sortCapabilities(c *specs.LinuxCapabilities) {
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
		slices.Sort(*set)
	}
}

func sortMounts(all []specs.Mount) {
	slices.SortFunc(all, func(a, b specs.Mount) int { return strings.Compare(a.Destination, b.Destination) })
	for _, m := range all {
		slices.Sort(m.Options)
	}
}

// compareDevices compares what the rules decide, and takes them out. runc adds
// rules of its own to dockerd's; mydocker's specification has them.
func compareDevices(t *testing.T, got, want *specs.Spec) {
	wanted := append(want.Linux.Resources.Devices,
		deviceRule("c", anyNumber, anyNumber, "m"), deviceRule("b", anyNumber, anyNumber, "m"),
		deviceRule("c", 1, 7, "rwm"), deviceRule("c", 5, 2, "rwm"), deviceRule("c", 136, anyNumber, "rwm"))
	for _, kind := range []string{"b", "c"} {
		for _, major := range []int64{0, 1, 5, 7, 8, 10, 136, 200} {
			for minor := range int64(12) {
				for _, access := range []string{"r", "w", "m"} {
					g := decide(got.Linux.Resources.Devices, kind, major, minor, access)
					if w := decide(wanted, kind, major, minor, access); g != w {
						t.Errorf("device %s %d:%d %s: dockerd and runc allow %v, mydocker %v", kind, major, minor, access, w, g)
					}
				}
			}
		}
	}
	got.Linux.Resources.Devices, want.Linux.Resources.Devices = nil, nil
}

func decide(rules []specs.LinuxDeviceCgroup, kind string, major, minor int64, access string) (allowed bool) {
	matches := func(rule *int64, n int64) bool { return rule == nil || *rule == anyNumber || *rule == n }
	for _, r := range rules {
		if (r.Type == "" || r.Type == "a" || r.Type == kind) && matches(r.Major, major) && matches(r.Minor, minor) && strings.Contains(r.Access, access) {
			allowed = r.Allow
		}
	}
	return allowed
}
