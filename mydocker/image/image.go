package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	Digests    []string           // name@sha256:..., which pulled images have, sorted
	Parent     digest.Digest      // ID of the image it was committed from; "": none
	Descriptor ocispec.Descriptor // of the manifest, without a name
	Manifest   ocispec.Manifest
	Config     dockerspec.DockerOCIImage
	Tagged     time.Time       // when it was last given a name here; zero: never
	roots      []digest.Digest // what descriptors in the index lead to it
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
	blobs := []digest.Digest{i.Descriptor.Digest, i.ID}
	for _, l := range i.Manifest.Layers {
		blobs = append(blobs, l.Digest)
	}
	return blobs
}

// originals are the manifests and indexes by which registries know an image. They
// may be of Docker's media types, and so are no part of the layout.
func (i *Image) originals() (all []digest.Digest) {
	for _, name := range i.Digests {
		_, d, _ := strings.Cut(name, "@")
		all = append(all, digest.Digest(d))
	}
	return append(all, i.roots...)
}

// reach gives a manifest's or index's digest and those of all blobs it leads to, as far
// as it is stored and they can be names of files; an index leads to others only once.
func (s *Store) reach(d digest.Digest, nested bool) []digest.Digest {
	var file struct {
		Config            ocispec.Descriptor
		Layers, Manifests []ocispec.Descriptor
	}
	if s.readBlob(d, &file) != nil {
		return nil
	}
	blobs := []digest.Digest{d}
	for _, one := range append(file.Layers, file.Config) {
		blobs = append(blobs, one.Digest)
	}
	for _, m := range file.Manifests {
		if !nested {
			blobs = append(blobs, s.reach(m.Digest, true)...)
		}
	}
	return slices.DeleteFunc(blobs, func(d digest.Digest) bool { return !isFileName(d) })
}

// isFileName: a digest becomes a path.
func isFileName(d digest.Digest) bool { return d.Validate() == nil && d.Algorithm() == digest.SHA256 }

// Resolve finds an image by name[:tag] or name[:tag]@digest, or by its ID or the
// beginning of it, with or without "sha256:". The error matches ErrNotFound if there
// is none.
func (s *Store) Resolve(ref string) (*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	return s.resolve(index, ref)
}

