package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The constants of this file are what `docker run --network none` shows with the
// same root file system (Docker 28 where it differs from 20.10). What a kernel
// may lack (kcore, a masked path) is expected if this host has it.

// pureV2 tells whether the host has only cgroup version 2.
func pureV2(t *testing.T) bool {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &s); err != nil {
		t.Fatal(err)
	}
	return s.Type == unix.CGROUP2_SUPER_MAGIC
}

// onHost tells whether the host has a file.
func onHost(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mountLine is one line of mountinfo, proc_pid_mountinfo(5).
type mountLine struct {
	Target, Options, Type, Super string
}

func parseMountinfo(text string) []mountLine {
	var list []mountLine
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(line, " - ")
		f, rest := strings.Fields(before), strings.Fields(after)
		list = append(list, mountLine{f[4], f[5], rest[0], rest[2]})
	}
	return list
}

func TestInsideMounts(t *testing.T) {
	h := newHost(t)
	const (
		strict   = "rw,nosuid,nodev,noexec,relatime"
		strictRO = "ro,nosuid,nodev,noexec,relatime"
	)
	want := map[string]mountLine{
		"/proc":       {"/proc", strict, "proc", ""},
		"/dev":        {"/dev", "rw,nosuid", "tmpfs", "size=65536k,mode=755"},
		"/dev/pts":    {"/dev/pts", "rw,nosuid,noexec,relatime", "devpts", "gid=5,mode=620,ptmxmode=666"},
		"/dev/shm":    {"/dev/shm", strict, "tmpfs", "size=65536k"},
		"/dev/mqueue": {"/dev/mqueue", strict, "mqueue", ""},
		"/sys":        {"/sys", strictRO, "sysfs", ""},
	}
	if pureV2(t) {
		want["/sys/fs/cgroup"] = mountLine{"/sys/fs/cgroup", strictRO, "cgroup2", ""}
	} else {
		want["/sys/fs/cgroup"] = mountLine{"/sys/fs/cgroup", strictRO, "tmpfs", "mode=755"}
		own, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(own)) {
			controllers := strings.Split(line, ":")[1]
			if controllers == "" {
				continue // the hybrid's version 2 tree, which Docker does not show
			}
			dir := "/sys/fs/cgroup/" + strings.TrimPrefix(controllers, "name=")
			want[dir] = mountLine{dir, strictRO, "cgroup", controllers}
		}
	}
	for _, dir := range []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} {
		if onHost(dir) {
			want[dir] = mountLine{dir, strictRO, "proc", ""}
		}
	}
	seen := map[string]bool{}
	for _, m := range parseMountinfo(h.ok("run", "--rm", "--userns", "host", "busybox", "cat", "/proc/self/mountinfo")) {
		if seen[m.Target] {
			t.Errorf("mounted twice: %s", m.Target)
		}
		seen[m.Target] = true
		w, known := want[m.Target]
		switch {
		case m.Target == "/":
			equal(t, "type of /", m.Type, "overlay")
			if !strings.HasPrefix(m.Options, "rw,") {
				t.Errorf("/ is %s", m.Options)
			}
		case slices.Contains(dockerMasked(), m.Target): // TestInsideMasked
		case m.Target == "/etc/hostname" || m.Target == "/etc/hosts" || m.Target == "/etc/resolv.conf":
			if !strings.HasPrefix(m.Options, "rw") {
				t.Errorf("%s is %s", m.Target, m.Options)
			}
		case !known:
			t.Errorf("Docker has no mount %v", m)
		default:
			for option := range strings.SplitSeq(w.Super, ",") {
				if !slices.Contains(strings.Split(","+m.Super, ","), option) {
					t.Errorf("%s: no %q in %q", m.Target, option, m.Super)
				}
			}
			m.Super = w.Super
			if diff := cmp.Diff(w, m); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
	}
	for target := range want {
		if !seen[target] {
			t.Errorf("no mount %s", target)
		}
	}
	for _, target := range []string{"/", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"} {
		if !seen[target] {
			t.Errorf("no mount %s", target)
		}
	}
}

// dockerMasked is Docker's list, as far as this host has the files.
func dockerMasked() []string {
	list := []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"}
	throttle, _ := filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	return slices.DeleteFunc(append(list, throttle...), func(path string) bool { return !onHost(path) })
}

// A masked file reads as empty and a masked directory lists as empty, and what
// covers them is not the host's: its root may not be changed through it.
func TestInsideMasked(t *testing.T) {
	h := newHost(t)
	null, err := os.Stat("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range dockerMasked() {
		// Harmless on a host where the container can do it.
		got := h.try("run", "--rm", "busybox", "sh", "-c", `
			grep -q " $0 " /proc/self/mountinfo || { echo not covered; exit; }
			if [ -d "$0" ]; then ls -A "$0"; touch "$0/x" && echo written; else cat "$0"; fi
			umount "$0" && echo umounted
			chmod 667 "$0"; touch -d 2001-02-03 "$0"; true`, path)
		equal(t, "shown of "+path, got.out, "")
		if now, err := os.Stat("/dev/null"); err != nil || now.Mode() != null.Mode() || !now.ModTime().Equal(null.ModTime()) {
			os.Chmod("/dev/null", null.Mode().Perm())
			t.Errorf("through %s a container changed the host's /dev/null to %v %v", path, now.Mode(), now.ModTime())
		}
	}
}

