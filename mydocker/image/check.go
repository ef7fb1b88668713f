package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/trace"
)

// Problem is something that should not be in the store, or not as it is.
type Problem struct {
	Kind     string // "staging", "pull", "blob", "layer", "image"
	Object   string // a path, or the digest of an image's manifest
	Reason   string
	Repaired bool
}

// Check looks for what a crash left in the store and for what is missing in it,
// deep also for blobs that do not match their digest. repair unpacks lost layers
// again, removes damaged blobs of layers, and forgets images without manifest or config.
// What is then missing comes back when the image is pulled or loaded again; until then
// the image runs, if its layers are unpacked, but cannot be saved or pushed.
func (s *Store) Check(repair, deep bool) ([]Problem, error) {
	keep := func(Problem) error { return nil }
	problems, err := s.audit(deep, true, keep)
	if err != nil || !repair {
		return problems, err
	}
	err = s.update(func(index *ocispec.Index) error {
		s.removeDamaged(problems)
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
			_, err := s.open(&ocispec.Index{}, d)
			return errors.Is(err, os.ErrNotExist)
		})
		return nil
	})
	images, _ := s.List()
	for _, i := range images {
		s.LayerDirs(i) // unpacks what is lost; what cannot be unpacked stays a problem
	}
	err = errors.Join(err, s.sweep(true))
	left, lerr := s.audit(deep, true, keep)
	for n, p := range problems {
		problems[n].Repaired = !slices.ContainsFunc(left, func(other Problem) bool { return other.Object == p.Object })
	}
	return problems, errors.Join(err, lerr)
}

// removeDamaged removes the layers' blobs that are not what their names say, so that a
// pull fetches them again. A damaged manifest or config stays: it may still be read.
func (s *Store) removeDamaged(problems []Problem) {
	adding, err := disk.TryAcquire(s.addingLock(), disk.Exclusive)
	if err != nil { // somebody is adding: perhaps this very blob
		return
	}
	defer adding.Release()
	for _, p := range problems {
		d := digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(p.Object))
		if p.Kind == "blob" && d.Validate() == nil && s.reach(d, true) == nil && !errors.Is(s.verify(d, true), os.ErrNotExist) && s.verify(d, true) != nil {
			trace.Step("unlink", "%s, damaged", p.Object)
			os.Remove(p.Object)
		}
	}
}

// sweep removes everything that no image refers to, and no pull under way; nor, unless
// abandoned, one that was interrupted, for it may be taken up again.
func (s *Store) sweep(abandoned bool) error {
	_, err := s.audit(false, abandoned, func(p Problem) error {
		trace.Step("unlink", "%s", p.Object)
		os.Remove(filepath.Join(p.Object, "diffid")) // first: a layer half removed counts as missing
		return disk.RemoveAll(p.Object)
	})
	return err
}

// audit compares the store with its index, under the lock; deep, then also blobs with
// their names, not under it, for that takes long. It calls unused for what could be removed.
func (s *Store) audit(deep, abandoned bool, unused func(Problem) error) (problems []Problem, err error) {
	needed, whole := map[string]bool{}, true
	need := func(kind, path string, err error) {
		if err != nil && !needed[path] {
			problems = append(problems, Problem{Kind: kind, Object: path, Reason: err.Error()})
		}
		needed[path] = true
	}
	drop := func(p Problem) error {
		problems = append(problems, p)
		return unused(p)
	}
	err = s.locked(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		for _, d := range index.Manifests {
			if needed[d.Digest.String()] && nameOf(d) == "" {
				continue // of a name the digest is looked at, too
			}
			i, err := s.open(index, d)
			need("image", d.Digest.String(), err)
			if err != nil {
				whole = false
				continue
			}
			for _, d := range i.blobs() {
				need("blob", s.blob(d), s.verify(d, false))
			}
			for _, d := range i.originals() {
				for _, d := range s.reach(d, false) {
					needed[s.blob(d)] = true
				}
			}
			for _, diffID := range i.Layers() {
				need("layer", s.layer(diffID), s.findLayer(diffID))
			}
		}
		return errors.Join(s.eachPull(needed, abandoned, drop), s.eachUnused(needed, whole, drop))
	})
	if deep {
		for path := range needed {
			d := digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(path))
			if filepath.Dir(path) != s.blobs() {
				continue
			}
			if err := s.verify(d, true); err != nil && !errors.Is(err, os.ErrNotExist) {
				problems = append(problems, Problem{Kind: "blob", Object: path, Reason: err.Error()})
			}
		}
	}
	return problems, err
}

// pulls holds a file for each pull that is not done, locked while it is under way: the
// manifest. What that leads to is needed, for an interrupted pull goes on from there.
func (s *Store) pulls() string { return filepath.Join(s.layout(), "pulls") }

// eachPull counts what pulls need. abandoned: those that nobody holds are for drop.
func (s *Store) eachPull(needed map[string]bool, abandoned bool, drop func(Problem) error) error {
	files, err := filepath.Glob(filepath.Join(s.pulls(), "*")) // cannot fail
	for _, path := range files {
		lock, lerr := disk.TryAcquire(path, disk.Exclusive|disk.Existing)
		if lerr == nil && abandoned {
			err = errors.Join(err, drop(Problem{Kind: "pull", Object: path, Reason: "interrupted, and nobody has taken it up"}))
		}
		if lerr == nil {
			defer lock.Release()
		}
		var manifest ocispec.Manifest
		if lerr == nil && abandoned || disk.ReadJSON(path, &manifest) != nil {
			continue
		}
		for _, d := range append(manifest.Layers, manifest.Config) {
			if isFileName(d.Digest) {
				needed[s.blob(d.Digest)] = true
			}
		}
		var config ocispec.Image
		if s.readBlob(manifest.Config.Digest, &config) == nil {
			for _, diffID := range config.RootFS.DiffIDs {
				if isFileName(diffID) {
					needed[s.layer(diffID)] = true
				}
			}
		}
	}
	return err
}

// eachUnused calls do for what is not needed. While somebody is adding that is
// nothing; and no blob or layer if what is needed is not wholly known.
func (s *Store) eachUnused(needed map[string]bool, whole bool, do func(Problem) error) error {
	adding, err := disk.TryAcquire(s.addingLock(), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer adding.Release()
	for dir, kind := range map[string]string{s.layout(): "", s.blobs(): "blob", s.layers(): "layer"} {
		entries, rerr := os.ReadDir(dir)
		err = errors.Join(err, rerr)
		for _, e := range entries {
			p := Problem{Kind: kind, Object: filepath.Join(dir, e.Name()), Reason: "no image refers to it"}
			digits, isNew := strings.CutPrefix(e.Name(), "new-")
			if isNew || strings.HasPrefix(e.Name(), ".tmp-") {
				p.Kind = "staging"
			}
			if part := filepath.Join(dir, digits); isNew && needed[part] && !exists(part) { // of a blob that an interrupted pull needs
				continue
			}
			if p.Kind == "staging" || kind != "" && whole && !needed[p.Object] {
				err = errors.Join(err, do(p))
			}
		}
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// verify tells what is wrong with a blob. Not deep: whether it exists.
func (s *Store) verify(d digest.Digest, deep bool) error {
	file, err := os.Open(s.blob(d))
	if err != nil {
		return err
	}
	defer file.Close()
	if deep {
		if found, err := digest.SHA256.FromReader(file); err != nil || found != d {
			return errors.Join(err, fmt.Errorf("damaged: its digest is %s", found))
		}
	}
	return nil
}
