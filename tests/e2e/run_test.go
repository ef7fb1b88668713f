package e2e

import "testing"

func TestRunExitStatus(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		code  int
		words []string
		args  []string
	}{
		{0, nil, []string{"true"}},
		{3, nil, []string{"sh", "-c", "exit 3"}},
		{137, nil, []string{"sh", "-c", "kill -9 $$; sleep 1"}}, // ignored: it is pid 1 of its namespace
		{127, []string{"executable file not found"}, []string{"no-such-command"}},
		{126, []string{"permission denied"}, []string{"/etc/passwd"}},
		{126, []string{"is a directory"}, []string{"/etc"}},
	} {
		if c.code == 137 {
			continue
		}
		h.fails(c.code, c.words, append([]string{"run", "--rm", "busybox"}, c.args...)...)
	}
	equal(t, "containers left", h.ok("ps", "-aq"), "")
}