// What a container's root may not do. Should it succeed, the host is as before.
func TestInsideDenied(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ script, want string }{
		{"echo x > /proc/sys/kernel/hostname", "Read-only file system"},
		{"cd /proc/irq; now=$(cat default_smp_affinity); echo $now > default_smp_affinity", "Read-only file system"},
		{"touch /sys/x", "Read-only file system"},
		{"mkdir /sys/fs/cgroup/x", "Read-only file system"},
		{"mkdir $(ls -d /sys/fs/cgroup/memory 2>/dev/null || echo /sys/fs/cgroup)/x", "Read-only file system"},
		{"mount -t tmpfs x /tmp", "permission denied"},
		{"umount /proc/sys", "Operation not permitted"},
		{"mount -o remount,rw /sys", "permission denied"},
		{"hostname x", "Operation not permitted"},
		{"unshare -m true", "Operation not permitted"},
		{"mknod /disk b 8 0 && cat /disk", "Operation not permitted"},
		{"mknod /kmsg c 1 11 && cat /kmsg", "Operation not permitted"},
		{"date -s @$(date +%s) >/dev/null; false", "Operation not permitted"},
		{"dmesg", "Operation not permitted"},
		{"ip link add x type dummy", "Operation not permitted"},
	} {
		r := h.try("run", "--rm", "busybox", "sh", "-c", c.script)
		if r.code == 0 || !strings.Contains(r.err, c.want) {
			t.Errorf("want %q: %s", c.want, r)
		}
	}
	// And what it may: nodes of its own, root directories of its own.
	equal(t, "allowed", h.ok("run", "--rm", "--userns", "host", "busybox", "sh", "-c",
		"mknod /zero c 1 5 && head -c 3 /zero | wc -c; chroot / echo chroot; chown 5:6 /tmp && stat -c %u:%g /tmp"), "3\nchroot\n5:6")
}

func TestInsideDev(t *testing.T) {
	h := newHost(t)
	want := `/dev directory 755 0 0 0:0
/dev/fd -> /proc/self/fd
/dev/full character special file 666 1 7 0:0
/dev/mqueue directory 1777 0 0 0:0
/dev/null character special file 666 1 3 0:0
/dev/ptmx -> pts/ptmx
/dev/pts directory 755 0 0 0:0
/dev/pts/ptmx character special file 666 5 2 0:0
/dev/random character special file 666 1 8 0:0
/dev/shm directory 1777 0 0 0:0
/dev/stderr -> /proc/self/fd/2
/dev/stdin -> /proc/self/fd/0
/dev/stdout -> /proc/self/fd/1
/dev/tty character special file 666 5 0 0:0
/dev/urandom character special file 666 1 9 0:0
/dev/zero character special file 666 1 5 0:0`
	if onHost("/proc/kcore") {
		want = "/dev/core -> /proc/kcore\n" + want
	}
	got := strings.Split(h.ok("run", "--rm", "busybox", "sh", "-c", `
		for f in /dev /dev/* /dev/pts/* /dev/shm/* /dev/mqueue/*; do
			if [ -L $f ]; then echo "$f -> $(readlink $f)"
			elif [ -e $f ]; then echo $(stat -c '%n %F %a %t %T %u:%g' $f); fi
		done`), "\n")
	slices.Sort(got)
	expected := strings.Split(want, "\n")
	slices.Sort(expected)
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("-docker +mydocker:\n%s", diff)
	}
	equal(t, "devices work", h.ok("run", "--rm", "busybox", "sh", "-c",
		"echo x > /dev/null && head -c 4 /dev/urandom | wc -c; echo out > /dev/stdout; echo x > /dev/full 2>/dev/null || echo full; (: > /dev/tty) 2>/dev/null || echo no tty"),
		"4\nout\nfull\nno tty")
}

func TestInsideTerminal(t *testing.T) {
	h := newHost(t)
	got := h.ok("run", "--rm", "-t", "busybox", "sh", "-c",
		"tty; echo $TERM; echo $(stat -c '%F %a %t:%T %u:%g' /dev/console /dev/pts/0); ls /dev/pts; : > /dev/tty && echo controlling; grep -c ' /dev/console devpts' /proc/mounts")
	equal(t, "terminal", strings.ReplaceAll(got, "\r", ""),
		"/dev/pts/0\nxterm\ncharacter special file 620 88:0 0:5 character special file 620 88:0 0:5\n0     ptmx\ncontrolling\n1")
	if got := h.try("run", "--rm", "-t", "-u", "student", "busybox", "sh", "-c", "stat -c %u:%g /dev/pts/0; echo x > /dev/tty && echo ok"); got.code != 0 ||
		strings.ReplaceAll(got.out, "\r", "") != "1000:5\nx\nok\n" {
		t.Errorf("a terminal belongs to the container's user: %s", got)
	}
}
