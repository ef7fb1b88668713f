// Package escape tries the known ways out of a container, as root, on the real
// kernel, with the built binary. Each is tried twice: with a binary whose guard
// against it has been taken out, where it must succeed, or the attack is none;
// and with ours, where it must fail. README.md lists what stops each.
//
// Nothing of the host is harmed when an attack succeeds: what it reads or writes
// is the test's own, or is opened and left alone.
package escape

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// way is one way out.
type way struct {
	name string // of the subtest, and of the line in README.md
	// build is the name of the binary without the guard. Ways whose guards do not
	// stand for each other share one, which saves linking. "": there is no guard of
	// ours to take out; instead is then how the attack is let through.
	build   string
	cuts    []cut
	instead []string // flags of run which take the guard away
	online  bool     // the attack needs a network
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
	ours := sync.OnceValue(func() *host { return newHost(t, os.Getenv("MYDOCKER_BIN")) })
	without := map[string]func() *host{}
	for name, cuts := range builds(ways) {
		without[name] = sync.OnceValue(func() *host {
			binary, err := build(t.TempDir(), name, cuts)
			if err != nil {
				t.Error(err) // not Fatal: it is another test that is running
				return nil
			}
			if binary == "" {
				return nil
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
			t.Run("ours", func(t *testing.T) {
				for _, flags := range modes() {
					if how := w.try(newScene(t, ours(), w.offline(flags))); how != "" {
						t.Errorf("%v: it got out: %s", flags, how)
					}
				}
			})
			t.Run("unguarded", func(t *testing.T) {
				h, flags := ours(), append([]string{"--userns", "host"}, w.instead...)
				if w.build != "" {
					if h = without[w.build](); h == nil {
						t.Skip("there is no Go here to build " + w.build + ", nor MYDOCKER_ESCAPE_BUILDS")
					}
				}
				how := w.try(newScene(t, h, w.offline(flags)))
				if how == "" {
					t.Error("the guard is gone and it did not get out: the attack proves nothing")
				}
				t.Log(how)
			})
		})
	}
}

// modes are the flags with which our binary is attacked: as it is by default, and with the
// user namespace, which stops most of this by itself, away from before the other guards.
func modes() [][]string {
	return [][]string{{"--userns", "host"}, nil}
}
