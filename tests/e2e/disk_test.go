package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// noSpace is what the user is told, errno(3) ENOSPC.
const noSpace = "no space left on device"

// disk is an engine whose root is on a small file system of its own.
type disk struct {
	*host
	mount string
}

// newDisk makes a file system of some megabytes, and the image busybox on it.
func newDisk(t *testing.T, megabytes int64) *disk {
	t.Helper()
	t.Parallel()
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-disk-")
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{mount: dir + "/mnt"}
	t.Cleanup(func() { // after the host's own clean up
		if out, err := exec.Command("umount", d.mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
			unix.Unmount(d.mount, unix.MNT_DETACH)
		}
		os.RemoveAll(dir)
	})
	if err := errors.Join(os.Mkdir(d.mount, 0o755), os.WriteFile(dir+"/image", nil, 0o600), os.Truncate(dir+"/image", megabytes<<20)); err != nil {
		t.Fatal(err)
	}
	// Without reserved blocks, which root may use.
	for _, line := range [][]string{{"mkfs.ext4", "-q", "-m", "0", dir + "/image"}, {"mount", "-o", "loop", dir + "/image", d.mount}} {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", line, err, out)
		}
	}
	d.host = emptyHost(t)
	d.root = d.mount + "/root"
	d.ok("import", "-c", `CMD ["sh"]`, busybox, "busybox")
	return d
}

// fill leaves some kilobytes free.
func (d *disk) fill(kilobytes int64) {
	d.t.Helper()
	unix.Sync()
	d.reserve(kilobytes)
	data := make([]byte, 1<<20)
	for _, piece := range []int{1 << 20, 4 << 10} { // large ones for speed, small ones to the last block
		for i := 0; ; i++ {
			err := os.WriteFile(fmt.Sprintf("%s/filler-%d-%d", d.mount, piece, i), data[:piece], 0o600)
			if errors.Is(err, unix.ENOSPC) {
				break
			}
			if err != nil {
				d.t.Fatal(err)
			}
		}
	}
	unix.Sync() // delayed allocation
	os.Remove(d.mount + "/reserve")
	unix.Sync()
}

// reserve takes the space that is to stay free.
func (d *disk) reserve(kilobytes int64) {
	d.t.Helper()
	file, err := os.Create(d.mount + "/reserve")
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	if kilobytes > 0 {
		if err := unix.Fallocate(int(file.Fd()), 0, 0, kilobytes<<10); err != nil {
			d.t.Fatal(err)
		}
	}
}

// empty gives the space back.
func (d *disk) empty() {
	d.t.Helper()
	files, _ := filepath.Glob(d.mount + "/filler-*")
	for _, file := range files {
		os.Remove(file)
	}
	unix.Sync()
}

// storeOf lists what the image store has.
func storeOf(h *host) []string {
	var all []string
	for _, pattern := range []string{"/layers/*", "/image/*", "/image/blobs/*/*"} {
		found, _ := filepath.Glob(h.root + pattern)
		all = append(all, found...)
	}
	return slices.DeleteFunc(all, func(path string) bool { return strings.HasSuffix(path, "lock") })
}

// intact holds that the images are as they were, and nothing has leaked.
func (d *disk) intact(what string, images string, store []string) {
	d.t.Helper()
	equal(d.t, "images after "+what, d.ok("images", "-q", "--no-trunc"), images)
	if diff := cmp.Diff(store, storeOf(d.host)); diff != "" {
		d.t.Errorf("the store after %s, -before +after:\n%s", what, diff)
	}
	if r := d.try("system", "check"); r.code != 0 {
		d.t.Errorf("after %s: %s", what, r)
	}
}

func TestDiskImages(t *testing.T) {
	d := newDisk(t, 64)
	big := filepath.Dir(d.runRoot)
	layer := archive(t, directory("bin"), file("big", noise(12<<20)))
	d.write(big+"/layer.tar", string(layer))
	d.write(big+"/saved.tar", string(dockerArchive(t, []string{"big"}, layer)))
	images, store := d.ok("images", "-q", "--no-trunc"), storeOf(d.host)
	for _, free := range []int64{0, 64, 8 << 10, 16 << 10} {
		d.fill(free)
		for _, line := range [][]string{{"load", "-i", big + "/saved.tar"}, {"import", big + "/layer.tar", "big"}} {
			what := fmt.Sprintf("%s with %d kB free", line[0], free)
			d.fails(1, []string{noSpace}, line...)
			d.intact(what, images, store)
		}
		equal(t, "inspect", d.ok("image", "inspect", "-f", "{{.Os}}", "busybox"), "linux")
		d.empty()
	}
	d.ok("load", "-i", big+"/saved.tar")
	d.ok("import", big+"/layer.tar", "big2")
	equal(t, "an image that was imported before", d.ok("run", "--rm", "busybox", "echo", "fine"), "fine")
	d.fill(0)
	d.ok("rmi", "big", "big2") // which makes room
	d.empty()
	d.intact("rmi", images, store)
}

