// Package escape tries the known ways out of a container, as root, on the real
// kernel, with the built binary. Each is tried twice: with a binary whose guard
// against it has been taken out, where it must succeed, or the attack is none;
// and with ours, where it must fail. README.md lists what stops each.
//
// Nothing of the host is harmed when an attack succeeds: what it reads or writes
// is the test's own, or is opened and left alone.
package escape

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// way is one way out.
type way struct {
	name string // of the subtest, and of the line in README.md
	// build is the name of the binary without the guard. Ways whose guards do not
	// stand for each other share one, which saves linking.
	build  string
	cuts   []cut
	online bool // the attack needs a network
	// needs says why this kernel cannot be attacked so; "" if it can.
	needs func() string
	// try tries, and tells how it got out; "" if it did not.
	try func(s *scene) string
}

var ways = slices.Concat(binaryWays, fileWays, kernelWays, deviceWays, limitWays, networkWays)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "attack" {
		play(os.Args[2], os.Args[3:])
	}
	if len(os.Args) > 2 && os.Args[1] == "builds" { // for a machine without Go, as the one of tests/vm
		for name, cuts := range builds(ways) {
			if _, err := build(os.Args[2], name, cuts); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 || os.Getenv("MYDOCKER_DISPOSABLE") != "1" {
		fmt.Fprintln(os.Stderr, "these tests attack this machine as root; MYDOCKER_DISPOSABLE=1 says that it may take it: make test")
		os.Exit(1)
	}
	if os.Getenv("MYDOCKER_BIN") == "" || os.Getenv("MYDOCKER_ROOTFS_BUSYBOX") == "" {
		fmt.Fprintln(os.Stderr, "MYDOCKER_BIN or MYDOCKER_ROOTFS_BUSYBOX is not set: make test")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestEscape(t *testing.T) {
	// Made when first needed, and undone when all subtests have ended.
	hosts := map[string]func() (*host, error){"": sync.OnceValues(func() (*host, error) { return newHost(t, os.Getenv("MYDOCKER_BIN")) })}
	for name, cuts := range builds(ways) {
		hosts[name] = sync.OnceValues(func() (*host, error) {
			binary, err := build(t.TempDir(), name, cuts)
			if err != nil {
				return nil, err
			}
			return newHost(t, binary)
		})
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		if !strings.Contains(string(readme), "| "+w.name+" |") {
			t.Errorf("README.md does not tell of %s", w.name)
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			if w.needs != nil {
				if reason := w.needs(); reason != "" {
					t.Skip(reason)
				}
			}
			try := func(t *testing.T, build string, flags ...string) string {
				h, err := hosts[build]()
				if errors.Is(err, exec.ErrNotFound) {
					t.Skip("no Go here to build one, nor MYDOCKER_ESCAPE_BUILDS: ", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if !w.online {
					flags = append([]string{"--network", "none"}, flags...)
				}
				return w.try(newScene(t, h, flags, build != ""))
			}
			t.Run("ours", func(t *testing.T) {
				// By default the user namespace stops most of it by itself; without it, the guard does.
				for _, flags := range [][]string{nil, {"--userns", "host"}} {
					if how := try(t, "", flags...); how != "" {
						t.Errorf("%v: it got out: %s", flags, how)
					}
				}
			})
			t.Run("unguarded", func(t *testing.T) {
				how := try(t, w.build, "--userns", "host")
				if how == "" {
					t.Error("the guard is gone and it did not get out: the attack proves nothing")
				}
				t.Log(how)
			})
		})
	}
}
