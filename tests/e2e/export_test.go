package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExport(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	long := strings.Repeat("long/", 40) + "name"
	h.ok("run", "-d", "--name", "c1", "--userns", "host", "-v", dir+":/vol", "busybox", "sh", "-c", `echo x >/x; chown 12:34 /x; ln /x /y; ln -s x /l; mknod /n c 1 3; mkfifo /p
		mkdir -p /`+filepath.Dir(long)+`; echo deep >/`+long+`; echo no >/dev/shm/no; rm /bin/vi; echo ready; sleep 1000`)
	h.eventually("it is ready", func() bool { return h.try("logs", "c1").out == "ready\n" })
	live := h.ok("export", "c1")
	h.ok("stop", "-t", "0", "c1")
	tarball := filepath.Dir(h.root) + "/c1.tar"
	h.ok("export", "-o", tarball, "c1")
	equal(t, "stopped and running", strings.Join(names(t, live), "\n"), strings.Join(names(t, read(t, tarball)), "\n"))
	list := "\n" + strings.Join(names(t, live), "\n") + "\n"
	for name, there := range map[string]bool{"bin/": true, "bin/sh": true, "vol/": true, "vol/f": false, "dev/": true, "dev/null": false, "dev/shm/no": false, "bin/vi": false, long: true, "y": true} {
		if strings.Contains(list, "\n"+name+"\n") != there {
			t.Errorf("%s is in the archive: %t", name, !there)
		}
	}
	h.ok("import", tarball, "copy")
	out := h.ok("run", "--rm", "copy", "sh", "-c", "stat -c '%u:%g %h' /x; cat /l /"+long+"; stat -c %F /n /p; ls /vol")
	equal(t, "the copy", out, "12:34 2\nx\ndeep\ncharacter special file\nfifo")
	p := h.onTerminal("export", "c1")
	p.shows("cowardly refusing to save to a terminal. Use the -o flag or redirect")
	// Errors leave nothing, and not the old file torn.
	here := h.dir("here")
	h.fails(1, []string{"No such container: none"}, "export", "-o", here+"/f", "none")
	equal(t, "old file", read(t, here+"/f"), "of the host\n")
	h.fails(1, []string{"cannot write to a directory"}, "export", "-o", here, "c1")
	h.fails(1, []string{"failed to export container: invalid output path"}, "export", "-o", here+"/no/x", "c1")
	if entries, _ := os.ReadDir(here); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}
