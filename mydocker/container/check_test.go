package container

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"minidocker/mydocker/disk"
)

// TestLeftovers builds by hand what a kill at each step leaves.
func TestLeftovers(t *testing.T) {
	claimed := func(s *Store, r *Record) { os.WriteFile(s.namePath(r.Name), []byte(r.ID), 0o600) }
	for name, crash := range map[string]func(s *Store, r *Record){
		"name claimed":  claimed,
		"name, no ID":   func(s *Store, r *Record) { os.WriteFile(s.namePath(r.Name), nil, 0o600) },
		"directory new": func(s *Store, r *Record) { claimed(s, r); os.Mkdir(s.Dir(making+r.ID), 0o700) },
		"record written": func(s *Store, r *Record) {
			claimed(s, r)
			os.Mkdir(s.Dir(making+r.ID), 0o700)
			disk.WriteJSON(filepath.Join(s.Dir(making+r.ID), configFile), r, disk.Volatile)
		},
		"removal begun": func(s *Store, r *Record) {
			s.Create(r)
			os.MkdirAll(s.RunDir(r.ID), 0o700)
			os.Rename(s.Dir(r.ID), s.Dir(removing+r.ID))
		},
		"removal begun, damaged": func(s *Store, r *Record) {
			s.Create(r)
			os.Rename(s.Dir(r.ID), s.Dir(removing+r.ID))
			os.WriteFile(filepath.Join(s.Dir(removing+r.ID), configFile), nil, 0o600)
		},
		"name freed": func(s *Store, r *Record) {
			s.Create(r)
			os.Rename(s.Dir(r.ID), s.Dir(removing+r.ID))
			s.free(r.Name, r.ID)
		},
		"nearly gone": func(s *Store, r *Record) { os.Mkdir(s.Dir(removing+r.ID), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			keep := create(t, s, "keep")
			before := tree(t, s)
			for how, heal := range map[string]func() error{
				"sweep":  s.Sweep,
				"repair": func() error { return second(s.Check(true)) },
			} {
				r := record("web")
				crash(s, r)
				if found, err := s.Check(false); err != nil || len(found) == 0 {
					t.Errorf("check found %v, %v", found, err)
				}
				for _, ref := range []string{"web", r.ID, r.ID[:20]} {
					if id, err := s.Resolve(ref); err == nil || err.Error() != "No such container: "+ref {
						t.Errorf("Resolve(%s) = %s, %v", ref, id, err)
					}
				}
				if ids, err := s.IDs(); len(ids) != 1 || ids[0] != keep.ID {
					t.Errorf("IDs: %v %v", ids, err)
				}
				if how == "sweep" { // the name can be taken though nobody has cleaned up
					remove(t, s, create(t, s, "web").ID)
				}
				if err := heal(); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(before, tree(t, s)); diff != "" {
					t.Errorf("%s left\n%s", how, diff)
				}
			}
		})
	}
}

func TestCheckRestores(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	os.Remove(s.namePath("web"))                                         // lost in a power cut
	os.WriteFile(filepath.Join(s.Dir(r.ID), ".tmp-123"), nil, 0o600)     // a writer died
	os.MkdirAll(filepath.Join(s.RunDir(strings.Repeat("f", 64))), 0o700) // its container is gone
	for _, repair := range []bool{false, true} {
		found, err := s.Check(repair)
		if err != nil || len(found) != 3 {
			t.Errorf("found %v, %v", found, err)
		}
		for _, l := range found {
			if l.Err != nil {
				t.Error(l)
			}
		}
	}
	if id, err := s.Resolve("web"); id != r.ID {
		t.Errorf("web: %v", err)
	}
}

// TestLivingAreLeftAlone: nobody takes a creation or removal in progress for a dead one.
func TestLivingAreLeftAlone(t *testing.T) {
	s := newStore(t)
	gone := create(t, s, "gone")
	lock, err := s.TryLock(gone.ID)
	if err != nil {
		t.Fatal(err)
	}
	os.Rename(s.Dir(gone.ID), s.Dir(removing+gone.ID))
	coming := record("coming")
	creator, err := s.begin(coming.ID)
	if err != nil {
		t.Fatal(err)
	}
	creator.File().WriteString(coming.ID)
	if err := s.claim("coming", making+coming.ID); err != nil {
		t.Fatal(err)
	}
	before := tree(t, s)
	if found, err := s.Check(true); err != nil || len(found) > 0 {
		t.Errorf("check: %v %v", found, err)
	}
	if err := s.Sweep(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, tree(t, s)); diff != "" {
		t.Error(diff)
	}
	var used *NameInUseError
	if err := s.Create(record("coming")); !errors.As(err, &used) {
		t.Errorf("create with a name being claimed: %v", err)
	}
	lock.Release()
	creator.Release()
	if err := s.Sweep(); err != nil {
		t.Error(err)
	}
	if left := tree(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestKilled kills creating, renaming and removing processes at random moments.
func TestKilled(t *testing.T) {
	if root := os.Getenv("CONTAINER_TEST_ROOT"); root != "" {
		s := open(root, filepath.Join(root, "run"))
		for fmt.Println("ready"); ; {
			r := record("web")
			r.HostConfig.AutoRemove = true
			if err := s.Create(r); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.MkdirAll(s.RunDir(r.ID), 0o700)
			if _, err := s.TryLock(r.ID); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			if _, err := s.Rename(r, "site"); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			if err := s.Remove(r.ID, false); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
	}
	root := t.TempDir()
	s := open(root, filepath.Join(root, "run"))
	for i := range 60 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "CONTAINER_TEST_ROOT="+root)
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if line, _ := lines.ReadString('\n'); line != "ready\n" {
			t.Fatal(line)
		}
		time.Sleep(time.Duration(i*97%3000) * time.Microsecond)
		cmd.Process.Kill()
		if line, _ := lines.ReadString('\n'); line != "" {
			t.Error(line)
		}
		cmd.Wait()
		// The next command: it sees a whole container or none, and takes the name.
		if err := s.Sweep(); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"web", "site"} {
			if id, err := s.Resolve(name); err == nil {
				if r, err := s.Record(id); err != nil || r.Name != name {
					t.Errorf("%s is %+v, %v", name, r, err)
				}
				remove(t, s, id)
			}
			remove(t, s, create(t, s, name).ID)
		}
		if found, err := s.Check(false); err != nil || len(found) > 0 {
			t.Fatalf("round %d: %v %v", i, found, err)
		}
	}
}
