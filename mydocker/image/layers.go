package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"minidocker/mydocker/image/layer"
)

// LayerDirs returns the image's unpacked layers as overlayfs wants its lower
// directories: the top layer first. A layer that is missing is unpacked again
// from its blob. An image without layers gives none.
func (s *Store) LayerDirs(i *Image) ([]string, error) {
	var dirs []string
	for n := len(i.Layers()) - 1; n >= 0; n-- {
		diffID := i.Layers()[n]
		ok, err := s.hasLayer(diffID)
		if err != nil {
			return nil, err
		}
		if !ok {
			if err := s.restoreLayer(i, n); err != nil {
				return nil, fmt.Errorf("unpack layer %s again: %w", diffID, err)
			}
		}
		fs := filepath.Join(s.layer(diffID), "fs")
		dirs = append(dirs, fs)
		if layer.IsOpaque(fs) {
			break // nothing below it is visible
		}
	}
	return dirs, nil
}

// hasLayer reports whether the layer is unpacked. Its directory is named by a
// part of the diff ID only: another layer in the same place is an error.
func (s *Store) hasLayer(diffID digest.Digest) (bool, error) {
	data, err := os.ReadFile(s.layer(diffID) + "/diffid")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("image store: %w", err)
	}
	if found := strings.TrimSpace(string(data)); found != diffID.String() {
		return false, fmt.Errorf("layer %s: %s holds layer %s", diffID, s.layer(diffID), found)
	}
	return true, nil
}

// restoreLayer unpacks layer n of a stored image from its blob.
func (s *Store) restoreLayer(i *Image, n int) error {
	stage, err := s.newStage()
	if err != nil {
		return err
	}
	defer stage.close()
	blob, err := os.Open(s.blob(i.Manifest.Layers[n].Digest))
	if err != nil {
		return err
	}
	defer blob.Close()
	if err := stage.unpackVerified(blob, i.Layers()[n]); err != nil {
		return err
	}
	return stage.commit(nil)
}

// writeLayerRecords writes what makes a directory a layer, beside its fs/.
func writeLayerRecords(dir string, stats layer.Stats) error {
	err := os.WriteFile(filepath.Join(dir, "diffid"), []byte(stats.DiffID.String()+"\n"), 0o600)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "size"), []byte(strconv.FormatInt(stats.Size, 10)+"\n"), 0o600)
}
