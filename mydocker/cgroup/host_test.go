package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMounts(t *testing.T) {
	v2 := hierarchy{mount: "/sys/fs/cgroup", root: "/"}
	tests := []struct {
		name, mountinfo string
		want            *Hierarchies
	}{
		{"none", "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n", &Hierarchies{Version: 2}},
		{"version 2", "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			&Hierarchies{Version: 2, trees: []hierarchy{v2}}},
		{"version 2 with name=systemd", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n36 24 0:31 / /cg rw - cgroup none rw,name=systemd\n",
			&Hierarchies{Version: 2, trees: []hierarchy{v2, {name: "name=systemd", mount: "/cg", root: "/"}}}},
		{"hybrid", `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
50 31 0:32 / /srv/rootfs/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
`, &Hierarchies{Version: 1, trees: []hierarchy{
			{name: "cpu,cpuacct", mount: "/sys/fs/cgroup/cpu,cpuacct", root: "/"},
			{name: "memory", mount: "/sys/fs/cgroup/memory", root: "/"},
			{name: "name=systemd", mount: "/sys/fs/cgroup/systemd", root: "/"},
			{mount: "/sys/fs/cgroup/unified", root: "/"}}}},
		{"nested, one read-only", `35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:33 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
`, &Hierarchies{Version: 1, trees: []hierarchy{{name: "memory", mount: "/sys/fs/cgroup/memory", root: "/docker/abc"}}}},
	}
	names := map[string]string{"": "/", "cpu,cpuacct": "/", "memory": "/", "pids": "/", "name=systemd": "/"}
	for _, test := range tests {
		got := parseMounts(test.mountinfo, names)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Hierarchies{}, hierarchy{})); diff != "" {
			t.Errorf("%s: -want +got:\n%s", test.name, diff)
		}
	}
}

func TestReadProcCgroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cgroup")
	if err := os.WriteFile(file, []byte("4:memory:/a:b\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/unified\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readProcCgroup(file)
	want := map[string]string{"memory": "/a:b", "cpu,cpuacct": "/", "name=systemd": "/x", "": "/unified"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, path := range []string{"", "/", "relative", "/a/../..", "/a/", "//a"} {
		if _, err := Open(path); err == nil {
			t.Errorf("Open(%q): no error", path)
		}
	}
}
