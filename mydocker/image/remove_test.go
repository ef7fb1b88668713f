package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

func TestRemove(t *testing.T) {
	const container = "0123456789abcdef0123456789abcdef"
	id1, id2 := one.id().String(), two.id().String()
	baseChain, topChain := digest.FromBytes(base).String(), identity.ChainID([]digest.Digest{digest.FromBytes(base), digest.FromBytes(top)}).String()
	for _, c := range []struct {
		name    string
		ref     string
		force   bool
		use     string // "": no container, "stopped", "running", each of every image
		want    []string
		err     string
		remains string // names of what is left
	}{
		{"by name", "one", false, "", []string{"Untagged: one:latest", "Deleted: " + id1}, "", "two:a two:b"},
		{"one of two names", "two:a", false, "", []string{"Untagged: two:a"}, "", "one:latest two:b"},
		{"by ID", id1[7:19], false, "", []string{"Untagged: one:latest", "Deleted: " + id1}, "", "two:a two:b"},
		{"by ID, two names", id2, false, "", nil, "conflict: unable to delete " + id2[7:19] + " (must be forced) - image is referenced in multiple repositories", "one:latest two:a two:b"},
		{"by ID, two names, forced", id2, true, "", []string{"Untagged: two:a", "Untagged: two:b", "Deleted: " + id2, "Deleted: " + topChain}, "", "one:latest"},
		{"unknown", "none", true, "", nil, "No such image: none:latest", "one:latest two:a two:b"},
		{"stopped", "one", false, "stopped", nil, `conflict: unable to remove repository reference "one" (must force) - container 0123456789ab is using its referenced image ` + id1[7:19], "one:latest two:a two:b"},
		{"stopped, one of two names", "two:a", false, "stopped", []string{"Untagged: two:a"}, "", "one:latest two:b"},
		{"stopped, by ID", id1, false, "stopped", nil, "conflict: unable to delete " + id1[7:19] + " (must be forced) - image is being used by stopped container 0123456789ab", "one:latest two:a two:b"},
		{"stopped, forced", "one", true, "stopped", []string{"Untagged: one:latest"}, "", "<none> two:a two:b"},
		{"running, by ID, forced", id1, true, "running", nil, "conflict: unable to delete " + id1[7:19] + " (cannot be forced) - image is being used by running container 0123456789ab", "one:latest two:a two:b"},
		{"running, forced", "one", true, "running", []string{"Untagged: one:latest"}, "", "<none> two:a two:b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t)
			load(t, s, dockerArchive(one, two))
			done, err := s.Remove(c.ref, RemoveOptions{Force: c.force, InUse: func(string) (string, bool) {
				if c.use == "" {
					return "", false
				}
				return container, c.use == "running"
			}})
			if c.err == "" != (err == nil) || err != nil && err.Error() != c.err {
				t.Errorf("error %v\nwant  %s", err, c.err)
			}
			if strings.HasPrefix(c.err, "conflict") != errors.Is(err, ErrConflict) {
				t.Errorf("%v is ErrConflict: %v", err, errors.Is(err, ErrConflict))
			}
			var got []string
			for _, d := range done {
				if d.Untagged != "" {
					got = append(got, "Untagged: "+d.Untagged)
				} else {
					got = append(got, "Deleted: "+d.Deleted)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if names := strings.Join(allNames(t, s), " "); names != c.remains {
				t.Errorf("remains %s, want %s", names, c.remains)
			}
		})
	}
	t.Run("last", func(t *testing.T) {
		s := store(t)
		load(t, s, dockerArchive(two))
		s.Remove("two:a", RemoveOptions{})
		done, err := s.Remove("two:b", RemoveOptions{})
		if err != nil || len(done) != 4 || done[2].Deleted != topChain || done[3].Deleted != baseChain {
			t.Errorf("%+v, %v", done, err)
		}
		for _, dir := range []string{s.blobs(), s.layers()} {
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left in %s: %v", dir, left)
			}
		}
	})
}

// allNames lists the store's names, oldest image first.
func allNames(t *testing.T, s *Store) []string {
	t.Helper()
	index, err := s.readIndex()
	if err != nil {
		t.Fatal(err)
	}
	var named, nameless []string
	for _, d := range index.Manifests {
		if name := nameOf(d); name != "" {
			named = append(named, name)
		} else if i, err := s.open(index, d); err == nil && len(i.Names) == 0 {
			nameless = append(nameless, "<none>")
		}
	}
	return append(nameless, named...)
}

