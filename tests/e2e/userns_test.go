package e2e

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newUserns is newHost with private as the default mode, whatever that of the run is.
func newUserns(t *testing.T) *host {
	h := newHost(t)
	h.env = append(h.env, "MYDOCKER_CONFIG=")
	return h
}

// idsOf are the first user ID of a container on the host, which must be of its own, and the
// lease of them.
func (h *host) idsOf(ref string) (first int, leases string) {
	h.t.Helper()
	words := strings.Fields(h.inspect(ref, "{{.UserNamespace.Mode}} {{.UserNamespace.First}} {{.UserNamespace.Size}} {{.UserNamespace.Reason}}."))
	first, err := strconv.Atoi(words[1])
	if err != nil || words[0] != "private" || first < 65536 || first%65536 != 0 || words[2] != "65536" || len(words) != 4 {
		h.t.Fatalf("user namespace of %s: %q", ref, words)
	}
	return first, "/run/mydocker-host/ids/" + words[1]
}

// since tells whether the kernel is of that version or newer.
func since(major, minor int) bool {
	var names unix.Utsname
	unix.Uname(&names)
	var x, y int
	fmt.Sscanf(unix.ByteSliceToString(names.Release[:]), "%d.%d", &x, &y)
	return x > major || x == major && y >= minor
}

