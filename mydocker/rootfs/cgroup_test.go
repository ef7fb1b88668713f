package rootfs

import "testing"

func TestOwnGroup(t *testing.T) {
	const groups = "5:name=systemd:/user/1\n4:cpu,cpuacct:/a/b\n2:memory:/\n0::/slice/scope\n"
	for _, c := range []struct {
		root    string
		options []string
		want    string
	}{
		{"/", []string{"cpu", "cpuacct"}, "/a/b"}, {"/a", []string{"cpuacct", "cpu"}, "/b"}, {"/", []string{"memory"}, ""},
		{"/", []string{"name=systemd"}, "/user/1"}, {"/", []string{"pids"}, ""}, {"/", []string{""}, "/slice/scope"}, {"/slice", []string{""}, "/scope"},
	} {
		if got := ownGroup(groups, c.root, c.options); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.root, c.options, got, c.want)
		}
	}
}
