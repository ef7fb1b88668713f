package image

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/trace"
)

// CommitOptions describe an image made of another.
type CommitOptions struct {
	Parent          string                          // ID of the other
	Ref             string                          // the name to give the image; "": none
	Author, Message string                          // for the history, as CreatedBy; each may be ""
	CreatedBy       string                          // the command that made the changes
	Config          dockerspec.DockerOCIImageConfig // what containers of it run
}

// emptyLayer is the diff ID of an archive without entries: a kilobyte of zeros.
const emptyLayer digest.Digest = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

// Commit makes an image of another and one more layer, which write writes as an
// uncompressed archive. It is stored, hashed and unpacked in one pass. If there is
// nothing in it the image has the other's layers, as in Docker.
func (s *Store) Commit(o CommitOptions, write func(io.Writer) error) (i *Image, err error) {
	var names []string
	if o.Ref != "" {
		name, err := tagName(o.Ref)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	err = s.adding(func() error { // from here on nobody sweeps the parent's layers away
		parent, err := s.Resolve(o.Parent)
		if err != nil {
			return err
		}
		blob, err := s.writeLayer(write)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		config, layers := parent.Config, parent.Manifest.Layers
		config.Created, config.Author, config.Config = &now, o.Author, o.Config
		config.History = append(slices.Clip(config.History), ocispec.History{
			Created: &now, CreatedBy: o.CreatedBy, Author: o.Author, Comment: o.Message, EmptyLayer: blob.Digest == emptyLayer})
		if blob.Digest != emptyLayer {
			config.RootFS.DiffIDs = append(slices.Clip(config.RootFS.DiffIDs), blob.Digest)
			layers = append(slices.Clip(layers), blob)
		}
		configBlob, err := s.writeJSON(config)
		if err != nil {
			return err
		}
		if i, err = s.newImage(configBlob, layers, names); err != nil {
			return err
		}
		i.Parent = parent.ID
		return s.commit(i)
	})
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return i, nil
}

// writeLayer stores what write writes, as a blob and unpacked. It is hashed once: the
// digest of a blob that is not compressed is the diff ID.
func (s *Store) writeLayer(write func(io.Writer) error) (blob ocispec.Descriptor, err error) {
	file, err := os.CreateTemp(s.blobs(), "new-*")
	if err != nil {
		return blob, err
	}
	defer file.Close()
	dir, err := os.MkdirTemp(s.layers(), "new-*")
	if err != nil {
		return blob, err
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err)
		written <- err
	}()
	trace.Step("untar", "layer into %s", dir)
	stats, err := layer.Apply(filepath.Join(dir, "fs"), io.TeeReader(r, file))
	r.CloseWithError(err)
	if err = cmp.Or(<-written, err); err != nil { // the writer's own words, if it has any
		return blob, err
	}
	if err := errors.Join(os.Rename(file.Name(), s.blob(stats.DiffID)), s.place(dir, stats)); err != nil {
		return blob, err
	}
	size, _ := file.Seek(0, io.SeekCurrent) // cannot fail
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: stats.DiffID, Size: size}, nil
}
