package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteFile(t *testing.T) {
	for _, durability := range []Durability{Volatile, Durable} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		for _, content := range []string{"first", "", "third, longer"} {
			if err := WriteFile(path, []byte(content), 0o640, durability); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != content {
				t.Errorf("wrote %q, read %q, %v", content, got, err)
			}
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o640 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		only(t, dir, "file")
	}
}

func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(names) {
		t.Fatalf("%s holds %v, %v", dir, entries, err)
	}
	for i, e := range entries {
		if e.Name() != names[i] {
			t.Errorf("%s holds %s", dir, e.Name())
		}
	}
}

// TestWriteFileIsAtomic: a reader meets the old content or the new.
func TestWriteFileIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)}
	if err := WriteFile(path, contents[0], 0o600, Volatile); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, content := range contents {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for range 300 {
				if err := WriteFile(path, content, 0o600, Volatile); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		select {
		case <-done:
			only(t, filepath.Dir(path), "file")
			return
		default:
		}
	}
}

// TestWriteFileOnFullDisk: the old content stays, and nothing beside it.
func TestWriteFileOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte("old"), 0o600, Durable); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, make([]byte, 100<<10), 0o600, Durable); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("the old content became %d bytes", len(got))
	}
	only(t, dir, "file")
}

func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	type record struct {
		Name  string
		Count int
	}
	var got record
	if err := ReadJSON(path, &got); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent record: %v", err)
	}
	want := record{"a<b", 3}
	if err := WriteJSON(path, want, Volatile); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON(path, &got); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	for _, damaged := range []string{"", "{", "{}{}", `{"Count":"x"}`, "\x00\x00"} {
		os.WriteFile(path, []byte(damaged), 0o600)
		if err := ReadJSON(path, &got); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("a record %q: %v", damaged, err)
		}
	}
	if err := WriteJSON(path, func() {}, Volatile); err == nil {
		t.Error("a function was written as JSON")
	}
}

func TestOverwriteJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	if err := WriteJSON(path, map[string]string{"a": strings.Repeat("x", 300)}, Volatile); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"short", strings.Repeat("y", 1000)} { // the block is there already
		if err := OverwriteJSON(path, map[string]string{"a": want}); err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := ReadJSON(path, &got); err != nil || got["a"] != want {
			t.Errorf("read %v, %v", got, err)
		}
	}
	if err := OverwriteJSON(path, strings.Repeat("z", 1<<20)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("more than there is room for: %v", err)
	}
}
