package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	os.Mkdir(dir, 0o700)
	file, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	watch, err := Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	quiet := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		return errors.Is(watch.Wait(ctx), context.DeadlineExceeded)
	}
	if !quiet() {
		t.Error("woken without a change")
	}
	for name, change := range map[string]func() error{
		"write":  func() error { _, err := file.WriteString("x"); return err },
		"create": func() error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) },
		"rename": func() error { return os.Rename(filepath.Join(dir, "file"), filepath.Join(dir, "old")) },
	} {
		watch.Close()
		if watch, err = Watch(dir); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil { // before the Wait: it is not missed
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := watch.Wait(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if !quiet() {
			t.Errorf("%s: woken twice", name)
		}
	}
}

func TestWatchOfRenamedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	os.Mkdir(dir, 0o700)
	watch, err := Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	time.AfterFunc(20*time.Millisecond, func() { os.Rename(dir, dir+"-aside") })
	if err := watch.Wait(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Watch(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("watching nothing: %v", err)
	}
}

// TestWatchWithoutInotify: the host has no instance left.
func TestWatchWithoutInotify(t *testing.T) {
	watch := &Watcher{nil, t.TempDir()}
	begin := time.Now()
	if err := watch.Wait(context.Background()); err != nil || time.Since(begin) > time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := watch.Wait(ctx); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := watch.Close(); err != nil {
		t.Error(err)
	}
}