// run on a disk that becomes full at any point of it either works or says why
// not; then nothing is left of it.
func TestDiskRun(t *testing.T) {
	d := newDisk(t, 24)
	images, store := d.ok("images", "-q", "--no-trunc"), storeOf(d.host)
	worked, failed := 0, 0
	for _, verb := range [][]string{{"run", "--rm"}, {"run"}, {"run", "-d"}, {"create"}} {
		for free := int64(0); free <= 96; free += 12 {
			d.fill(free)
			what := fmt.Sprintf("%v with %d kB free", verb, free)
			r := d.try(append(verb, "--name", "c1", "busybox", "echo", "said")...)
			switch {
			case r.code == 0:
				worked++
				if r.out != "said\n" && len(verb) == 1 && verb[0] == "run" {
					t.Errorf("%s: %s", what, r)
				}
			case (r.code == 125 || r.code == 1 && verb[0] == "create") && strings.Contains(r.err, noSpace):
				failed++
			default:
				t.Errorf("%s: %s", what, r)
			}
			// A container that could be made but not run is there and says so.
			if r := d.try("rm", "-f", "c1"); r.code != 0 {
				t.Errorf("%s: %s", what, r)
			}
			equal(t, "containers after "+what, d.ok("ps", "-aq"), "")
			if left, _ := filepath.Glob(d.root + "/containers/*"); len(left) > 0 {
				t.Errorf("after %s: %v", what, left)
			}
			d.empty()
			d.intact(what, images, store)
			equal(t, "run after "+what, d.ok("run", "--rm", "--name", "c1", "busybox", "echo", "fine"), "fine")
		}
	}
	if worked == 0 || failed == 0 {
		t.Errorf("%d worked, %d failed: the test tests nothing", worked, failed)
	}
}

// Containers that run when the disk becomes full go on, whatever they write to
// their streams, and every verb that needs no space works on them.
func TestDiskRunning(t *testing.T) {
	d := newDisk(t, 24)
	d.ok("create", "--name", "later", "busybox", "sh", "-c", "exit 3")
	const talk = `i=0; trap 'exit 5' TERM; while :; do i=$((i + 1)); echo $i > /dev/shm/count; echo line $i some more text to fill the disk; done`
	id := d.ok("run", "-d", "--name", "talker", "busybox", "sh", "-c", talk)
	d.eventually("lines", func() bool { return strings.Contains(d.ok("logs", "talker"), "line 100 ") })
	d.fill(0)

	count := func() (n int) {
		fmt.Sscan(d.ok("exec", "talker", "cat", "/dev/shm/count"), &n)
		return n
	}
	before := count()
	d.eventually("the container goes on", func() bool { return count() > before+5000 }) // many times what the last block holds
	equal(t, "state", d.inspect("talker", "{{.State.Status}} {{.Id}}"), "running "+id)
	if out := d.ok("logs", "--tail", "9", "talker"); !strings.Contains(out, "line ") {
		t.Errorf("the log has %q", out)
	}
	p := d.begin("attach", "--sig-proxy=false", "talker")
	p.says("some more text")
	p.cmd.Process.Kill()
	p.wait()
	// Whether the disk has room for the states of these or not, they are true.
	r := d.try("start", "-a", "later")
	if r.code != 3 && !strings.Contains(r.err, noSpace) {
		t.Errorf("start on a full disk: %s", r)
	}
	if r.code == 3 {
		equal(t, "exit code", d.inspect("later", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
	}

	last := count()
	d.empty()
	d.eventually("the log goes on", func() bool {
		for line := range strings.Lines(d.ok("logs", "--tail", "5", "talker")) {
			n := 0
			if fmt.Sscanf(line, "line %d", &n); n > last {
				return true
			}
		}
		return false
	})
	if r := d.try("logs", "talker"); !strings.Contains(r.err, "lost") || !strings.Contains(r.err, noSpace) {
		t.Errorf("the log does not say that entries are missing: %.200q", r.err)
	}
	d.fill(0)
	d.ok("stop", "talker")
	equal(t, "stopped", d.inspect("talker", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5")
	d.ok("rm", "talker")
	d.ok("rm", "later")
	equal(t, "containers", d.ok("ps", "-aq"), "")
}

// A container that fills the disk itself fails itself, and can be removed.
func TestDiskFilledByContainer(t *testing.T) {
	d := newDisk(t, 24)
	r := d.try("run", "--name", "c1", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M; echo exit $?")
	if r.code != 0 || r.out != "exit 1\n" || !strings.Contains(r.err, "No space left on device") {
		t.Error(r)
	}
	equal(t, "state", d.inspect("c1", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")
	d.ok("rm", "c1")
	equal(t, "afterwards", d.ok("run", "--rm", "busybox", "echo", "fine"), "fine")
}
