package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's texts begin with these.
var (
	ErrNotFound = errors.New("No such image") // none matches a reference
	ErrInvalid  = errors.New("invalid reference format")
	ErrConflict = errors.New("conflict") // an image is in use, or has several names
)

// Image is a stored image.
type Image struct {
	ID         digest.Digest      // the digest of the config, as in Docker
	Names      []string           // short ("busybox:latest"), sorted; none: a dangling image
	Digests    []string           // name@sha256:..., which pulled images have
	Descriptor ocispec.Descriptor // of the manifest, without a name
	Manifest   ocispec.Manifest
	Config     dockerspec.DockerOCIImage
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

// blobs are the digests of all that is stored of an image but unpacked layers.
func (i *Image) blobs() []digest.Digest {
	blobs := []digest.Digest{i.Descriptor.Digest, i.original(), i.ID}
	for _, l := range i.Manifest.Layers {
		blobs = append(blobs, l.Digest)
	}
	return blobs
}

// Resolve finds an image by name[:tag], or by its ID or the beginning of it, with
// or without "sha256:". The error matches ErrNotFound if there is none.
func (s *Store) Resolve(ref string) (*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	name, err := normalize(ref)
	digits, explicit := strings.CutPrefix(ref, "sha256:")
	if err != nil && !isIDPrefix(digits) { // 64 digits are no name
		return nil, err
	}
	for _, d := range index.Manifests {
		if !explicit && name != "" && nameOf(d) == name {
			return s.open(index, d)
		}
	}
	found, err := s.List()
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(i *Image) bool { return !isIDPrefix(digits) || !strings.HasPrefix(i.ID.Encoded(), digits) })
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, cmp.Or(name, "sha256:"+digits))
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("multiple IDs found with provided prefix: %s", digits)
}

// isIDPrefix reports whether ref can be the beginning of an image ID's digits.
func isIDPrefix(ref string) bool {
	return ref != "" && len(ref) <= 64 && strings.Trim(ref, "0123456789abcdef") == ""
}

// List returns all images, the newest first.
func (s *Store) List() ([]*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	return s.images(index)
}

func (s *Store) images(index *ocispec.Index) (images []*Image, err error) {
	for _, d := range index.Manifests {
		if nameOf(d) == "" {
			i, err := s.open(index, d)
			if err != nil {
				return nil, err
			}
			images = append(images, i)
		}
	}
	slices.SortStableFunc(images, func(a, b *Image) int { return b.Created().Compare(a.Created()) })
	return images, nil
}

// open reads the image that a descriptor means, with its names in the index.
func (s *Store) open(index *ocispec.Index, d ocispec.Descriptor) (i *Image, err error) {
	d.Annotations = nil
	i = &Image{Descriptor: d}
	if err := s.readBlob(d.Digest, &i.Manifest); err != nil {
		return nil, err
	}
	i.ID = i.Manifest.Config.Digest
	if err := s.readBlob(i.ID, &i.Config); err != nil {
		return nil, err
	}
	if layers := len(i.Manifest.Layers); len(i.Layers()) != layers {
		return nil, fmt.Errorf("invalid manifest, layers length mismatch: expected %d, got %d", len(i.Layers()), layers)
	}
	for _, d := range slices.Concat(i.Layers(), i.blobs()) { // they become names of files
		if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
			return nil, fmt.Errorf("image %s: invalid digest %q", i.ID, d)
		}
	}
	for _, other := range index.Manifests {
		if name := nameOf(other); strings.Contains(name, "@") && other.Digest == d.Digest {
			i.Digests = append(i.Digests, name)
		} else if name != "" && other.Digest == d.Digest {
			i.Names = append(i.Names, name)
		}
	}
	slices.Sort(i.Names)
	slices.Sort(i.Digests)
	return i, nil
}

// LayerDirs returns the image's unpacked layers as overlayfs wants its lower
// directories: the top layer first. A layer that was lost is unpacked again
// from its blob. An image without layers gives none.
func (s *Store) LayerDirs(i *Image) (dirs []string, err error) {
	for n, diffID := range slices.Backward(i.Layers()) {
		err := s.findLayer(diffID)
		if errors.Is(err, os.ErrNotExist) {
			err = s.adding(func() error { return s.unpackBlob(context.Background(), i, n, nil) })
		}
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, filepath.Join(s.layer(diffID), "fs"))
	}
	return dirs, nil
}

// Size is the size of the image's unpacked layers in bytes, as Docker shows it.
// A layer that is missing counts as 0.
func (s *Store) Size(i *Image) (sum int64) {
	for _, diffID := range i.Layers() {
		sum += s.layerSize(diffID)
	}
	return sum
}

func (s *Store) layerSize(diffID digest.Digest) (size int64) {
	data, _ := os.ReadFile(filepath.Join(s.layer(diffID), "size"))
	fmt.Sscan(string(data), &size)
	return size
}

// nameOf is the name of a descriptor, empty if it has none. It stands where
// skopeo and umoci look for it (oci:ROOT/image:busybox:latest).
func nameOf(d ocispec.Descriptor) string { return d.Annotations[ocispec.AnnotationRefName] }

// setName makes a name mean the image d, whatever it meant before.
func setName(index *ocispec.Index, d ocispec.Descriptor, name string) {
	clearName(index, name)
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	index.Manifests = append(index.Manifests, d)
}

func clearName(index *ocispec.Index, name string) {
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool { return nameOf(d) == name })
}

// The grammar of full names (distribution/reference, reference.go).
const (
	hostPart  = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	host      = `(?:` + hostPart + `(?:\.` + hostPart + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	component = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`
	grammar   = `^((?:` + host + `/)?` + component + `(?:/` + component + `)*)(:\w[\w.-]{0,127})?(@sha256:[a-f0-9]{64})?$`
)

// normalize gives the short form that Docker shows of an image name, with its
// tag or digest: busybox, docker.io/busybox:latest and library/busybox are all
// busybox:latest. A name with a digest loses its tag.
func normalize(name string) (string, error) {
	domain, path, ok := strings.Cut(name, "/")
	if !ok || domain != "localhost" && !strings.ContainsAny(domain, ".:") && strings.ToLower(domain) == domain {
		domain, path = "docker.io", name
	}
	if domain == "index.docker.io" {
		domain = "docker.io"
	}
	if domain == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	if repository, _, _ := strings.Cut(path, ":"); strings.ToLower(repository) != repository {
		return "", fmt.Errorf("%w: repository name (%s) must be lowercase", ErrInvalid, repository)
	}
	parts := regexp.MustCompile(grammar).FindStringSubmatch(domain + "/" + path)
	if parts == nil || len(name) == 64 && isIDPrefix(name) { // the digits of an ID are no name
		return "", ErrInvalid
	}
	short := strings.TrimPrefix(parts[1], "docker.io/")
	if official, ok := strings.CutPrefix(short, "library/"); ok && !strings.Contains(official, "/") {
		short = official
	}
	return short + cmp.Or(parts[3], parts[2], ":latest"), nil
}

// tagName is normalize of a name that an image is to be given.
func tagName(name string) (string, error) {
	short, err := normalize(name)
	if strings.Contains(short, "@") {
		err = errors.New("refusing to create a tag with a digest reference")
	} else if strings.HasPrefix(short, "sha256:") {
		err = errors.New("refusing to create an ambiguous tag using digest algorithm as name")
	}
	return short, err
}
