package image

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNotFound reports that no image matches a reference.
var ErrNotFound = errors.New("no such image")

// NotFoundError is ErrNotFound in Docker's words.
type NotFoundError struct{ Ref string }

func (e *NotFoundError) Error() string {
	ref, err := reference.ParseAnyReference(e.Ref)
	if err != nil {
		return "No such image: " + e.Ref
	}
	if named, ok := ref.(reference.Named); ok {
		ref = reference.TagNameOnly(named)
	}
	return "No such image: " + reference.FamiliarString(ref)
}

func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// Image is a stored image.
type Image struct {
	// ID is the digest of the config, which is what Docker shows as image ID.
	ID digest.Digest
	// Names are the names it is known by, familiar ("busybox:latest"), sorted;
	// none: a dangling image. Digests are those of the form name@sha256:...
	Names, Digests []string
	// Descriptor is the manifest's, without a name.
	Descriptor ocispec.Descriptor
	Manifest   ocispec.Manifest
	Config     dockerspec.DockerOCIImage
	// RawConfig is the config as stored, with whatever fields Config does not have.
	RawConfig []byte
}

// Layers are the diff IDs of the layers, the lowest first.
func (i *Image) Layers() []digest.Digest { return i.Config.RootFS.DiffIDs }

// Created is when the image was made, the zero time if it does not say.
func (i *Image) Created() time.Time {
	if i.Config.Created == nil {
		return time.Time{}
	}
	return *i.Config.Created
}

// Resolve finds an image by name[:tag][@digest], or by its ID or the beginning
// of it, with or without "sha256:". The error matches ErrNotFound if there is
// none; an ID that fits several images is an error that lists them.
func (s *Store) Resolve(ref string) (*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	return s.resolve(index, ref)
}

func (s *Store) resolve(index *ocispec.Index, ref string) (*Image, error) {
	digits, explicit := strings.CutPrefix(ref, "sha256:")
	mayBeID := isIDPrefix(digits)
	if !explicit {
		at, err := findName(index, ref)
		if err != nil && !mayBeID { // 64 digits are no name
			return nil, err
		}
		if at >= 0 {
			return s.open(index, index.Manifests[at])
		}
	}
	if mayBeID {
		return s.resolveID(index, ref, digits)
	}
	return nil, &NotFoundError{ref}
}

// findName returns the position of the descriptor that a name means, or -1.
func findName(index *ocispec.Index, ref string) (int, error) {
	named, err := Normalize(ref)
	if err != nil {
		return -1, err
	}
	full := named.String()
	if at := slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool { return nameOf(&d) == full }); at >= 0 {
		return at, nil
	}
	digested, ok := named.(reference.Digested)
	if !ok {
		return -1, nil
	}
	return slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		known, err := reference.ParseNormalizedNamed(nameOf(&d))
		return err == nil && d.Digest == digested.Digest() && known.Name() == named.Name()
	}), nil
}

func (s *Store) resolveID(index *ocispec.Index, ref, prefix string) (*Image, error) {
	images, err := s.list(index)
	images = slices.DeleteFunc(images, func(i *Image) bool { return !strings.HasPrefix(i.ID.Encoded(), prefix) })
	switch len(images) {
	case 0:
		if err != nil {
			return nil, err
		}
		return nil, &NotFoundError{ref}
	case 1:
		return images[0], nil
	}
	var candidates strings.Builder
	for _, i := range images {
		fmt.Fprintf(&candidates, "\n  %s %s", shortID(i.ID), strings.Join(i.Names, " "))
	}
	return nil, fmt.Errorf("image ID %q is ambiguous, it may be one of:%s", ref, candidates.String())
}

func shortID(id digest.Digest) string { return id.Encoded()[:12] }

// List returns all images that can be read, the newest first, and an error if
// there are others.
func (s *Store) List() ([]*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	return s.list(index)
}

func (s *Store) list(index *ocispec.Index) ([]*Image, error) {
	byID := map[digest.Digest]*Image{}
	seen := map[digest.Digest]bool{}
	var images []*Image
	var damaged error
	for _, d := range index.Manifests {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		i, err := s.open(index, d)
		if err != nil {
			damaged = errors.Join(damaged, err)
			continue
		}
		if same := byID[i.ID]; same != nil { // two manifests, one config: one image
			same.Names = append(same.Names, i.Names...)
			same.Digests = append(same.Digests, i.Digests...)
			continue
		}
		byID[i.ID] = i
		images = append(images, i)
	}
	slices.SortStableFunc(images, func(a, b *Image) int { return b.Created().Compare(a.Created()) })
	return images, damaged
}

// open reads the image that a descriptor of the index means.
func (s *Store) open(index *ocispec.Index, d ocispec.Descriptor) (*Image, error) {
	i := &Image{Descriptor: withoutName(d)}
	for n := range index.Manifests {
		if other := &index.Manifests[n]; other.Digest == d.Digest {
			i.addName(nameOf(other))
		}
	}
	slices.Sort(i.Names)
	manifest := d
	for isIndex(manifest) {
		var list ocispec.Index
		if _, err := s.readBlob(manifest.Digest, &list); err != nil {
			return nil, err
		}
		chosen, err := choosePlatform(list.Manifests)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", d.Digest, err)
		}
		manifest = chosen
	}
	if _, err := s.readBlob(manifest.Digest, &i.Manifest); err != nil {
		return nil, err
	}
	i.ID = i.Manifest.Config.Digest
	var err error
	i.RawConfig, err = s.readBlob(i.ID, &i.Config)
	if err != nil {
		return nil, err
	}
	return i, checkLayers(i.Layers(), len(i.Manifest.Layers))
}

func (i *Image) addName(full string) {
	switch {
	case full == "":
	case isDigestName(full):
		i.Digests = append(i.Digests, Familiar(full))
	default:
		i.Names = append(i.Names, Familiar(full))
	}
}

// checkLayers makes sure that a config's diff IDs fit the layers of its manifest
// and can be used as names of files.
func checkLayers(ids []digest.Digest, layers int) error {
	if len(ids) != layers {
		return fmt.Errorf("invalid manifest, layers length mismatch: expected %d, got %d", layers, len(ids))
	}
	for _, id := range ids {
		if err := id.Validate(); err != nil || id.Algorithm() != digest.SHA256 {
			return fmt.Errorf("invalid diff ID %q", id)
		}
	}
	return nil
}

const mediaTypeDockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

var errPlatform = errors.New("no image for")

func isIndex(d ocispec.Descriptor) bool {
	return d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == mediaTypeDockerList
}

// choosePlatform picks this machine's image out of an index. A descriptor that
// names no platform fits any.
func choosePlatform(manifests []ocispec.Descriptor) (ocispec.Descriptor, error) {
	for _, d := range manifests {
		if p := d.Platform; p != nil && p.OS == "linux" && p.Architecture == runtime.GOARCH {
			return d, nil
		}
	}
	for _, d := range manifests {
		if d.Platform == nil {
			return d, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("%w linux/%s", errPlatform, runtime.GOARCH)
}

// Size is the size of the image's unpacked layers in bytes, as Docker shows it.
// A layer that is missing counts as 0.
func (s *Store) Size(i *Image) int64 {
	sum := int64(0)
	for _, diffID := range i.Layers() {
		data, err := os.ReadFile(s.layer(diffID) + "/size")
		if err != nil {
			continue
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		sum += n
	}
	return sum
}
