package e2e

import "testing"

func TestDevices(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		code int
		word string
		args []string
	}{
		{0, "", []string{"--device", "/dev/kmsg:/dev/log:w", "busybox", "sh", "-c", "test -c /dev/log && : >/dev/log"}},
		{1, "not permitted", []string{"--device", "/dev/kmsg:/dev/log:w", "busybox", "head", "-c1", "/dev/log"}},
		{1, "not permitted", []string{"busybox", "sh", "-c", "mknod /tmp/kmsg c 1 11 && head -c1 /tmp/kmsg"}},
		{0, "", []string{"--userns", "host", "--device-cgroup-rule", "c 1:11 rwm", "busybox", "sh", "-c", "mknod /tmp/kmsg c 1 11 && : >/tmp/kmsg"}},
		{125, "bad mode specified: zz", []string{"--device", "/dev/null:/dev/x:zz", "busybox", "true"}},
		{125, "foo is not an absolute path", []string{"--device", "foo", "busybox", "true"}},
		{127, `custom device "/dev/nosuch": no such file or directory`, []string{"--device", "/dev/nosuch", "busybox", "true"}},
		{125, `custom device "/etc": not a device node`, []string{"--device", "/etc", "busybox", "true"}},
		{125, "bad format for device path: /x:1mb", []string{"--device-read-bps", "/x:1mb", "busybox", "true"}},
		{125, "invalid rate for device: /dev/x:-1", []string{"--device-write-iops", "/dev/x:-1", "busybox", "true"}},
		{125, "invalid device cgroup format 'foo'", []string{"--device-cgroup-rule", "foo", "busybox", "true"}},
		{125, "range for oom score adj is [-1000, 1000]", []string{"--oom-score-adj", "2000", "busybox", "true"}},
	} {
		h.fails(c.code, []string{c.word}, append([]string{"run", "--rm"}, c.args...)...)
	}
	h.ok("run", "-d", "--name", "score", "--oom-score-adj", "300", "busybox", "sleep", "1000")
	equal(t, "oom_score_adj of exec", h.ok("exec", "score", "cat", "/proc/self/oom_score_adj"), "300")
	if got := h.ok("run", "--rm", "--oom-score-adj", "500", "busybox", "cat", "/proc/self/oom_score_adj"); got != "500" {
		t.Errorf("oom_score_adj: %s", got)
	}
}
