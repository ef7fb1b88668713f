package image

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary play a process that is killed while it changes
// the store.
func TestMain(m *testing.M) {
	if root := os.Getenv("IMAGE_TEST_VICTIM"); root != "" {
		victim(root)
	}
	os.Exit(m.Run())
}

func victim(root string) {
	archive, err := os.ReadFile(filepath.Join(root, "archive.tar"))
	if err != nil {
		panic(err)
	}
	for {
		s, err := Open(root)
		if err != nil {
			panic(err)
		}
		if _, err := s.Load(ctx, bytes.NewReader(archive), "", nil); err != nil {
			panic(err)
		}
		if _, err := s.Remove("two:a", RemoveOptions{}); err != nil {
			panic(err)
		}
		if _, err := s.Remove("two:b", RemoveOptions{}); err != nil {
			panic(err)
		}
	}
}

func TestKill(t *testing.T) {
	root := t.TempDir()
	noise := make([]byte, 300_000)
	rand.Read(noise)
	i := two
	i.layers = append(i.layers, tarOf("noise", string(noise)))
	if err := os.WriteFile(filepath.Join(root, "archive.tar"), dockerArchive(i), 0o600); err != nil {
		t.Fatal(err)
	}
	found := 0
	for n := range 40 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "IMAGE_TEST_VICTIM="+root)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+mathrand.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("round %d: %s", n, stderr.String())
		}
		s, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		images, err := s.List()
		if err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		for _, i := range images {
			if _, err := s.LayerDirs(i); err != nil {
				t.Fatalf("round %d: %v", n, err)
			}
		}
		if n%2 == 1 { // every other time the next process has to cope with what is left
			continue
		}
		problems, err := s.Check(true, true)
		found += len(problems)
		if err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		if problems, err := s.Check(false, true); len(problems) > 0 || err != nil {
			t.Fatalf("round %d: %+v, %v", n, problems, err)
		}
	}
	if found == 0 {
		t.Error("no kill left anything: the test proves nothing")
	}
}

func TestConcurrent(t *testing.T) {
	s := store(t)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range 5 {
				s, _ := Open(s.root)
				if _, err := s.Load(ctx, bytes.NewReader(dockerArchive(one, two)), "", nil); err != nil {
					t.Error(err)
				}
				name := fmt.Sprintf("n%d", n)
				if _, _, err := s.Tag("one", name); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
				if i, err := s.Resolve(name); err == nil {
					if _, err := s.LayerDirs(i); err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Error(err)
					}
				}
				for _, ref := range []string{name, "one", "two:a", "two:b"} {
					if _, err := s.Remove(ref, RemoveOptions{}); err != nil && !errors.Is(err, ErrNotFound) {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
}

// TestFullDisk gives the store ever more space until loading succeeds.
func TestFullDisk(t *testing.T) {
	noise := make([]byte, 1_000_000)
	rand.Read(noise)
	i := two
	i.layers = append(i.layers, tarOf("a/", "", "a/noise", string(noise)))
	archive := dockerArchive(i)
	failures := 0
	for kilobytes := 32; ; kilobytes += 200 {
		root := t.TempDir()
		if err := unix.Mount("tmpfs", root, "tmpfs", 0, fmt.Sprintf("size=%dk", kilobytes)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
		s, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Load(ctx, bytes.NewReader(archive), "", nil)
		if problems, cerr := s.Check(false, true); len(problems) > 0 || cerr != nil {
			t.Errorf("%d KB: %+v, %v", kilobytes, problems, cerr)
		}
		images, lerr := s.List()
		if lerr != nil {
			t.Error(lerr)
		}
		if err == nil {
			if len(images) != 1 || failures == 0 {
				t.Errorf("%d images, %d failures before", len(images), failures)
			}
			return
		}
		failures++
		if !errors.Is(err, unix.ENOSPC) || len(images) > 0 {
			t.Errorf("%d KB: %d images, %v", kilobytes, len(images), err)
		}
	}
}

// TestCommitFails makes the last step of a load impossible, after blobs and
// layers have been moved: they have to go again.
func TestCommitFails(t *testing.T) {
	s := store(t)
	load(t, s, dockerArchive(one))
	if err := unix.Mount(s.indexFile(), s.indexFile(), "", unix.MS_BIND, ""); err != nil { // rename(2): EBUSY
		t.Fatal(err)
	}
	_, err := s.Load(ctx, bytes.NewReader(dockerArchive(two)), "", nil)
	if err := unix.Unmount(s.indexFile(), 0); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("error %v, want EBUSY", err)
	}
	if layers, _ := os.ReadDir(s.layers()); len(layers) != 1 {
		t.Errorf("layers: %v", layers)
	}
}
