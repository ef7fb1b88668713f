package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"minidocker/mydocker/container"
	"minidocker/mydocker/monitor"
	"minidocker/mydocker/runtime"

	api "github.com/moby/moby/api/types/container"
)

// TestMain has the test binary play mydocker's other roles, so that the engine,
// which starts /proc/self/exe, runs real containers.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case "init":
		runtime.Init()
	case "monitor":
		if os.Getenv("TEST_IDLE") != "" {
			time.Sleep(time.Hour)
		}
		os.Exit(monitor.Run(os.Args[2:]))
	case "churn":
		if err := churn(Config{Root: os.Args[2], RunRoot: os.Args[3], Instance: os.Args[4]}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests need root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// newEngine makes an engine of the test's own with the image busybox. At the end
// everything is removed, and nothing of it is left on the host.
func newEngine(t *testing.T) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-engine-")
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(Config{Root: dir + "/a root", RunRoot: dir + "/run", Instance: "unit-" + filepath.Base(dir)[len("mydocker-engine-"):]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		removeAll(t, e)
		if leaks, err := e.Check(false); err != nil || len(leaks) > 0 {
			t.Errorf("left behind: %v, %v", leaks, err)
		}
		if _, err := e.Check(true); err != nil {
			t.Error(err)
		}
		left, _ := filepath.Glob("/sys/fs/cgroup/*/" + e.config.Instance + "*")
		v2, _ := filepath.Glob("/sys/fs/cgroup/" + e.config.Instance + "*")
		if left = append(left, v2...); len(left) > 0 {
			t.Errorf("cgroups are left: %v", left)
		}
		os.RemoveAll(dir)
	})
	importBusybox(t, e)
	return e
}

func removeAll(t *testing.T, e *Engine) {
	all, err := e.List(ListOptions{All: true})
	if err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if err := e.Remove(c.ID, RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
}

func importBusybox(t *testing.T, e *Engine) {
	t.Helper()
	path := os.Getenv("MYDOCKER_ROOTFS_BUSYBOX")
	if path == "" {
		path = filepath.Join(t.TempDir(), "busybox.tar")
		if out, err := exec.Command("../../labs/rootfs.sh", "busybox", path).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Import(context.Background(), bytes.NewReader(data), ImportOptions{Ref: "busybox"}); err != nil {
		t.Fatal(err)
	}
}

func request(autoRemove bool, command ...string) CreateRequest {
	return CreateRequest{Config: &api.Config{Image: "busybox", Cmd: command}, HostConfig: &api.HostConfig{AutoRemove: autoRemove, NetworkMode: "none"}}
}

func create(t *testing.T, e *Engine) string {
	t.Helper()
	r, err := e.Create(request(false, "sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// start starts a container that sleeps, and gives its ID.
func start(t *testing.T, e *Engine, autoRemove bool) string {
	t.Helper()
	r, err := e.Create(request(autoRemove, "sleep", "1000"))
	if err == nil {
		err = e.Start(r.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// churn makes, starts and removes containers for a while, as other processes do
// while one checks.
func churn(config Config) error {
	e, err := Open(config)
	if err != nil {
		return err
	}
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		for _, auto := range []bool{true, false} {
			r, err := e.Create(request(auto, "true"))
			if err != nil {
				return fmt.Errorf("create: %w", err)
			}
			wait, err := e.Wait(r.ID, api.WaitConditionNextExit)
			if err != nil {
				return fmt.Errorf("wait: %w", err)
			}
			if err := e.Start(r.ID); err != nil {
				return fmt.Errorf("start: %w", err)
			}
			if response, err := wait(); err != nil || response.StatusCode != 0 {
				return fmt.Errorf("container %s: %v, %w", container.ShortID(r.ID), response, err)
			}
			if !auto {
				if err := e.Remove(r.ID, RemoveOptions{}); err != nil {
					return fmt.Errorf("remove: %w", err)
				}
			}
		}
	}
	return nil
}
