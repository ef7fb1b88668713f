package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Problem is something in the store that should not be there, or is not as it
// should be.
type Problem struct {
	Kind     string // "staging", "temporary file", "blob", "layer", "image"
	Object   string // a path, or an image ID or digest
	Reason   string
	Repaired bool
}

// Check looks for what a crash left in the store and for what is missing in it,
// and with repair puts it right where that is possible. deep reads every blob
// and compares it with its digest. An image whose manifest or config is lost is
// repaired by forgetting it.
func (s *Store) Check(repair, deep bool) ([]Problem, error) {
	c := checker{store: s, repair: repair}
	if err := s.locked(func() error { return c.look(deep) }); err != nil {
		return c.problems, err
	}
	for _, restore := range c.later { // takes the lock itself
		restore()
	}
	return c.problems, nil
}

type checker struct {
	store    *Store
	repair   bool
	problems []Problem
	later    []func()
}

func (c *checker) look(deep bool) error {
	index, err := c.store.readIndex()
	if err != nil {
		return err
	}
	if err := c.leftovers(); err != nil {
		return err
	}
	whole, err := c.images(index)
	if err != nil {
		return err
	}
	if whole { // else what the damaged image needs is unknown
		if err := c.garbage(index); err != nil {
			return err
		}
	}
	if deep {
		return c.contents()
	}
	return nil
}

// images reports images that cannot be read or lack something. whole says that
// those that are left in the index can all be read.
func (c *checker) images(index *ocispec.Index) (whole bool, err error) {
	kept := index.Manifests[:0:0]
	whole = true
	seen := map[string]bool{}
	for _, d := range index.Manifests {
		i, err := c.store.open(index, d)
		if err == nil {
			c.missing(i, seen)
		} else {
			lost := errors.Is(err, os.ErrNotExist)
			c.problems = append(c.problems, Problem{"image", d.Digest.String(), err.Error(), lost && c.repair})
			if lost && c.repair {
				continue
			}
			whole = false
		}
		kept = append(kept, d)
	}
	if len(kept) == len(index.Manifests) {
		return whole, nil
	}
	index.Manifests = kept
	return whole, c.store.writeIndex(index)
}

// report notes a problem and mends it if it is to be mended; mend may be nil.
func (c *checker) report(kind, object, reason string, mend func() error) {
	c.problems = append(c.problems, Problem{Kind: kind, Object: object, Reason: reason})
	if c.repair && mend != nil {
		c.mend(len(c.problems)-1, mend)
	}
}

func (c *checker) mend(problem int, mend func() error) {
	if err := mend(); err != nil {
		c.problems[problem].Reason += "; " + err.Error()
		return
	}
	c.problems[problem].Repaired = true
}

func (c *checker) remove(kind, path, reason string) {
	c.report(kind, path, reason, func() error { return c.store.discard(path) })
}

func (c *checker) leftovers() error {
	dead, err := c.store.deadStages()
	if err != nil {
		return err
	}
	for _, dir := range dead {
		c.remove("staging", dir, "the process that was adding an image is gone")
	}
	for _, dir := range []string{c.store.layout(), c.store.blobs()} {
		// disk.WriteFile is only called under the lock, which is ours now.
		found, err := filepath.Glob(filepath.Join(dir, ".tmp-*"))
		if err != nil {
			return err
		}
		for _, path := range found {
			c.remove("temporary file", path, "the process that was writing it is gone")
		}
	}
	return nil
}

func (c *checker) garbage(index *ocispec.Index) error {
	blobs, layers, err := c.store.garbage(index)
	if err != nil {
		return err
	}
	for _, path := range blobs {
		c.remove("blob", path, "no image refers to it")
	}
	for _, path := range layers {
		c.remove("layer", path, "no image refers to it")
	}
	return nil
}

// contents compares blobs with their digests. A damaged one stays: loading or
// pulling its image again replaces it.
func (c *checker) contents() error {
	entries, err := os.ReadDir(c.store.blobs())
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(c.store.blobs(), e.Name())
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		found, err := digest.SHA256.FromReader(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if found.Encoded() != e.Name() {
			c.report("blob", path, "its content does not match its digest", nil)
		}
	}
	return nil
}

// missing reports what an image lacks: blobs of layers, and unpacked layers.
func (c *checker) missing(i *Image, seen map[string]bool) {
	reason := "missing, image " + shortID(i.ID) + " needs it"
	for n, diffID := range i.Layers() {
		blob := c.store.blob(i.Manifest.Layers[n].Digest)
		if _, err := os.Stat(blob); errors.Is(err, os.ErrNotExist) && !seen[blob] {
			seen[blob] = true
			c.report("blob", blob, reason, nil)
		}
		dir := c.store.layer(diffID)
		ok, err := c.store.hasLayer(diffID)
		if ok || seen[dir] {
			continue
		}
		seen[dir] = true
		if err != nil {
			c.report("layer", dir, err.Error(), nil)
			continue
		}
		c.report("layer", dir, reason, nil)
		if problem := len(c.problems) - 1; c.repair {
			c.later = append(c.later, func() {
				c.mend(problem, func() error { return c.store.restoreLayer(i, n) })
			})
		}
	}
}
