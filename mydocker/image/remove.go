package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	api "github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrConflict reports that an image is in use, or has several names.
var ErrConflict = errors.New("conflict")

// ConflictError is ErrConflict in Docker's words.
type ConflictError struct{ Message string }

func (e *ConflictError) Error() string        { return "conflict: " + e.Message }
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	Force   bool // also an image with several names, or with stopped containers
	NoPrune bool // keep untagged parents; there are none, so it changes nothing
	// InUse returns a container that uses the image, a running one if there is
	// one; an empty ID: none does. nil: no image is in use.
	InUse func(imageID string) (containerID string, running bool)
}

// Tag gives the image that ref means one more name. If another image had the
// name it loses it.
func (s *Store) Tag(ref, name string) error {
	named, err := Normalize(name)
	if err != nil {
		return err
	}
	if isDigestName(named.String()) {
		return errors.New("refusing to create a tag with a digest reference")
	}
	return s.update(func(index *ocispec.Index) error {
		i, err := s.resolve(index, ref)
		if err != nil {
			return err
		}
		setName(index, i.Descriptor, named)
		return nil
	})
}

// Remove takes a name away, or all names if ref is an ID, and if none is left
// deletes the image with every blob and layer that no other needs. It answers
// what it did in the order in which it did it. An image that a container uses
// keeps its layers even when forced: it stays without a name.
func (s *Store) Remove(ref string, o RemoveOptions) (done []api.DeleteResponse, err error) {
	if o.InUse == nil {
		o.InUse = func(string) (string, bool) { return "", false }
	}
	err = s.locked(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		i, err := s.resolve(index, ref)
		if err != nil {
			return err
		}
		r := removal{s, index, o, i, nil}
		if isIDOf(i.ID, ref) {
			err = r.byID()
		} else {
			err = r.byName(ref)
		}
		if err != nil {
			return err
		}
		done = r.done
		return s.writeAndCollect(index)
	})
	return done, err
}

func (s *Store) writeAndCollect(index *ocispec.Index) error {
	if err := s.writeIndex(index); err != nil {
		return err
	}
	return s.collect(index)
}

// isIDOf tells a reference by ID from one by a name.
func isIDOf(id digest.Digest, ref string) bool {
	return strings.HasPrefix(id.String(), ref) || strings.HasPrefix(id.Encoded(), ref)
}

// removal is one image being removed from an index in memory.
type removal struct {
	store *Store
	index *ocispec.Index
	RemoveOptions
	image *Image
	done  []api.DeleteResponse
}

func (r *removal) byName(ref string) error {
	container, running := r.InUse(r.image.ID.String())
	if !r.Force && container != "" && r.singleReference() {
		return &ConflictError{fmt.Sprintf("unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			ref, shortContainer(container), shortID(r.image.ID))}
	}
	at, err := findName(r.index, ref)
	if err != nil {
		return err
	}
	full := nameOf(&r.index.Manifests[at])
	r.untag(full)
	r.dropDigests(full)
	if len(r.image.Names)+len(r.image.Digests) > 0 || running {
		return nil
	}
	return r.delete()
}

// dropDigests forgets name@digest references of a repository whose last tag is gone.
func (r *removal) dropDigests(full string) {
	if isDigestName(full) {
		return
	}
	repository := repositoryOf(full)
	sameRepository := func(name string) bool { return repositoryOf(name) == repository }
	if slices.ContainsFunc(r.image.Names, sameRepository) {
		return
	}
	for _, name := range slices.Clone(r.image.Digests) {
		if sameRepository(name) {
			r.untag(name)
		}
	}
}

func (r *removal) byID() error {
	container, running := r.InUse(r.image.ID.String())
	conflict := func(force, format string, args ...any) error {
		return &ConflictError{fmt.Sprintf("unable to delete %s (%s) - %s", shortID(r.image.ID), force, fmt.Sprintf(format, args...))}
	}
	switch {
	case running:
		return conflict("cannot be forced", "image is being used by running container %s", shortContainer(container))
	case r.Force:
	case !r.singleReference():
		return conflict("must be forced", "image is referenced in multiple repositories")
	case container != "":
		return conflict("must be forced", "image is being used by stopped container %s", shortContainer(container))
	}
	for _, name := range slices.Concat(r.image.Names, r.image.Digests) {
		r.untag(name)
	}
	return r.delete()
}

// singleReference reports whether the image has at most one tag, and digests
// only of that tag's repository.
func (r *removal) singleReference() bool {
	if len(r.image.Names)+len(r.image.Digests) <= 1 {
		return true
	}
	if len(r.image.Names) > 1 {
		return false
	}
	first := repositoryOf(slices.Concat(r.image.Names, r.image.Digests)[0])
	return !slices.ContainsFunc(r.image.Digests, func(name string) bool { return repositoryOf(name) != first })
}

func (r *removal) untag(name string) {
	familiar := Familiar(name)
	if named, err := Normalize(name); err != nil || !clearName(r.index, named.String()) {
		return
	}
	same := func(other string) bool { return other == familiar }
	r.image.Names = slices.DeleteFunc(r.image.Names, same)
	r.image.Digests = slices.DeleteFunc(r.image.Digests, same)
	r.done = append(r.done, api.DeleteResponse{Untagged: familiar})
}

// delete takes the image, which has no name any more, out of the index.
func (r *removal) delete() error {
	if container, _ := r.InUse(r.image.ID.String()); container != "" {
		return nil
	}
	layers := r.store.drop(r.index, r.image)
	r.done = append(r.done, api.DeleteResponse{Deleted: r.image.ID.String()})
	for _, chainID := range layers {
		r.done = append(r.done, api.DeleteResponse{Deleted: chainID.String()})
	}
	return nil
}

// drop takes all descriptors of an image out of the index. It returns the chain
// IDs that no other image has, the top layer first.
func (s *Store) drop(index *ocispec.Index, i *Image) []digest.Digest {
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		same, err := s.open(index, d)
		return err == nil && same.ID == i.ID
	})
	others, _ := s.list(index)
	chain := chainIDs(i.Layers())
	for _, other := range others {
		shared := chainIDs(other.Layers())
		chain = slices.DeleteFunc(chain, func(id digest.Digest) bool { return slices.Contains(shared, id) })
	}
	slices.Reverse(chain)
	return chain
}

// Prune removes every image for whose ID keep returns false, with all its names.
func (s *Store) Prune(keep func(imageID string) bool) (done []api.DeleteResponse, err error) {
	err = s.locked(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		images, _ := s.list(index)
		for _, i := range images {
			if keep(i.ID.String()) {
				continue
			}
			r := removal{store: s, index: index, image: i}
			r.InUse = func(string) (string, bool) { return "", false }
			r.Force = true
			if err := r.byID(); err != nil {
				return err
			}
			done = append(done, r.done...)
		}
		return s.writeAndCollect(index)
	})
	return done, err
}

func repositoryOf(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return named.Name()
}

func shortContainer(id string) string { return id[:min(12, len(id))] }