func TestTag(t *testing.T) {
	s := store(t)
	load(t, s, dockerArchive(one, two))
	if _, _, err := s.Tag("two:a", "one"); err != nil {
		t.Fatal(err)
	}
	if i, err := s.Resolve("one:latest"); err != nil || i.ID != two.id() || len(i.Names) != 3 {
		t.Errorf("%v %v", i, err)
	}
	if i, err := s.Resolve(one.id().String()); err != nil || len(i.Names) != 0 {
		t.Errorf("the image that lost its name: %v %v", i, err)
	}
	if _, _, err := s.Tag(one.id().Encoded()[:12], "again"); err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(allNames(t, s), " "); names != "two:a two:b one:latest again:latest" {
		t.Error(names)
	}
	if _, _, err := s.Tag("none", "x"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := s.Tag("one", "X"); err == nil {
		t.Error("bad name accepted")
	}
}

// TestCheck breaks a store in every way that Check knows.
func TestCheck(t *testing.T) {
	blob := func(data []byte) string { return "image/blobs/sha256/" + digest.FromBytes(data).Encoded() }
	layer := func(data []byte) string { return "layers/" + digest.FromBytes(data).Encoded()[:24] }
	for _, c := range []struct {
		name     string
		damage   func(s *Store, path func(string) string)
		kind     string
		repaired bool
		names    string // after the repair
	}{
		{"dead stage", func(s *Store, path func(string) string) { os.MkdirAll(path("layers/new-1/fs/x"), 0o755) }, "staging", true, "two:a two:b"},
		{"temporary index", func(s *Store, path func(string) string) { os.WriteFile(path("image/.tmp-1"), nil, 0o600) }, "staging", true, "two:a two:b"},
		{"stray blob", func(s *Store, path func(string) string) { os.WriteFile(path(blob([]byte("x"))), []byte("x"), 0o600) }, "blob", true, "two:a two:b"},
		{"stray layer", func(s *Store, path func(string) string) { os.MkdirAll(path(layer([]byte("x"))+"/fs"), 0o700) }, "layer", true, "two:a two:b"},
		{"lost layer", func(s *Store, path func(string) string) { os.RemoveAll(path(layer(top))) }, "layer", true, "two:a two:b"},
		{"layer half removed", func(s *Store, path func(string) string) { os.Remove(path(layer(top) + "/diffid")) }, "layer", true, "two:a two:b"},
		{"other layer in its place", func(s *Store, path func(string) string) {
			os.WriteFile(path(layer(top)+"/diffid"), []byte(digest.FromString("other").String()), 0o600)
		}, "layer", false, "two:a two:b"},
		{"lost blob of a layer", func(s *Store, path func(string) string) { os.Remove(path(blob(top))) }, "blob", false, "two:a two:b"},
		{"changed blob", func(s *Store, path func(string) string) { os.WriteFile(path(blob(top)), base, 0o600) }, "blob", false, "two:a two:b"},
		{"lost config", func(s *Store, path func(string) string) { os.Remove(path(blob([]byte(two.config())))) }, "image", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			load(t, s, dockerArchive(two))
			c.damage(s, func(name string) string { return filepath.Join(s.root, name) })
			problems, err := s.Check(false, true)
			if err != nil || len(problems) == 0 || problems[0].Kind != c.kind || problems[0].Repaired {
				t.Fatalf("check: %+v, %v", problems, err)
			}
			problems, err = s.Check(true, true)
			if err != nil || problems[0].Kind != c.kind || problems[0].Repaired != c.repaired {
				t.Fatalf("repair: %+v, %v", problems, err)
			}
			if names := strings.Join(allNames(t, s), " "); names != c.names {
				t.Errorf("names after repair: %s", names)
			}
			if !c.repaired && c.name != "other layer in its place" {
				load(t, s, dockerArchive(two)) // loading the image again repairs it
				c.repaired = true
			}
			if problems, err = s.Check(false, true); c.repaired && (len(problems) > 0 || err != nil) {
				t.Errorf("after repair: %+v, %v", problems, err)
			}
		})
	}
}

// TestSweepSparesDamaged has an image whose needs cannot be known.
func TestSweepSparesDamaged(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	load(t, s, dockerArchive(one, two))
	os.WriteFile(s.blob(two.id()), []byte("{"), 0o600)
	if _, err := s.Remove("one", RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.blob(digest.FromBytes(top)), s.layer(digest.FromBytes(top))} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
