package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whoever is killed while he removes a volume, and whatever is mounted in it: data
// outside of it survives, and the next command finishes or finds it whole.
func TestVolumeRemovalKilled(t *testing.T) {
	h := newHost(t)
	precious := h.dir("precious")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range 16 {
		name := fmt.Sprint("volume", i)
		h.ok("run", "--name", "c1", "-v", "/anon", "-v", name+":/x", "-v", precious+":/x/inside", "busybox", "sh", "-c", "mkdir /x/y; for i in $(seq 300); do echo $i >/x/$i; echo $i >/anon/$i; done")
		anonymous := h.inspect("c1", `{{range .Mounts}}{{if eq .Destination "/anon"}}{{.Name}}{{end}}{{end}}`)
		busy := i%2 == 0
		if busy {
			if err := unix.Mount(precious, h.data(name)+"/y", "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, args := range [][]string{{"rm", "-v", "c1"}, {"volume", "rm", name}} {
			cmd := h.command(args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
			h.try("rm", "-v", "c1")
		}
		h.ok("volume", "ls")
		if onHost(h.data(anonymous)) {
			t.Errorf("%d: the anonymous volume is left", i)
		}
		if busy {
			h.fails(1, []string{"something is mounted there"}, "volume", "rm", name)
			equal(t, "the volume is whole", h.ok("run", "--rm", "-v", name+":/x", "busybox", "sh", "-c", "ls /x | wc -l"), "302")
			if err := unix.Unmount(h.data(name)+"/y", 0); err != nil {
				t.Fatal(err)
			}
		}
		h.ok("volume", "rm", "-f", name)
		equal(t, "volumes", entries(t, h.root+"/volumes"), "")
		equal(t, "outside", read(t, precious+"/f"), "of the host\n")
	}
}

// Whoever is killed while he makes a container with volumes: a filled volume is full.
func TestVolumeCreationKilled(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "maker", "busybox", "sh", "-c", "mkdir /data; for i in $(seq 500); do echo $i >/data/$i; done")
	tar := h.dir("") + "/content.tar"
	h.ok("export", "-o", tar, "maker")
	h.ok("import", "-c", "VOLUME /data", tar, "content")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for range 16 {
		cmd := h.command("create", "--name", "c1", "-v", "named:/data", "-v", "/data/none", "content", "true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		equal(t, "content", h.ok("run", "--rm", "-v", "named:/data", "content", "sh", "-c", "ls /data | wc -l"), "500")
		h.try("rm", "-v", "c1")
		h.ok("volume", "rm", "named")
		h.ok("volume", "ls")
		equal(t, "volumes", entries(t, h.root+"/volumes"), "")
	}
}

// Two that make the same volume have the same; who removes it, or who runs with it, fails clearly.
func TestVolumeRaces(t *testing.T) {
	h := newHost(t)
	h.withContent()
	for range 5 {
		var all sync.WaitGroup
		for range 4 {
			all.Add(1)
			go func() {
				defer all.Done()
				if r := h.try("run", "--rm", "-v", "same:/data", "content", "cat", "/data/f"); r.out != "hi\n" {
					t.Error(r)
				}
			}()
		}
		all.Add(1)
		go func() {
			defer all.Done()
			if r := h.try("volume", "rm", "same"); r.code != 0 && !strings.Contains(r.err, "in use") && !strings.Contains(r.err, "no such volume") {
				t.Error(r)
			}
		}()
		all.Wait()
	}
	h.ok("volume", "rm", "-f", "same")
	if left, err := os.ReadDir(h.root + "/volumes"); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// Two containers that make the same two volumes in opposite order do not wait for each other.
func TestVolumesInOppositeOrder(t *testing.T) {
	h := newHost(t)
	h.withContent()
	for range 5 {
		one, two := h.begin("create", "-v", "aa:/data", "-v", "bb:/link", "content"), h.begin("create", "-v", "bb:/link", "-v", "aa:/data", "content")
		for _, r := range []result{one.wait(), two.wait()} {
			if r.code != 0 {
				t.Fatal(r)
			}
			h.ok("rm", strings.TrimSpace(r.out))
		}
		equal(t, "both", entries(t, h.data("aa"))+" "+entries(t, h.data("bb")), "f out sub f out sub")
		h.ok("volume", "rm", "aa", "bb")
	}
}

// Two containers that have one anonymous volume are removed at once: it goes with the
// second. And what only looks like a volume's directory keeps what it leads to.
func TestVolumeOfTwo(t *testing.T) {
	h := newHost(t)
	for range 10 {
		h.ok("create", "--name", "c1", "-v", "/anon", "busybox")
		h.ok("create", "--name", "c2", "--volumes-from", "c1", "busybox")
		one, two := h.begin("rm", "-v", "c1"), h.begin("rm", "-v", "c2")
		one.wait()
		two.wait()
		equal(t, "volumes", entries(t, h.root+"/volumes"), "")
	}
	h.ok("create", "--name", "c1", "-v", "data:/x", "busybox")
	h.write(h.data("data")+"/f", "precious")
	if err := os.Symlink("data", h.root+"/volumes/link"); err != nil {
		t.Fatal(err)
	}
	h.fails(1, []string{"remove link: ", "is not a directory"}, "volume", "rm", "link")
	equal(t, "the data", read(t, h.data("data")+"/f"), "precious")
	os.Remove(h.root + "/volumes/link")
	os.Mkdir(h.root+"/volumes/lost+found", 0o700)
	equal(t, "volumes", h.ok("volume", "ls", "-q"), "data")
	os.Remove(h.root + "/volumes/lost+found")
	h.ok("rm", "c1")
	h.ok("volume", "rm", "data")
}
