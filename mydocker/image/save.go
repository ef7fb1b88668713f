package image

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/image/layer"
)

// Save writes an archive of images, by names or IDs: an OCI layout with Docker's
// manifest.json, the same bytes for the same images. Each blob is in it once. A
// repository without a tag stands for all its tags. Layers that old tools cannot read
// (zstd, xz, bzip2) are written plain. What is removed meanwhile is saved all the same.
// platform, "": any, is that of all images.
func (s *Store) Save(ctx context.Context, w io.Writer, platform string, refs ...string) error {
	return s.adding(func() error { // nothing is swept meanwhile
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		a := &saving{ctx: ctx, store: s, blobs: map[digest.Digest]savedBlob{}}
		for _, ref := range refs {
			if err := a.resolve(index, ref, platform); err != nil {
				return err
			}
		}
		return a.write(tar.NewWriter(w))
	})
}

// saving is an archive that is being written.
type saving struct {
	ctx    context.Context
	store  *Store
	images []*Image // each once; Names are those asked for
	blobs  map[digest.Digest]savedBlob
}

// savedBlob is a file of the archive, from a stored blob: if that has another digest it
// is to be decompressed.
type savedBlob struct {
	size   int64
	stored digest.Digest
}

func (a *saving) resolve(index *ocispec.Index, ref, platform string) error {
	all, err := a.store.images(index)
	if err != nil {
		return err
	}
	named := false
	if name, err := normalize(ref); err == nil && name == strings.TrimSuffix(name, ":latest")+":latest" && !strings.HasSuffix(ref, ":latest") {
		for _, i := range all { // no tag was given
			for _, tag := range i.Names {
				if repositoryOf(tag) == repositoryOf(name) {
					named = true
					if err := a.add(i, tag, platform); err != nil {
						return err
					}
				}
			}
		}
	}
	if named {
		return nil
	}
	found, err := a.store.resolve(index, ref)
	if err != nil {
		return err
	}
	name, _ := normalize(ref)
	if !slices.Contains(found.Names, name) { // an ID, or a digest
		name = ""
	}
	return a.add(found, name, platform)
}

func (a *saving) add(i *Image, name, platform string) error {
	if err := i.CheckPlatform(platform, cmp.Or(name, i.ID.String())); err != nil {
		return err
	}
	at := slices.IndexFunc(a.images, func(other *Image) bool { return other.ID == i.ID })
	if at < 0 {
		at = len(a.images)
		one := *i
		one.Names = nil
		a.images = append(a.images, &one)
	}
	if i = a.images[at]; name != "" && !slices.Contains(i.Names, name) {
		i.Names = append(i.Names, name)
	}
	return nil
}

// write needs the size of each file before it, so plain layers are decompressed twice.
func (a *saving) write(w *tar.Writer) error {
	var list []saved
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for _, i := range a.images {
		manifest, err := a.image(i)
		if err != nil {
			return err
		}
		one := saved{Config: blobName(i.Manifest.Config), RepoTags: i.Names}
		for _, l := range i.Manifest.Layers {
			one.Layers = append(one.Layers, blobName(l))
		}
		list = append(list, one)
		if len(i.Names) == 0 {
			index.Manifests = append(index.Manifests, manifest)
		}
		for _, name := range i.Names {
			manifest.Annotations = map[string]string{"io.containerd.image.name": fullName(name), ocispec.AnnotationRefName: fullName(name)}
			index.Manifests = append(index.Manifests, manifest)
		}
	}
	for _, d := range slices.Sorted(maps.Keys(a.blobs)) {
		b := a.blobs[d]
		if err := w.WriteHeader(archiveHeader(blobName(ocispec.Descriptor{Digest: d}), b.size)); err != nil {
			return err
		}
		if _, err := a.copy(w, d, b.stored); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name    string
		content any
	}{{ocispec.ImageIndexFile, index}, {"manifest.json", list}, {ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}}} {
		data, err := json.Marshal(file.content)
		if err := errors.Join(err, w.WriteHeader(archiveHeader(file.name, int64(len(data))))); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return w.Close()
}

// image notes the blobs of an image. Its manifest is as stored, unless layers change.
func (a *saving) image(i *Image) (manifest ocispec.Descriptor, err error) {
	manifest = i.Descriptor
	i.Manifest.Layers = slices.Clone(i.Manifest.Layers)
	changed := false
	for n := range i.Manifest.Layers {
		l := &i.Manifest.Layers[n]
		stored := l.Digest
		if how := a.store.compression(stored); how != "" && how != "gzip" {
			changed = true
			l.Digest, l.MediaType = i.Layers()[n], ocispec.MediaTypeImageLayer
			l.Size, err = a.copy(io.Discard, l.Digest, stored)
		}
		if err != nil {
			return manifest, err
		}
		a.blobs[l.Digest] = savedBlob{l.Size, stored}
	}
	if changed {
		mediaType := manifest.MediaType
		if manifest, err = a.store.writeJSON(i.Manifest); err != nil { // swept with the next change
			return manifest, err
		}
		manifest.MediaType = mediaType
	}
	for _, d := range []ocispec.Descriptor{i.Manifest.Config, manifest} {
		a.blobs[d.Digest] = savedBlob{d.Size, d.Digest}
	}
	return manifest, nil
}

// copy writes a stored blob, decompressed if that is what has the digest want, and
// verifies it.
func (a *saving) copy(w io.Writer, want, stored digest.Digest) (size int64, err error) {
	file, err := os.Open(a.store.blob(stored))
	if err != nil {
		return 0, fmt.Errorf("save: %w", err)
	}
	defer file.Close()
	var r io.Reader = &meter{ctx: a.ctx, r: file}
	if want != stored {
		if r, err = layer.Decompress(r); err != nil {
			return 0, err
		}
	}
	sum := digest.SHA256.Digester()
	size, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, sum.Hash())}, r, make([]byte, 1<<20))
	if err == nil && sum.Digest() != want {
		err = fmt.Errorf("save: blob %s is damaged: its digest is %s; pull or load its image again", want, sum.Digest())
	}
	return size, err
}

func archiveHeader(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o444, Size: size, ModTime: time.Unix(0, 0)}
}

// fullName is a short name with what Docker leaves out of it.
func fullName(name string) string {
	domain, _, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return "docker.io/library/" + name
	case domain != "localhost" && !strings.ContainsAny(domain, ".:") && strings.ToLower(domain) == domain:
		return "docker.io/" + name
	}
	return name
}