// ownerOf is the owner of a file on the host.
func ownerOf(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// Root inside is nobody outside, and notices nothing of it.
func TestUserns(t *testing.T) {
	h := newUserns(t)
	dir := h.dir("data")
	for _, name := range []string{"one", "two"} {
		h.ok("run", "-d", "--name", name, "-v", dir+":/data", "-v", "shared:/vol", "busybox", "sleep", "1000")
	}
	one, leases := h.idsOf("one")
	two, _ := h.idsOf("two")
	if one == two {
		t.Errorf("both have %d", one)
	}
	equal(t, "map", strings.Join(strings.Fields(h.ok("exec", "one", "cat", "/proc/self/uid_map", "/proc/self/gid_map")), " "), fmt.Sprintf("0 %d 65536 0 %d 65536", one, one))
	equal(t, "its process", ownerOf(t, "/proc/"+h.pid("one")), fmt.Sprintf("%d:%d", one, one))
	for _, ns := range []string{"user", "pid", "net", "ipc", "uts", "cgroup", "mnt"} {
		ours, _ := os.Readlink("/proc/self/ns/" + ns)
		if theirs, err := os.Readlink("/proc/" + h.pid("one") + "/ns/" + ns); err != nil || ours == theirs {
			t.Errorf("%s namespace: %s, %v", ns, theirs, err)
		}
	}

	// Files have the same owners inside and outside; what is written above an image has not.
	equal(t, "owners", h.ok("exec", "one", "sh", "-c", `stat -c %u:%g / /bin/sh /etc/hosts /dev/null /dev/pts /dev/zero /tmp /data/f /vol; id -u`),
		strings.Repeat("0:0\n", 9)+"0")
	for _, name := range []string{"one", "two"} {
		h.ok("exec", name, "sh", "-c", `for d in /data /vol /; do echo x > $d/`+name+`; echo y > $d/y`+name+`; chown 1000:7 $d/y`+name+`; done; echo >> /data/f; chmod 600 /data/f`)
	}
	h.ok("exec", "-u", "1000", "one", "sh", "-c", `echo more >> /data/yone; ! cat /data/f 2> /dev/null`)
	for path, want := range map[string]string{
		dir + "/f": "0:0", dir + "/one": "0:0", dir + "/two": "0:0", dir + "/yone": "1000:7",
		h.root + "/volumes/shared/_data/two": "0:0", h.root + "/volumes/shared/_data/yone": "1000:7",
		h.root + "/containers/" + h.inspect("one", "{{.Id}}") + "/rw/upper/one":  fmt.Sprintf("%d:%d", one, one),
		h.root + "/containers/" + h.inspect("two", "{{.Id}}") + "/rw/upper/ytwo": fmt.Sprintf("%d:%d", two+1000, two+7),
	} {
		equal(t, path, ownerOf(t, path), want)
	}
	equal(t, "seen from two", h.ok("exec", "two", "stat", "-c", "%u:%g", "/data/yone", "/vol/yone", "/vol/one"), "1000:7\n1000:7\n0:0")

	// It keeps them, and gives them back.
	h.ok("restart", "-t", "0", "one")
	again, _ := h.idsOf("one")
	equal(t, "after a restart", fmt.Sprint(again, h.ok("exec", "one", "stat", "-c", "%u:%g", "/yone", "/one")), fmt.Sprint(one, "1000:7\n0:0"))
	h.ok("rm", "-f", "one")
	if _, err := os.Lstat(leases); err == nil {
		t.Errorf("%s is still there", leases)
	}
}

// What the kernel asks of who is in a user namespace is met.
func TestUsernsInside(t *testing.T) {
	h := newUserns(t)
	for _, c := range []struct{ want, script string }{
		{"0 65535\n0", "cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start | tr '\\t' ' '"},
		{"1 packets received", "ping -c 1 127.0.0.1 | grep -o '1 packets received'"},
		{"x", "echo x > /dev/shm/f; cat /dev/shm/f"},
		{"0:0 1777", "stat -c '%u:%g %a' /dev/shm"},
		{"ok", "mknod /x c 1 3 2> /dev/null || echo ok"},
		{"ok", "mount -t tmpfs x /tmp 2> /dev/null || echo ok"},
		{"ok", "cat /proc/1/environ > /dev/null; kill -0 1; echo ok"},
	} {
		equal(t, c.script, h.ok("run", "--rm", "busybox", "sh", "-c", c.script), c.want)
	}
	equal(t, "user", h.ok("run", "--rm", "-u", "1000:1000", "busybox", "sh", "-c", "echo ok > /dev/stderr 2>&1; echo fine > /dev/stdout; id -u"), "fine\n1000")
	equal(t, "options", h.ok("run", "--rm", "--init", "--read-only", "--tmpfs", "/t", "--sysctl", "net.ipv4.ip_forward=1", "--hostname", "hh", "--domainname", "dd", "busybox",
		"sh", "-c", "echo x > /t/x; cat /proc/sys/net/ipv4/ip_forward; hostname; cat /proc/sys/kernel/domainname; cat /proc/1/comm; ! touch /x 2> /dev/null"), "1\nhh\ndd\ndocker-init")
	equal(t, "device", h.ok("run", "--rm", "--device", "/dev/zero:/dev/nought", "busybox", "sh", "-c", "head -c 3 /dev/nought | wc -c; stat -c %u:%g:%a /dev/nought"), "3\n0:0:666")
	equal(t, "mount inside", h.ok("run", "--rm", "--cap-add", "SYS_ADMIN", "busybox", "sh", "-c", "mount -t tmpfs x /tmp && echo ok"), "ok")
	p := h.onTerminal("run", "--rm", "-it", "-u", "1000", "busybox", "sh", "-c", "stat -c %u $(tty); echo ok > $(tty)")
	p.shows("1000")
	p.shows("ok")
	h.ok("run", "-d", "--name", "c1", "--restart", "always", "--health-cmd", "test -e /up", "--health-interval", "1s", "busybox", "sh", "-c", "touch /up; exec sleep 1000")
	h.eventually("it is healthy", func() bool { return h.inspect("c1", "{{.State.Health.Status}}") == "healthy" })
	p = h.onTerminal("exec", "-it", "-u", "1000", "c1", "sh", "-c", "stat -c %u $(tty); echo ok > $(tty)")
	p.shows("1000")
	p.shows("ok")
	killProcess(h, "c1")
	h.hasLife("c1", "running 1 0")
	equal(t, "files", h.ok("exec", "c1", "stat", "-c", "%u", "/up"), "0")
}

// One flag, and a word in the settings, decide; what cannot be is refused or said.
func TestUsernsModes(t *testing.T) {
	h := newUserns(t)
	const show = "{{.UserNamespace.Mode}} {{.UserNamespace.Size}} {{.UserNamespace.Reason}}"
	for flags, reason := range map[string]string{"--userns host": "--userns host", "--privileged": "--privileged", "--network host": "--network host", "--pid host": "--pid host", "--ipc host": "--ipc host"} {
		ref := h.ok(append(append([]string{"create"}, strings.Fields(flags)...), "busybox", "readlink", "/proc/self/ns/user")...)
		equal(t, flags, h.inspect(ref, show), "host 0 "+reason)
		ours, _ := os.Readlink("/proc/self/ns/user")
		equal(t, flags, h.ok("start", "-a", ref), ours)
	}
	for words, flag := range map[string][]string{
		"privileged mode is incompatible with user namespaces":                       {"--privileged"},
		"cannot share the host's network namespace when user namespaces are enabled": {"--network", "host"},
		"cannot share the host PID namespace when user namespaces are enabled":       {"--pid", "host"},
		"cannot share the host IPC namespace when user namespaces are enabled":       {"--ipc", "host"},
	} {
		for _, mode := range []string{"private", "auto"} {
			h.fails(125, []string{words}, append(append([]string{"run", "--rm", "--userns", mode}, flag...), "busybox")...)
		}
	}
	h.fails(125, []string{"--userns: invalid USER mode"}, "create", "--userns", "keep-id", "busybox")
	h.idsOf(h.ok("create", "--userns", "auto", "busybox"))
	equal(t, "as asked for", h.inspect(h.ok("create", "--userns", "private", "busybox"), "{{.HostConfig.UsernsMode}}"), "private")
	equal(t, "info", h.ok("info", "-f", "{{.SecurityOptions}}"), "[name=seccomp,profile=builtin name=userns name=cgroupns]")
	if out := h.ok("doctor"); !strings.Contains(out, "containers get a user namespace of their own") {
		t.Error(out)
	}

	h.configure(`{"userns": "host"}`)
	equal(t, "info", h.ok("info", "-f", "{{.SecurityOptions}}"), "[name=seccomp,profile=builtin name=cgroupns]")
	equal(t, "settings", h.inspect(h.ok("create", "busybox"), show), "host 0 userns is host in the settings")
	h.idsOf(h.ok("create", "--userns", "private", "--name", "kept", "busybox"))
	h.configure(`{"userns": "nonsense"}`)
	h.fails(1, []string{"userns: invalid user namespace mode", "nonsense"}, "ps")
	h.configure(`{"userns-pool": {"first": 1, "size": 65536}}`)
	h.fails(1, []string{"userns-pool: invalid pool of ids"}, "ps")

	// A record of before there were modes.
	h.configure(`{}`)
	path := h.root + "/containers/" + h.ok("create", "--name", "old", "busybox", "cat", "/proc/self/uid_map") + "/config.json"
	first, leases := h.idsOf("old")
	var record map[string]any
	if err := json.Unmarshal([]byte(read(t, path)), &record); err != nil {
		t.Fatal(err)
	}
	delete(record, "UserNamespace")
	text, _ := json.Marshal(record)
	h.write(path, string(text))
	equal(t, "old record", h.inspect("old", show), "host 0 ")
	if out := h.ok("start", "-a", "old"); strings.Contains(out, fmt.Sprint(first)) {
		t.Errorf("map of the old one: %s", out)
	}
	h.ok("rm", "old")
	links, _ := filepath.Glob(leases + "*") // the test's, not the engine's
	for _, link := range links {
		os.Remove(link)
	}
}

// Who shares a container's namespaces shares its user namespace and IDs.
func TestUsernsJoin(t *testing.T) {
	h := newUserns(t)
	h.ok("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sh", "-c", "echo of the donor > /dev/shm/f; sleep 1000")
	donor, leases := h.idsOf("donor")
	theirs := h.ok("exec", "donor", "readlink", "/proc/self/ns/user")
	dir := h.dir("data")
	for _, kind := range []string{"network", "ipc", "pid"} {
		equal(t, kind, h.ok("run", "--name", kind, "--"+kind, "container:donor", "-v", dir+":/data", "busybox", "sh", "-c",
			`readlink /proc/self/ns/user; stat -c %u /data/f; touch /data/`+kind+`; ping -c 1 127.0.0.1 > /dev/null; [ -d /sys/class ] && echo fine`), theirs+"\n0\nfine")
		equal(t, kind, ownerOf(t, dir+"/"+kind), "0:0")
		if first, _ := h.idsOf(kind); first != donor {
			t.Errorf("%s: %d, want %d", kind, first, donor)
		}
	}
	equal(t, "all", h.ok("run", "--rm", "--network", "container:donor", "--ipc", "container:donor", "--pid", "container:donor", "busybox", "sh", "-c", "cat /dev/shm/f; stat -c %u /dev/shm/f /proc/1"), "of the donor\n0\n0")

	h.ok("run", "-d", "--name", "other", "--ipc", "shareable", "busybox", "sleep", "1000")
	other, _ := h.idsOf("other")
	h.ok("run", "-d", "--name", "hosts", "--userns", "host", "busybox", "sleep", "1000")
	h.fails(1, []string{fmt.Sprintf("container donor (user ids %d-%d) and container other (user ids %d-%d)", donor, donor+65535, other, other+65535)},
		"create", "--network", "container:donor", "--ipc", "container:other", "busybox")
	h.fails(1, []string{"container donor (user ids", "and container hosts (user namespace of the host)"}, "create", "--network", "container:donor", "--pid", "container:hosts", "busybox")
	h.fails(1, []string{"--userns private", "container hosts, which has the host's user namespace"}, "create", "--userns", "private", "--pid", "container:hosts", "busybox")
	equal(t, "of the host", h.inspect(h.ok("create", "--pid", "container:hosts", "busybox"), "{{.UserNamespace.Mode}}"), "host")
	// Who has the host's users may look into any.
	equal(t, "privileged", h.ok("run", "--rm", "--privileged", "--network", "container:donor", "--pid", "container:other", "busybox", "sh", "-c", "stat -c %u /proc/1; ls /sys/class/net"),
		fmt.Sprintf("%d\neth0\nlo", other))

	// The range stays while one has it.
	h.ok("rm", "-f", "donor")
	for _, kind := range []string{"network", "ipc", "pid"} {
		if _, err := os.Lstat(leases); err != nil {
			t.Errorf("before %s is removed: %v", kind, err)
		}
		h.fails(1, []string{"No such container"}, "start", kind)
		h.ok("rm", kind)
	}
	if _, err := os.Lstat(leases); err == nil {
		t.Errorf("%s is still there", leases)
	}
}

// Whoever looks at a container's files from outside sees the owners they have inside.
func TestUsernsTrueIDs(t *testing.T) {
	h := newUserns(t)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00" + strings.Repeat("\x00", 12)
	h.ok("run", "-d", "--name", "c1", "-v", "vol:/vol", "--tmpfs", "/tmp", "busybox", "sh", "-c", `mkdir /d; echo x > /d/f; echo y > /vol/f; chown 7:8 /d/f /vol/f; chown 9 /d; rm /bin/vi; echo up; exec sleep 1000`)
	h.eventually("it is up", func() bool { return h.try("logs", "c1").out == "up\n" })
	first, _ := h.idsOf("c1")
	upper := h.root + "/containers/" + h.inspect("c1", "{{.Id}}") + "/rw/upper"
	equal(t, "on the host", ownerOf(t, upper+"/d/f"), fmt.Sprintf("%d:%d", first+7, first+8))
	// An access control list that names the user 7 (linux/posix_acl_xattr.h).
	acl := func(id int) string {
		list := []byte{2, 0, 0, 0}
		for _, entry := range [][]int{{1, 6, -1}, {2, 4, id}, {4, 4, -1}, {16, 4, -1}, {32, 4, -1}} {
			list = append(list, byte(entry[0]), 0, byte(entry[1]), 0, byte(entry[2]), byte(entry[2]>>8), byte(entry[2]>>16), byte(entry[2]>>24))
		}
		return string(list)
	}
	if err := unix.Setxattr(upper+"/d/f", "system.posix_acl_access", []byte(acl(first+7)), 0); err != nil {
		t.Fatal(err)
	}
	dir := h.dir("in")
	os.Lchown(dir+"/f", 11, 12)
	if err := unix.Setxattr(dir+"/f", "security.capability", []byte(capability), 0); err != nil {
		t.Fatal(err)
	}
	sent := archive(t, member{Header: tar.Header{Name: "made/on/the/way", Mode: 0o644, Uid: 3, Gid: 4, Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}}, text: "z"})
	strange := h.dir("strange")
	os.Lchown(strange+"/f", 70000, 0)
	for _, state := range []string{"live", "dead"} {
		if state == "dead" {
			h.ok("stop", "-t", "0", "c1")
		}
		h.ok("cp", dir, "c1:/"+state)
		if r := h.tryWith(string(sent), "cp", "-", "c1:/"+state); r.code != 0 {
			t.Error(r)
		}
		h.fails(1, nil, "cp", strange+"/f", "c1:/x")
		equal(t, "on the host", ownerOf(t, upper+"/"+state+"/f"), fmt.Sprintf("%d:%d", first+11, first+12))
		value := make([]byte, 64)
		if n, err := unix.Getxattr(upper+"/"+state+"/f", "security.capability", value); err != nil || n != 24 || value[3] != 3 || int(value[20])|int(value[21])<<8|int(value[22])<<16|int(value[23])<<24 != first {
			t.Errorf("%s: capabilities on the host: %x, %v", state, value[:n], err)
		}
		image := h.ok("commit", "c1")
		layers := h.config(image).RootFS.DiffIDs
		for what, stream := range map[string]string{
			"export": h.ok("export", "c1"), "cp": h.ok("cp", "c1:/.", "-"), "commit": read(t, h.blob(layers[len(layers)-1].String()))} {
			found := map[string]string{}
			for r := tar.NewReader(strings.NewReader(stream)); ; {
				header, err := r.Next()
				if err != nil {
					break
				}
				if header.PAXRecords["SCHILY.xattr.system.posix_acl_access"] == acl(7) {
					found["acl"] += header.Name
				}
				found[strings.Trim(header.Name, "./")] = fmt.Sprintf("%d:%d %x", header.Uid, header.Gid, header.PAXRecords["SCHILY.xattr.security.capability"])
			}
			want := map[string]string{"d": "9:0 ", "d/f": "7:8 ", "bin": "0:0 ", state: "0:0 ", state + "/f": fmt.Sprintf("11:12 %x", capability),
				state + "/made": "0:0 ", state + "/made/on/the": "0:0 ", state + "/made/on/the/way": fmt.Sprintf("3:4 %x", capability)}
			if want["acl"] = "d/f"; what == "cp" {
				want["vol/f"], want["acl"] = "7:8 ", "./d/f"
			}
			for name, owner := range want {
				equal(t, state+", "+what+", "+name, found[name], owner)
			}
		}
		// Copied up unchanged is no change: neither owners nor capabilities.
		h.ok("run", "--name", "of-"+state, image, "sh", "-c", "chmod 644 /"+state+"/f /d/f; chmod 755 /bin/cat; echo >> /"+state+"/made/on/the/way; stat -c %u:%g /"+state+"/f /d/f")
		equal(t, "logs", h.ok("logs", "of-"+state), "11:12\n7:8")
		equal(t, "diff", h.ok("diff", "of-"+state), strings.ReplaceAll("C /X\nC /X/made\nC /X/made/on\nC /X/made/on/the\nC /X/made/on/the/way", "X", state))
	}
	h.ok("start", "c1")
	h.eventually("it is up", func() bool { return strings.Count(h.try("logs", "c1").out, "up") == 2 })
	equal(t, "inside", h.ok("exec", "c1", "stat", "-c", "%u:%g", "/live", "/live/f", "/live/made", "/dead", "/dead/f", "/dead/made/on", "/dead/made/on/the/way", "/d"), "0:0\n11:12\n0:0\n0:0\n11:12\n0:0\n3:4\n9:0")
	back := h.dir("back")
	h.ok("cp", "c1:/d/.", back)
	equal(t, "copied out", ownerOf(t, back+"/f"), "0:0")
}

