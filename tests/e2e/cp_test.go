package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCpAttributes copies there and back: into the container owners are kept, out
// of it files belong to whoever copies.
func TestCpAttributes(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "busybox", "sleep", "1000")
	dir := h.dir("tree")
	out, err := exec.Command("sh", "-c", "cd "+dir+` && mkdir d && chown 3:4 d && echo x >d/x && chown 12:34 d/x && chmod 4751 d/x && ln d/x d/y && ln -s /none l && chown -h 5:6 l &&
		mkfifo p && chmod 622 p && mknod n c 1 3 && chmod 601 n && mkdir 'a b' && touch 'a b/ü' && truncate -s 100M sparse && echo end >>sparse && chmod 1777 d && touch -h -d '2001-02-03 04:05:06.5' d/x d l`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_bind_service+p, capabilities(7)
	if err := unix.Setxattr(dir+"/f", "security.capability", capability, 0); err != nil {
		t.Fatal(err)
	}
	want := "1777 3:4 d 981173106\n4751 12:34 d/x 981173106\n4751 12:34 d/y 981173106\n777 5:6 l 981173106\n601 0:0 n\n622 0:0 p\nlinked\n12K or less"
	look := "stat -c '%a %u:%g %n %Y' d d/x d/y l; stat -c '%a %u:%g %n' n p; [ $(stat -c %i d/x) = $(stat -c %i d/y) ] && echo linked; [ $(du -k sparse | cut -f1) -le 12 ] && echo 12K or less"
	h.ok("cp", dir, "c1:/tree")
	for _, state := range []string{"created", "running"} {
		back := h.dir("back-" + state)
		h.ok("cp", "c1:/tree/.", back)
		out, err := exec.Command("sh", "-c", "cd "+back+"; "+look).CombinedOutput()
		if mine := strings.NewReplacer("3:4", "0:0", "12:34", "0:0", "5:6", "0:0").Replace(want); err != nil || strings.TrimSpace(string(out)) != mine {
			t.Errorf("copied from a %s container: %v\n%s\nwant\n%s", state, err, out, mine)
		}
		value := make([]byte, 64)
		if n, err := unix.Getxattr(back+"/f", "security.capability", value); err != nil || !bytes.Equal(value[:n], capability) {
			t.Errorf("capabilities: %v %v", value[:n], err)
		}
		equal(t, "name", read(t, back+"/a b/ü"), "")
		h.ok("start", "c1")
		equal(t, "in the container", h.ok("exec", "-w", "/tree", "c1", "sh", "-c", look), want)
		h.ok("cp", dir+"/.", "c1:/tree") // over what is there
		equal(t, "in the container", h.ok("exec", "-w", "/tree", "c1", "sh", "-c", look), want)
	}
}

func TestCpArchiveOwner(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "-u", "7:8", "busybox", "sleep", "1000")
	dir := h.dir("here")
	os.Chown(dir+"/f", 12, 34)
	h.ok("cp", dir+"/f", "c1:/kept")
	h.ok("cp", "-a", dir+"/f", "c1:/given")
	h.ok("start", "c1")
	equal(t, "owners", h.ok("exec", "c1", "stat", "-c", "%u:%g", "/kept", "/given"), "12:34\n7:8")
}

func TestCpStream(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "busybox", "sh", "-c", "mkdir -p /s/d; echo x >/s/d/x; ln -s d /s/l; ln -s /etc /s/etc; echo ready; sleep 1000")
	h.eventually("it is ready", func() bool { return h.try("logs", "c1").out == "ready\n" })
	for source, want := range map[string]string{"/s/d": "d/ d/x", "/s/d/.": "./ ./x", "/s/l/": "l/ l/x", "/s/l": "l", "/s/d/x": "x"} {
		equal(t, source, strings.Join(names(t, h.ok("cp", "c1:"+source, "-")), " "), want)
	}
	equal(t, "-L", strings.Join(names(t, h.ok("cp", "-L", "c1:/s/l", "-")), " "), "d/ d/x")
	equal(t, "/", names(t, h.ok("cp", "c1:/", "-"))[0], "/")
	// Links in the container are followed in the container, whiteouts mean nothing.
	stream := archive(t, file("new", "new\n"), file("l/y", "y\n"), file("etc/cp-was-here", "z\n"), file("d/.wh.x", "w\n"), file("made/of/these", "m\n"),
		member{Header: tar.Header{Name: "made/hard", Typeflag: tar.TypeLink, Linkname: "new"}})
	if r := h.tryWith(string(stream), "cp", "-", "c1:/s"); r.code != 0 || r.out+r.err != "" {
		t.Fatal(r)
	}
	equal(t, "unpacked", h.ok("exec", "c1", "sh", "-c", "cat /s/new /s/d/y /etc/cp-was-here /s/d/.wh.x /s/d/x /s/made/of/these /s/made/hard"), "new\ny\nz\nw\nx\nm\nnew")
	if _, err := os.Lstat("/etc/cp-was-here"); err == nil {
		t.Error("unpacked on the host")
	}
	for _, bad := range []member{file("../up", ""), file("d", "over a directory"), directory("new")} {
		if r := h.tryWith(string(archive(t, bad)), "cp", "-", "c1:/s"); r.code != 1 {
			t.Errorf("%s must be refused: %s", bad.Name, r)
		}
	}
	if r := h.tryWith("", "cp", "-", "c1:/s"); r.code != 0 {
		t.Errorf("nothing to unpack: %s", r)
	}
}