func (s *Store) resolve(index *ocispec.Index, ref string) (*Image, error) {
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
	found, err := s.images(index)
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

// images opens each image of an index once, whatever descriptors lead to it: other
// tools write none without a name, and manifests of their own of an image that is there.
func (s *Store) images(index *ocispec.Index) (images []*Image, err error) {
	known := map[digest.Digest]*Image{} // by root or ID
	for _, d := range index.Manifests {
		if known[d.Digest] != nil {
			continue
		}
		i, err := s.open(index, d)
		if err != nil {
			return nil, err
		}
		known[d.Digest] = i
		if first := known[i.ID]; first != nil {
			first.Names = append(first.Names, i.Names...)
			first.Digests = append(first.Digests, i.Digests...)
			first.roots = append(first.roots, i.roots...)
			first.Parent = cmp.Or(first.Parent, i.Parent)
			slices.Sort(first.Names)
			slices.Sort(first.Digests)
			continue
		}
		known[i.ID] = i
		images = append(images, i)
	}
	slices.SortStableFunc(images, func(a, b *Image) int { return b.Created().Compare(a.Created()) })
	return images, nil
}

// open reads the image that a descriptor means, with the names it has in the index. Of
// an image for several platforms, which other tools may write, it takes this machine's.
func (s *Store) open(index *ocispec.Index, d ocispec.Descriptor) (i *Image, err error) {
	i = &Image{roots: []digest.Digest{d.Digest}}
	if d.MediaType == ocispec.MediaTypeImageIndex {
		if d, err = s.choose(d); err != nil {
			return nil, err
		}
	}
	d.Annotations = nil
	i.Descriptor = d
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
	for _, other := range index.Manifests {
		if other.Digest != i.roots[0] {
			continue
		}
		if name := nameOf(other); strings.Contains(name, "@") {
			i.Digests = append(i.Digests, name)
		} else if name != "" {
			i.Names = append(i.Names, name)
		}
		i.Parent = cmp.Or(i.Parent, digest.Digest(other.Annotations[parentKey]))
		if at, err := time.Parse(time.RFC3339Nano, other.Annotations[taggedKey]); err == nil && at.After(i.Tagged) {
			i.Tagged = at
		}
	}
	for _, d := range slices.Concat(i.Layers(), i.blobs(), i.originals()) { // they become names of files
		if !isFileName(d) {
			return nil, fmt.Errorf("image %s: invalid digest %q", i.ID, d)
		}
	}
	slices.Sort(i.Names)
	slices.Sort(i.Digests)
	return i, nil
}

// choose finds the manifest for this machine in an index that is stored as a blob.
func (s *Store) choose(d ocispec.Descriptor) (ocispec.Descriptor, error) {
	var index ocispec.Index
	if err := s.readBlob(d.Digest, &index); err != nil {
		return d, err
	}
	for _, m := range index.Manifests {
		if p := m.Platform; m.MediaType == ocispec.MediaTypeImageManifest && (p == nil || p.OS == "linux" && p.Architecture == runtime.GOARCH) {
			return m, nil
		}
	}
	return d, fmt.Errorf("image %s: no manifest for linux/%s", d.Digest, runtime.GOARCH)
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
	for _, size := range s.LayerSizes(i) {
		sum += size
	}
	return sum
}

// LayerSizes are the sizes of the image's unpacked layers in bytes, the lowest first.
func (s *Store) LayerSizes(i *Image) (sizes []int64) {
	for _, diffID := range i.Layers() {
		sizes = append(sizes, s.layerSize(diffID))
	}
	return sizes
}

func (s *Store) layerSize(diffID digest.Digest) (size int64) {
	data, _ := os.ReadFile(filepath.Join(s.layer(diffID), "size"))
	fmt.Sscan(string(data), &size)
	return size
}

// Annotations of ours in index.json: of an image's descriptor without a name, the ID of
// what it was committed from; of one with a name, when the image was given it.
const (
	parentKey = "mydocker.parent"
	taggedKey = "mydocker.tagged"
)

// nameOf is the short name, with tag or digest, of a descriptor, empty if it has none
// that Docker could show. It stands where skopeo and umoci look for it
// (oci:ROOT/image:busybox:latest); what they write may lack the tag.
func nameOf(d ocispec.Descriptor) string {
	name := d.Annotations[ocispec.AnnotationRefName]
	if name == "" {
		return ""
	}
	short, _ := normalize(name)
	return short
}

// setName makes a name mean the image d, whatever it meant before.
func setName(index *ocispec.Index, d ocispec.Descriptor, name string) {
	clearName(index, name)
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name, taggedKey: time.Now().UTC().Format(time.RFC3339Nano)}
	index.Manifests = append(index.Manifests, d)
}

// clearName takes a name away, but no image: the last descriptor that leads to one
// stays, without the name.
func clearName(index *ocispec.Index, name string) {
	for n := len(index.Manifests) - 1; n >= 0; n-- {
		d := &index.Manifests[n]
		if nameOf(*d) != name {
			continue
		}
		others := slices.Concat(index.Manifests[:n], index.Manifests[n+1:])
		if slices.ContainsFunc(others, func(other ocispec.Descriptor) bool { return other.Digest == d.Digest }) {
			index.Manifests = others
		} else {
			d.Annotations = nil
		}
	}
}

// The grammar of full names (distribution/reference, reference.go).
const (
	hostPart  = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	host      = `(?:` + hostPart + `(?:\.` + hostPart + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	component = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`
	syntax    = `^((?:` + host + `/)?` + component + `(?:/` + component + `)*)(:\w[\w.-]{0,127})?(@sha256:[a-f0-9]{64})?$`
)

// grammar is compiled when it is first needed.
var grammar = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(syntax) })

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
	parts := grammar().FindStringSubmatch(domain + "/" + path)
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
