package image

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"minidocker/mydocker/image/registry"
)

// Progress is something that happened in a pull or push, in Docker's words.
type Progress struct {
	Layer          string // first 12 digits of the blob's digest; "": it is about the whole
	Status         string // such as "Downloading" or "Pull complete"
	Current, Total int64  // bytes; Total 0: there is nothing to measure
}

// PullOptions are the options of Pull. All may be empty.
type PullOptions struct {
	Platform string         // os[/arch[/variant]] or arch; "": this machine's
	Progress func(Progress) // called by one goroutine at a time
}

// Pulled is an image that Pull stored or found up to date.
type Pulled struct {
	Name   string        // short, with its tag or digest
	Digest digest.Digest // of the manifest or index that the name means at the registry
	ID     digest.Digest
	New    bool // it was not there, or the name meant another image
}

// Pull stores the image that ref means at its registry.
func (s *Store) Pull(ctx context.Context, c *registry.Client, ref string, o PullOptions) (Pulled, error) {
	return Pulled{}, errors.New("pull: not there yet")
}

// PullAll pulls every tag of a repository; each is told of one when it is done.
func (s *Store) PullAll(ctx context.Context, c *registry.Client, repository string, o PullOptions, each func(Pulled)) error {
	return errors.New("pull: not there yet")
}
