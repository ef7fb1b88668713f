package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/trace"
)

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	Force   bool // also an image with several names, or with stopped containers
	NoPrune bool // keep untagged parents; there are none, so it changes nothing
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
// with every blob and layer that no other needs. It answers what it did, in order.
// An image that a container uses stays even when forced, without a name.
func (s *Store) Remove(ref string, o RemoveOptions) (done []api.DeleteResponse, err error) {
	err = s.update(func(index *ocispec.Index) error {
		i, err := s.Resolve(ref)
		if err != nil {
			return err
		}
		container, running := "", false
		if o.InUse != nil {
			container, running = o.InUse(i.ID.String())
		}
		names := i.Names
		byID := strings.HasPrefix(i.ID.String(), ref) || strings.HasPrefix(i.ID.Encoded(), ref)
		if err := i.removable(ref, byID, o.Force, container[:min(12, len(container))], running); err != nil {
			return err
		}
		if !byID {
			name, _ := normalize(ref) // it was resolved
			names = []string{name}
		}
		for _, name := range names {
			clearName(index, name)
			done = append(done, api.DeleteResponse{Untagged: name})
		}
		if len(names) == len(i.Names) && container == "" {
			done = append(done, s.drop(index, i)...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, s.sweep()
}

// removable says why names must not be taken from an image.
func (i *Image) removable(ref string, byID, force bool, container string, running bool) error {
	reason := ""
	switch {
	case force && !(running && byID):
	case !byID && container != "" && len(i.Names) == 1:
		return fmt.Errorf("%w: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			ErrConflict, ref, container, i.ID.Encoded()[:12])
	case !byID:
	case running:
		reason = "(cannot be forced) - image is being used by running container " + container
	case len(i.Names) > 1:
		reason = "(must be forced) - image is referenced in multiple repositories"
	case container != "":
		reason = "(must be forced) - image is being used by stopped container " + container
	}
	if reason == "" {
		return nil
	}
	return fmt.Errorf("%w: unable to delete %s %s", ErrConflict, i.ID.Encoded()[:12], reason)
}

// drop takes an image out of the index. It tells its ID and the chain IDs, under
// which Docker knows layers, that no other image has, the top layer first.
func (s *Store) drop(index *ocispec.Index, i *Image) (done []api.DeleteResponse) {
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == i.Descriptor.Digest })
	done = append(done, api.DeleteResponse{Deleted: i.ID.String()})
	var shared []digest.Digest
	others, _ := s.images(index)
	for _, other := range others {
		shared = append(shared, identity.ChainIDs(slices.Clone(other.Layers()))...)
	}
	for _, chainID := range slices.Backward(identity.ChainIDs(slices.Clone(i.Layers()))) {
		if !slices.Contains(shared, chainID) {
			done = append(done, api.DeleteResponse{Deleted: chainID.String()})
		}
	}
	return done
}

// Problem is something that should not be in the store, or not as it is.
type Problem struct {
	Kind     string // "staging", "blob", "layer", "image"
	Object   string // a path, or the digest of an image's manifest
	Reason   string
	Repaired bool
}

// Check looks for what a crash left in the store and for what is missing in it,
// deep also for blobs that do not match their digest. repair unpacks lost layers
// again and forgets images without manifest or config; to repair another blob,
// load its image again.
func (s *Store) Check(repair, deep bool) ([]Problem, error) {
	keep := func(Problem) error { return nil }
	problems, err := s.audit(deep, keep)
	if err != nil || !repair {
		return problems, err
	}
	err = s.update(func(index *ocispec.Index) error {
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
	err = errors.Join(err, s.sweep())
	left, lerr := s.audit(deep, keep)
	for n, p := range problems {
		problems[n].Repaired = !slices.ContainsFunc(left, func(other Problem) bool { return other.Object == p.Object })
	}
	return problems, errors.Join(err, lerr)
}

// sweep removes everything that no image refers to.
func (s *Store) sweep() error {
	_, err := s.audit(false, func(p Problem) error {
		trace.Step("unlink", "%s", p.Object)
		os.Remove(filepath.Join(p.Object, "diffid")) // first: a layer half removed counts as missing
		return disk.RemoveAll(p.Object)
	})
	return err
}

// audit compares the store with its index, under the lock. It calls unused for
// what could be removed.
func (s *Store) audit(deep bool, unused func(Problem) error) (problems []Problem, err error) {
	err = s.locked(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		needed, whole := map[string]bool{}, true
		need := func(kind, path string, err error) {
			if err != nil && !needed[path] {
				problems = append(problems, Problem{Kind: kind, Object: path, Reason: err.Error()})
			}
			needed[path] = true
		}
		for _, d := range index.Manifests {
			i, err := s.open(index, d)
			need("image", d.Digest.String(), err)
			if err != nil {
				whole = false
				continue
			}
			for _, d := range i.blobs() {
				need("blob", s.blob(d), s.verify(d, deep))
			}
			for _, diffID := range i.Layers() {
				need("layer", s.layer(diffID), s.findLayer(diffID))
			}
		}
		for _, path := range s.interrupted() {
			needed[path] = true
		}
		return s.eachUnused(needed, whole, func(p Problem) error {
			problems = append(problems, p)
			return unused(p)
		})
	})
	return problems, err
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
			if strings.HasPrefix(e.Name(), "new-") || strings.HasPrefix(e.Name(), ".tmp-") {
				p.Kind = "staging"
			}
			if !needed[p.Object] && (p.Kind == "staging" || kind != "" && whole) {
				err = errors.Join(err, do(p))
			}
		}
	}
	return err
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
