package image

import (
	"fmt"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	Force   bool // also an image with several names, or with stopped containers
	NoPrune bool // keep parents without a name
	// InUse returns a container that uses the image, a running one if there is
	// one; an empty ID: none does. nil: no image is in use.
	InUse func(imageID string) (containerID string, running bool)
}

// Tag gives the image that ref means one more name, which another may lose by it,
// and answers with its ID and the name as it is shown.
func (s *Store) Tag(ref, name string) (id digest.Digest, short string, err error) {
	if short, err = tagName(name); err != nil {
		return "", "", err
	}
	err = s.update(func(index *ocispec.Index) error {
		i, err := s.Resolve(ref)
		if err == nil {
			id = i.ID
			setName(index, i.Descriptor, short)
		}
		return err
	})
	return id, short, err
}

// Remove takes a name away, or all if ref is an ID, and with the last the image,
// with every blob and layer that no other needs, and its parents, as far as they have
// no name. It answers what it did, in order. An image that a container uses, or that
// others were committed from, stays even when forced, without a name.
func (s *Store) Remove(ref string, o RemoveOptions) (done []api.DeleteResponse, err error) {
	err = s.update(func(index *ocispec.Index) error {
		r := &removal{store: s, index: index, o: o}
		err := r.remove(ref)
		done = r.done
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, s.sweep(false)
}

// removal takes images out of an index by Docker's rules (moby, image_delete.go).
type removal struct {
	store *Store
	index *ocispec.Index
	o     RemoveOptions
	done  []api.DeleteResponse
}

func (r *removal) remove(ref string) error {
	found, err := r.store.resolve(r.index, ref)
	if err != nil {
		return err
	}
	i := r.image(found.ID)
	if strings.HasPrefix(i.ID.String(), ref) || strings.HasPrefix(i.ID.Encoded(), ref) {
		if i.oneName() != "" {
			if err := r.conflict(i, r.o.Force, false); err != nil {
				return err
			}
			r.untag(i.names()...)
			i.Names, i.Digests = nil, nil
		}
		return r.drop(i, r.o.Force, false)
	}
	if container, _ := r.user(i); !r.o.Force && container != "" && i.oneName() != "" {
		return fmt.Errorf("%w: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			ErrConflict, ref, container, i.ID.Encoded()[:12])
	}
	name, _ := normalize(ref) // it was resolved
	r.untag(name)
	left := slices.DeleteFunc(i.names(), func(other string) bool { return other == name })
	// Digests of a repository go with its last tag.
	if repository := repositoryOf(name); !strings.Contains(name, "@") && !slices.ContainsFunc(left, func(other string) bool {
		return repositoryOf(other) == repository && !strings.Contains(other, "@")
	}) {
		left = slices.DeleteFunc(left, func(other string) bool {
			if repositoryOf(other) != repository {
				return false
			}
			r.untag(other)
			return true
		})
	}
	if len(left) > 0 {
		return nil
	}
	i.Names, i.Digests = nil, nil
	return r.drop(i, r.o.Force, true)
}

func (i *Image) names() []string { return slices.Concat(i.Names, i.Digests) }

// oneName is the repository of an image with at most one tag, all of whose names are of
// that repository; else "".
func (i *Image) oneName() string {
	names := i.names()
	if len(names) == 0 || len(i.Names) > 1 ||
		slices.ContainsFunc(names, func(other string) bool { return repositoryOf(other) != repositoryOf(names[0]) }) {
		return ""
	}
	return repositoryOf(names[0])
}

// repositoryOf is a short name without its tag or digest.
func repositoryOf(name string) string {
	name, _, digested := strings.Cut(name, "@")
	if digested {
		return name
	}
	return name[:strings.LastIndex(name, ":")]
}

// image is the one of an ID, with all its names; nil if there is none.
func (r *removal) image(id digest.Digest) *Image {
	for _, i := range r.all() {
		if i.ID == id {
			return i
		}
	}
	return nil
}

// all are the images that can be read: damage to one does not keep others from being removed.
func (r *removal) all() []*Image {
	index := ocispec.Index{Manifests: slices.DeleteFunc(slices.Clone(r.index.Manifests), func(d ocispec.Descriptor) bool {
		_, err := r.store.open(&ocispec.Index{}, d)
		return err != nil
	})}
	all, _ := r.store.images(&index)
	return all
}

func (r *removal) untag(names ...string) {
	for _, name := range names {
		clearName(r.index, name)
		r.done = append(r.done, api.DeleteResponse{Untagged: name})
	}
}

// user is a container that uses an image, by 12 digits.
func (r *removal) user(i *Image) (container string, running bool) {
	if r.o.InUse != nil {
		container, running = r.o.InUse(i.ID.String())
	}
	return container[:min(12, len(container))], running
}

func (r *removal) children(i *Image) bool {
	return slices.ContainsFunc(r.all(), func(other *Image) bool { return other.Parent == i.ID })
}

// conflict says why an image must stay. named: that it has names is one reason.
func (r *removal) conflict(i *Image, force, named bool) error {
	reason := ""
	container, running := r.user(i)
	switch {
	case r.children(i):
		reason = "(cannot be forced) - image has dependent child images"
	case running:
		reason = "(cannot be forced) - image is being used by running container " + container
	case force:
	case named && len(i.names()) > 0:
		reason = "(must be forced) - image is referenced in multiple repositories"
	case container != "":
		reason = "(must be forced) - image is being used by stopped container " + container
	}
	if reason == "" {
		return nil
	}
	return fmt.Errorf("%w: unable to delete %s %s", ErrConflict, i.ID.Encoded()[:12], reason)
}

// drop takes an image out of the index, with the names it still has. It tells its ID and
// the chain IDs, under which Docker knows layers, that no other image has, the top layer
// first. quiet: an image that must stay is no error.
func (r *removal) drop(i *Image, force, quiet bool) error {
	if err := r.conflict(i, force, true); err != nil && quiet {
		return nil
	} else if err != nil {
		return err
	}
	r.untag(i.names()...)
	if container, _ := r.user(i); container != "" { // forced
		return nil
	}
	r.index.Manifests = slices.DeleteFunc(r.index.Manifests, func(d ocispec.Descriptor) bool { return slices.Contains(i.roots, d.Digest) })
	r.done = append(r.done, api.DeleteResponse{Deleted: i.ID.String()})
	var shared []digest.Digest
	for _, other := range r.all() {
		shared = append(shared, identity.ChainIDs(slices.Clone(other.Layers()))...)
	}
	for _, chainID := range slices.Backward(identity.ChainIDs(slices.Clone(i.Layers()))) {
		if !slices.Contains(shared, chainID) {
			r.done = append(r.done, api.DeleteResponse{Deleted: chainID.String()})
		}
	}
	if parent := r.image(i.Parent); parent != nil && !r.o.NoPrune {
		return r.drop(parent, false, true)
	}
	return nil
}
