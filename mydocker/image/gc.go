package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/trace"
)

// references are what the images of an index need, by file name.
type references struct{ blobs, layers map[string]bool }

// references follows the index. A manifest or config that cannot be read is an
// error: what it needs is unknown, so nothing may be taken for garbage.
func (s *Store) references(index *ocispec.Index) (references, error) {
	refs := references{map[string]bool{}, map[string]bool{}}
	for _, d := range index.Manifests {
		if err := s.follow(refs, d); err != nil {
			return refs, err
		}
	}
	return refs, nil
}

func (s *Store) follow(refs references, d ocispec.Descriptor) error {
	refs.blobs[d.Digest.Encoded()] = true
	if isIndex(d) {
		var list ocispec.Index
		if _, err := s.readBlob(d.Digest, &list); err != nil {
			return err
		}
		for _, child := range list.Manifests {
			// An index may name platforms that are not stored.
			if err := s.follow(refs, child); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	var manifest ocispec.Manifest
	if _, err := s.readBlob(d.Digest, &manifest); err != nil {
		return err
	}
	refs.blobs[manifest.Config.Digest.Encoded()] = true
	for _, l := range manifest.Layers {
		refs.blobs[l.Digest.Encoded()] = true
	}
	var config ocispec.Image
	if _, err := s.readBlob(manifest.Config.Digest, &config); err != nil {
		return err
	}
	for _, diffID := range config.RootFS.DiffIDs {
		if diffID.Validate() == nil {
			refs.layers[filepath.Base(s.layer(diffID))] = true
		}
	}
	return nil
}

// garbage lists blobs and layers that no image of the index refers to, by path.
// Call it under the lock.
func (s *Store) garbage(index *ocispec.Index) (blobs, layers []string, err error) {
	refs, err := s.references(index)
	if err != nil {
		return nil, nil, err
	}
	blobs, err = unreferenced(s.blobs(), refs.blobs)
	if err != nil {
		return nil, nil, err
	}
	layers, err = unreferenced(s.layers(), refs.layers)
	return blobs, layers, err
}

func unreferenced(dir string, referenced map[string]bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	var found []string
	for _, e := range entries {
		if !referenced[e.Name()] && !strings.HasPrefix(e.Name(), "new-") && !strings.HasPrefix(e.Name(), ".tmp-") {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found, nil
}

// collect removes what no image of the index, which is already on disk, refers
// to. With a damaged image among them it removes nothing: that is for Check to
// find. Call it under the lock.
func (s *Store) collect(index *ocispec.Index) error {
	blobs, layers, err := s.garbage(index)
	if err != nil {
		return nil
	}
	for _, path := range append(blobs, layers...) {
		trace.Step("unlink", "%s", path)
		err = errors.Join(err, s.discard(path))
	}
	return err
}

// discard removes a blob, or a layer: its diffid first, so that one half
// removed counts as missing.
func (s *Store) discard(path string) error {
	os.Remove(filepath.Join(path, "diffid"))
	return disk.RemoveAll(path)
}

// chainIDs are the IDs under which Docker knows the layers of an image, the
// lowest first (OCI image-spec, config.md, "Layer ChainID").
func chainIDs(diffIDs []digest.Digest) []digest.Digest {
	var chain []digest.Digest
	for n, id := range diffIDs {
		if n > 0 {
			id = digest.FromString(chain[n-1].String() + " " + id.String())
		}
		chain = append(chain, id)
	}
	return chain
}
