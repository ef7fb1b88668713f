package image

import (
	"slices"

	api "github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Prune removes the images that keep does not want, with their names, every blob and
// layer that no other needs, and interrupted pulls. An image that a container uses, or
// others were committed from, stays. It answers what it did, in order, and how many bytes
// the layers took.
func (s *Store) Prune(o RemoveOptions, keep func(*Image) bool) (done []api.DeleteResponse, freed int64, err error) {
	err = s.update(func(index *ocispec.Index) error {
		all, err := s.images(index)
		if err != nil {
			return err
		}
		r := &removal{store: s, index: index, o: o}
		for _, i := range all {
			if container, _ := r.user(i); container != "" || len(i.names()) == 0 && r.children(i) || keep(i) {
				continue
			}
			if i := r.image(i.ID); i != nil { // it has not gone with a child
				r.untag(i.names()...)
				i.Names, i.Digests = nil, nil
				r.drop(i, false, true)
			}
		}
		done = r.done
		left, err := s.images(index)
		before, _ := s.Usage(all)
		after, _ := s.Usage(left)
		freed = before - after
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return done, freed, s.sweep(true)
}

// Usage adds up the images' unpacked layers in bytes, each once, and by an image's ID
// those that it shares.
func (s *Store) Usage(images []*Image) (total int64, shared map[digest.Digest]int64) {
	users := map[digest.Digest][]digest.Digest{} // of a layer, the images
	for _, i := range images {
		for _, diffID := range i.Layers() {
			if !slices.Contains(users[diffID], i.ID) {
				users[diffID] = append(users[diffID], i.ID)
			}
		}
	}
	shared = map[digest.Digest]int64{}
	for diffID, ids := range users {
		size := s.layerSize(diffID)
		total += size
		for _, id := range ids {
			if len(ids) > 1 {
				shared[id] += size
			}
		}
	}
	return total, shared
}