// names lists the entries of an archive.
func names(t *testing.T, archive string) (all []string) {
	t.Helper()
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		header, err := r.Next()
		if err == io.EOF || err == io.ErrUnexpectedEOF { // ok() takes the last newline
			return all
		}
		if err != nil {
			t.Fatalf("read archive: %v", err)
		}
		all = append(all, header.Name)
	}
}

func TestCpMounts(t *testing.T) {
	h := newHost(t)
	data, locked := h.dir("data"), h.dir("locked")
	file := h.dir("here") + "/f"
	h.ok("run", "-d", "--name", "c1", "--read-only", "-v", data+":/data", "-v", locked+":/locked:ro", "--tmpfs", "/tmpfs", "busybox", "sleep", "1000")
	for _, state := range []string{"running", "stopped"} {
		h.fails(1, []string{"Error: container rootfs is marked read-only"}, "cp", file, "c1:/")
		h.fails(1, []string{"Error: mounted volume is marked read-only"}, "cp", file, "c1:/locked/x")
		h.ok("cp", file, "c1:/data/"+state)
		equal(t, "through the bind", read(t, data+"/"+state), "of the host\n")
		h.ok("cp", "c1:/locked/f", h.dir("out")+"/"+state)
		equal(t, "/etc/hosts", strings.Join(names(t, h.ok("cp", "c1:/etc/hosts", "-")), " "), "hosts")
		if state == "running" {
			h.ok("cp", file, "c1:/tmpfs")
			equal(t, "in the tmpfs", h.ok("exec", "c1", "cat", "/tmpfs/f"), "of the host")
			h.fails(1, []string{"itself"}, "cp", "c1:/data", data) // its own parent, so for ever
			h.ok("stop", "-t", "0", "c1")
		}
	}
	equal(t, "the rest", fmt.Sprint(h.try("cp", "c1:/", h.dir("all")).code), "0")
}

func TestCpProgress(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "busybox", "true")
	file := h.dir("here") + "/f"
	p := h.onTerminal("cp", file, "c1:/x")
	p.shows("Successfully copied 2.05kB to c1:/x\r\n")
	p = h.onTerminal("cp", "c1:/x", file)
	p.shows("Successfully copied 2.05kB to " + file + "\r\n")
	equal(t, "without a terminal", h.try("cp", "-q=false", file, "c1:/x").err, "Successfully copied 2.05kB to c1:/x\n")
	equal(t, "quiet", h.try("cp", "-q", file, "c1:/x").err, "")
}

// TestCpFull fills a small tmpfs: the error names the file, and no half of it stays.
func TestCpFull(t *testing.T) {
	h := newHost(t)
	small := h.dir("small")
	h.mount("none", small, "tmpfs", 0)
	if err := unix.Mount("none", small, "tmpfs", unix.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	h.ok("run", "-d", "--name", "c1", "-v", small+":/small", "busybox", "sleep", "1000")
	big := h.dir("here") + "/big"
	if err := os.WriteFile(big, bytes.Repeat([]byte("x"), 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	h.fails(1, []string{"/small/big", "no space left on device"}, "cp", big, "c1:/small/big")
	if _, err := os.Lstat(small + "/big"); err == nil {
		t.Error("half a file is left")
	}
	h.ok("rm", "-f", "c1")
}

// TestCpKilled kills copies of a container that does not run: no mount is left,
// which the harness checks, and the container can be started.
func TestCpKilled(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "busybox", "true")
	big := h.dir("here") + "/big"
	if err := os.WriteFile(big, bytes.Repeat([]byte("x"), 64<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		cmd := h.command("cp", big, "c1:/big")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i*4) * time.Millisecond) // anywhere on its way
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	}
	h.ok("start", "-a", "c1")
	h.ok("cp", big, "c1:/big")
}