// What cannot be id-mapped is bound as it is, and one line says so; all else is mapped.
func TestUsernsUnmappable(t *testing.T) {
	h := newUserns(t)
	dir := h.dir("data")
	for _, sub := range []string{"/disk", "/proc", "/plain", "/plain/deep"} {
		if err := os.MkdirAll(dir+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.mount(h.dir("disk"), dir+"/disk", "", unix.MS_BIND) // not a tmpfs, which can be id-mapped since Linux 6.3 only
	r := h.try("run", "--rm", "-v", dir+":/data", "busybox", "stat", "-c", "%u", "/data/f", "/data/disk", "/data/disk/f")
	equal(t, "tree that can be mapped", r.out+r.err, "0\n0\n0\n")
	h.mount("proc", dir+"/proc", "proc", 0)
	h.mount(h.dir("plain"), dir+"/plain", "", unix.MS_BIND)
	os.Mkdir(dir+"/plain/deep", 0o700)
	h.mount(h.dir("deep"), dir+"/plain/deep", "", unix.MS_BIND)
	for _, flags := range [][]string{{"-v", dir + ":/data"}, {"--mount", "type=bind,source=" + dir + ",target=/data,bind-propagation=rslave"}} {
		if len(flags[1]) > len(dir)+10 {
			h.mount(dir, dir, "", unix.MS_BIND|unix.MS_REC)
			if err := unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
				t.Fatal(err)
			}
		}
		before := len(strings.Split(read(t, "/proc/self/mountinfo"), dir+"/"))
		r := h.try(append(append([]string{"run", "--rm"}, flags...), "busybox", "sh", "-c", "stat -c %u /data/f /data/disk/f /data/plain/deep; stat -c %u /data/proc/uptime; echo x > /data/plain/deep/new")...)
		equal(t, "tree", r.out, "0\n0\n0\n65534\n")
		equal(t, "warning", r.err, "WARNING: "+dir+" on /data: the kernel cannot map the owners of files in "+dir+"/proc: there they are nobody's in the container, unless it is made with --userns host\n")
		equal(t, "owner", ownerOf(t, dir+"/plain/deep/new"), "0:0")
		equal(t, "mounts on the host", fmt.Sprint(len(strings.Split(read(t, "/proc/self/mountinfo"), dir+"/"))), fmt.Sprint(before))
	}

	// The line comes with each start, and where it is bound alone, too.
	h.ok("create", "--name", "c1", "-v", dir+"/proc:/p:ro", "busybox", "sh", "-c", "stat -c %u /p/uptime; ! echo x > /p/sys/kernel/hostname")
	for range 2 {
		r := h.try("start", "-a", "c1")
		if r.out != "65534\n" || strings.Count(r.err, "WARNING") != 1 {
			t.Error(r)
		}
	}
	equal(t, "without", h.ok("run", "--rm", "--userns", "host", "-v", dir+":/data", "busybox", "stat", "-c", "%u", "/data/proc/uptime"), "0")

	// What rbind does not show, an unbindable mount, it does not show here either, nor what is below it.
	if err := unix.Mount("", dir+"/plain", "", unix.MS_UNBINDABLE, ""); err != nil {
		t.Fatal(err)
	}
	equal(t, "unbindable", h.ok("run", "--rm", "-v", dir+":/data", "busybox", "ls", "/data/plain", "/data/plain/deep"), "/data/plain:\ndeep\n\n/data/plain/deep:")
	equal(t, "all of the host", h.ok("run", "--rm", "-v", "/:/host:ro", "busybox", "sh", "-c", "stat -c %u /host/etc/passwd "+"/host"+dir+"/disk/f; ls /host/proc/1/comm; ! touch /host"+dir+"/f"), "0\n0\n/host/proc/1/comm")
}

// What has an ID that a container has not is named.
func TestUsernsHighIDs(t *testing.T) {
	h := newUserns(t)
	const words = "the container has the ids 0 to 65535, unless it is made with --userns host"
	h.ok("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
	for flag, value := range map[string]string{"-u": "65536", "--user": "1:70000", "--group-add": "70000"} {
		h.fails(125, []string{"user or group " + value[strings.Index(value, ":")+1:], words}, "run", "--rm", flag, value, "busybox", "id")
		if flag != "--group-add" {
			h.fails(126, []string{words}, "exec", flag, value, "c1", "id")
		}
	}
	equal(t, "the highest", h.ok("exec", "-u", "65535:65535", "c1", "id", "-u"), "65535")
	equal(t, "host", h.ok("run", "--rm", "--userns", "host", "-u", "70000", "busybox", "id", "-u"), "70000")

	dir := h.dir("data")
	os.Chown(dir, 70000, 0)
	r := h.try("run", "--rm", "-v", dir+":/data", "busybox", "stat", "-c", "%u", "/data", "/data/f")
	equal(t, "source", r.out, "65534\n0\n")
	equal(t, "warning", r.err, "WARNING: "+dir+" on /data: the kernel cannot map the owners of files in it, which belongs to 70000:0: there they are nobody's in the container, unless it is made with --userns host\n")

	h.ok("exec", "-d", "-u", "12345", "c1", "sleep", "1001")
	h.eventually("top names users as inside", func() bool {
		out := strings.Fields(h.ok("top", "c1", "-eo", "user,pid,args"))
		return len(out) == 3+2*4 && out[3] == "root" && out[7] == "12345"
	})
}

// What the kernel counts for each user it counts for the container's own: one that takes all
// it can have of it takes nothing from the host or another container.
func TestUsernsCounts(t *testing.T) {
	h := newUserns(t)
	h.ok("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
	first, _ := h.idsOf("c1")
	users, err := os.Open("/proc/" + h.pid("c1") + "/ns/user")
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	if owner, err := unix.IoctlGetUint32(int(users.Fd()), unix.NS_GET_OWNER_UID); err != nil || int(owner) != first {
		t.Errorf("the user namespace belongs to %d, %v, want %d", owner, err, first)
	}
}

// A pool that is used up says so; what a kill left of leases is found and repaired.
func TestUsernsPool(t *testing.T) {
	h := newUserns(t)
	const base = 8 * 65536 // not in the default pool, so of no other test
	h.configure(fmt.Sprintf(`{"userns-pool": {"first": %d, "size": 131072}}`, base))
	for _, name := range []string{"aa", "bb"} {
		h.ok("create", "--name", name, "busybox", "cat", "/proc/self/uid_map")
		if first, _ := h.idsOf(name); first != base && first != base+65536 {
			t.Errorf("%s has %d", name, first)
		}
	}
	h.fails(1, []string{"no range of user ids is free"}, "create", "--name", "cc", "busybox")
	h.fails(1, []string{"No such container"}, "inspect", "--type", "container", "cc")
	h.ok("create", "--name", "host", "--userns", "host", "busybox")
	first, _ := h.idsOf("aa")
	h.ok("rm", "aa")
	h.ok("create", "--name", "cc", "busybox")
	if again, _ := h.idsOf("cc"); again != first {
		t.Errorf("%d, want %d", again, first)
	}

	// The leases of a container that is not there.
	id := h.inspect("cc", "{{.Id}}")
	_, leases := h.idsOf("cc")
	if err := os.RemoveAll(h.root + "/containers/" + id); err != nil {
		t.Fatal(err)
	}
	os.Remove(h.root + "/names/cc")
	h.fails(1, []string{"leak"}, "system", "check")
	if out := h.ok("system", "check", "--repair"); !strings.Contains(out, "user ids of container "+id[:46]) {
		t.Error(out)
	}
	if _, err := os.Lstat(leases); err == nil {
		t.Errorf("%s is still there", leases)
	}

	// After a reboot there are none, and no container gets what another's record has.
	h.ok("create", "--name", "dd", "busybox", "cat", "/proc/self/uid_map")
	powerOff(h)
	h.fails(1, []string{"no range of user ids is free"}, "create", "busybox")
	b, _ := h.idsOf("bb")
	equal(t, "map", strings.Join(strings.Fields(h.ok("start", "-a", "bb")), " "), fmt.Sprintf("0 %d 65536", b))

	// Nor does another root take it over.
	h.ok("rm", "dd")
	powerOff(h)
	other := emptyHost(t)
	other.env = h.env
	other.ok("import", "-c", `CMD ["sh"]`, busybox, "busybox")
	other.ok("create", "--name", "xx", "busybox")
	other.ok("create", "--name", "yy", "busybox")
	h.fails(1, []string{fmt.Sprintf("user ids %d-%d are in use by container", b, b+65535), "of another root"}, "start", "bb")
	other.ok("rm", "xx", "yy")
	h.ok("start", "bb")
}
