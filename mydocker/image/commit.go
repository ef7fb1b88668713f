package image

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/trace"
)

// addition is an image to be added by commit. All of its blobs are staged.
type addition struct {
	manifest ocispec.Descriptor
	config   digest.Digest
	blobs    []digest.Digest // manifest, config, layers
	names    []reference.Named
}

// commit moves blobs and layers into the store and adds the images to the
// index. Everything reaches the device before the index can name it.
func (g *stage) commit(images []addition) error {
	if err := g.sync(); err != nil {
		return err
	}
	return g.store.locked(func() error {
		index, err := g.store.readIndex()
		if err != nil {
			return err
		}
		orphans, err := g.move(index, images)
		if err != nil {
			// A full disk, perhaps: take back what was moved.
			if index, rerr := g.store.readIndex(); rerr == nil {
				err = errors.Join(err, g.store.collect(index))
			}
			return err
		}
		if orphans {
			return g.store.collect(index)
		}
		return nil
	})
}

// move does commit's work; orphans says that it took blobs out of use.
func (g *stage) move(index *ocispec.Index, images []addition) (orphans bool, err error) {
	for diffID, dir := range g.layers {
		if err := g.store.installLayer(dir, diffID); err != nil {
			return false, err
		}
	}
	if err := disk.Sync(g.store.layers()); err != nil || len(images) == 0 {
		return false, err
	}
	for _, add := range images {
		replaced, err := g.install(index, add)
		if err != nil {
			return false, err
		}
		orphans = orphans || replaced
	}
	if err := disk.Sync(g.store.blobs()); err != nil {
		return false, err
	}
	return orphans, g.store.writeIndex(index)
}

// sync writes the stage out with one call for the file system: a call for each
// of ten thousand files would take minutes.
func (g *stage) sync() error {
	dir, err := os.Open(g.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	trace.Step("syncfs", "%s", g.dir)
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", g.dir, err)
	}
	return nil
}

// installLayer moves an unpacked layer to its place. If somebody else was
// faster there is nothing left to do. Call it under the lock.
func (s *Store) installLayer(dir string, diffID digest.Digest) error {
	have, err := s.hasLayer(diffID)
	if have || err != nil {
		return err
	}
	if err := disk.RemoveAll(s.layer(diffID)); err != nil { // half removed: it has no diffid
		return err
	}
	trace.Step("rename", "%s to %s", dir, s.layer(diffID))
	return os.Rename(dir, s.layer(diffID))
}

// install adds an image's blobs and descriptors. An image that is stored with
// another manifest (its layers compressed differently) keeps that one, so that
// an image ID has one manifest, unless some of its blobs are lost: then the new
// one takes its place, which install reports.
func (g *stage) install(index *ocispec.Index, add addition) (replaced bool, err error) {
	old, known := g.store.findConfig(index, add.config)
	if known && old.Digest != add.manifest.Digest && g.store.intact(index, old) {
		add.manifest, add.blobs = old, nil
	}
	for _, d := range add.blobs {
		path, ok := g.blobs[d]
		if !ok {
			continue // moved with an earlier image of the archive
		}
		if err := os.Rename(path, g.store.blob(d)); err != nil {
			return false, err
		}
		delete(g.blobs, d)
	}
	if known && old.Digest != add.manifest.Digest {
		replaced = true
		for n := range index.Manifests {
			if d := &index.Manifests[n]; d.Digest == old.Digest {
				annotations := maps.Clone(d.Annotations)
				*d = add.manifest
				d.Annotations = annotations
			}
		}
	}
	for _, name := range add.names {
		setName(index, add.manifest, name)
	}
	addNameless(index, add.manifest)
	return replaced, nil
}

// findConfig finds the image that has this config.
func (s *Store) findConfig(index *ocispec.Index, config digest.Digest) (ocispec.Descriptor, bool) {
	for _, d := range index.Manifests {
		if i, err := s.open(index, d); err == nil && i.ID == config {
			return withoutName(d), true
		}
	}
	return ocispec.Descriptor{}, false
}

// intact reports whether all blobs of an image exist.
func (s *Store) intact(index *ocispec.Index, d ocispec.Descriptor) bool {
	i, err := s.open(index, d)
	return err == nil && !slices.ContainsFunc(i.Manifest.Layers, func(l ocispec.Descriptor) bool {
		_, err := os.Stat(s.blob(l.Digest))
		return err != nil
	})
}
