package e2e

import "testing"

// TestDiff: what it lists was asked of docker with the same lines, but for the
// order of names in one directory, which is chance there.
func TestDiff(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	h.ok("run", "--name", "c1", "-v", dir+":/vol/x", "-w", "/wd", "busybox", "sh", "-c", `touch /bin/busybox; chmod 700 /home; rm -rf /var; mkdir /var; touch /var/new
		mkdir -p /usr/a; rmdir /usr/a; rm /bin/ls; ln /bin/busybox /bin/bb2; touch -d 2001-01-01 /etc; chmod 600 /etc/passwd; chmod 644 /etc/passwd; mv /bin/cat /bin/cat2
		rm /etc/group; mkdir /etc/group; echo >/etc/group/q; echo >/x-y; mkdir /x; echo >/x/z; echo >/etc/hosts; touch /vol/x/f`)
	want := `C /bin
A /bin/bb2
C /bin/busybox
D /bin/cat
A /bin/cat2
D /bin/ls
C /etc
C /etc/group
A /etc/group/q
C /home
C /var
D /var/log
A /var/new
D /var/spool
D /var/tmp
A /vol
A /vol/x
A /wd
A /x
A /x/z
A /x-y`
	equal(t, "changes", h.ok("diff", "c1"), want)
	h.ok("run", "-d", "--name", "c2", "busybox", "sh", "-c", "mkdir /a; sleep 1000")
	h.eventually("a running container's changes", func() bool { return h.ok("diff", "c2") == "A /a" })
	h.ok("create", "--name", "c3", "busybox", "true")
	equal(t, "never started", h.ok("container", "diff", "c3"), "")
	h.ok("run", "--name", "c4", "busybox", "true")
	equal(t, "mount points", h.ok("diff", "c4"), "")
	h.fails(1, []string{"Error: No such container: none"}, "diff", "none")
}
