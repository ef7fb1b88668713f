package image

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/image/layer"
)

// Loaded is one name under which Load stored an image, or an image without name.
type Loaded struct {
	Name     string // short; empty if the archive gives none
	ID       digest.Digest
	Replaced digest.Digest // the image that had the name; "": none, or this one
}

// Load stores the images of an archive as docker save, podman save or skopeo
// write it, or of an archived OCI layout, compressed or not. Every digest in it
// is verified. If anything is wrong no image is stored. Of images for several platforms
// that wanted is taken; "": this machine's. progress (nil: not) is
// told how many bytes of a layer, by 12 digits of its diff ID, are unpacked.
func (s *Store) Load(ctx context.Context, r io.Reader, platform string, progress func(layer string, done, total int64)) (loaded []Loaded, err error) {
	err = s.adding(func() error {
		archive, err := s.readArchive(&meter{ctx: ctx, r: r})
		if err != nil {
			return err
		}
		archive.platform = cmp.Or(platform, "linux/"+runtime.GOARCH)
		list, err := archive.list()
		if err != nil {
			return err
		}
		images := make([]*Image, len(list))
		for k, one := range list {
			i, err := archive.image(one)
			if err != nil {
				return err
			}
			if err := i.CheckPlatform(platform, cmp.Or(strings.Join(i.Names, ", "), i.ID.String())); err != nil {
				return err
			}
			for n := range i.Layers() {
				if err := s.unpackBlob(ctx, i, n, progress); err != nil {
					return err
				}
			}
			for _, name := range i.Names {
				one := Loaded{Name: name, ID: i.ID}
				if old, err := s.Resolve(name); err == nil && old.ID != i.ID {
					one.Replaced = old.ID
				}
				loaded = append(loaded, one)
			}
			if len(i.Names) == 0 {
				loaded = append(loaded, Loaded{ID: i.ID})
			}
			images[k] = i
		}
		return s.commit(images...)
	})
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return loaded, nil
}

// meter passes r on until the context ends. tell (nil: not) learns of each read.
type meter struct {
	ctx  context.Context
	r    io.Reader
	tell func(n int)
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	if m.tell != nil {
		m.tell(n)
	}
	return n, err
}

// unpackBlob unpacks an image's layer n from its blob.
func (s *Store) unpackBlob(ctx context.Context, i *Image, n int, tell func(layer string, done, total int64)) error {
	blob, diffID := i.Manifest.Layers[n], i.Layers()[n]
	file, err := os.Open(s.blob(blob.Digest))
	if err != nil {
		return err
	}
	defer file.Close()
	done := int64(0)
	_, err = s.unpack(&meter{ctx, file, func(n int) {
		if done += int64(n); tell != nil {
			tell(diffID.Encoded()[:12], done, blob.Size)
		}
	}}, diffID)
	return err
}

// archive is an image archive, its files stored as blobs. The names in it are
// keys of maps, never paths on the host.
type archive struct {
	store    *Store
	platform string // of the images to take
	files    map[string]ocispec.Descriptor
	links    map[string]string // symbolic and hard links: docker save links layers that images share
}

// saved is an image as manifest.json describes it, by names of files.
type saved struct {
	Config           string
	RepoTags, Layers []string
}

// readArchive stores the files of an archive. What the archive says of itself
// comes last in it, and it may come through a pipe.
func (s *Store) readArchive(r io.Reader) (*archive, error) {
	plain, err := layer.Decompress(r)
	if err != nil {
		return nil, err
	}
	a := &archive{store: s, files: map[string]ocispec.Descriptor{}, links: map[string]string{}}
	entries := tar.NewReader(plain)
	for {
		header, err := entries.Next()
		if err == io.EOF {
			return a, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		name := cleanEntry(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			if a.files[name], err = s.writeBlob(entries, nil); err != nil {
				return nil, fmt.Errorf("read archive: %s: %w", header.Name, err)
			}
		case tar.TypeSymlink:
			a.links[name] = cleanEntry(path.Join(path.Dir(name), header.Linkname))
		case tar.TypeLink:
			a.links[name] = cleanEntry(header.Linkname)
		}
	}
}

func cleanEntry(name string) string { return path.Clean("/" + name)[1:] }

// file finds a file. CONFIG.json and blobs/sha256/DIGEST promise their digest.
func (a *archive) file(name string) (ocispec.Descriptor, error) {
	target := cleanEntry(name)
	for range 10 {
		if link, ok := a.links[target]; ok {
			target = link
		}
	}
	file, ok := a.files[target]
	if !ok {
		return file, fmt.Errorf("archive has no file %s", name)
	}
	promised := strings.TrimSuffix(path.Base(name), ".json")
	if len(promised) >= 64 && strings.Trim(promised, "0123456789abcdef") == "" && promised != file.Digest.Encoded() {
		return file, fmt.Errorf("%s is damaged: its digest is %s", name, file.Digest)
	}
	return file, nil
}

func (a *archive) json(name string, v any) error {
	file, err := a.file(name)
	if err != nil {
		return err
	}
	if err := a.store.readBlob(file.Digest, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// list tells what images there are. What docker save writes has been an OCI layout
// too since Docker 25; its manifest.json is the one that holds the names.
func (a *archive) list() (list []saved, err error) {
	if _, ok := a.files["manifest.json"]; ok {
		err = a.json("manifest.json", &list)
	} else {
		list, err = a.layout(ocispec.ImageIndexFile, nil, 0)
	}
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("the archive has no image for %s", a.platform)
	}
	return list, err
}

func (a *archive) image(from saved) (*Image, error) {
	config, err := a.file(from.Config)
	if err != nil {
		return nil, err
	}
	layers := make([]ocispec.Descriptor, len(from.Layers))
	for n, name := range from.Layers {
		if layers[n], err = a.file(name); err != nil {
			return nil, err
		}
	}
	return a.store.newImage(config, layers, from.RepoTags)
}

// layout gives the images for this machine that an index or manifest of an OCI
// layout leads to. Of an index below the top one (depth 0) only one is taken.
func (a *archive) layout(name string, tags []string, depth int) (list []saved, err error) {
	var file struct {
		Manifests, Layers []ocispec.Descriptor
		Config            ocispec.Descriptor
	}
	if err := a.json(name, &file); err != nil || depth > 4 {
		return nil, err
	}
	if file.Manifests == nil {
		one := saved{Config: blobName(file.Config), RepoTags: tags}
		for _, l := range file.Layers {
			one.Layers = append(one.Layers, blobName(l))
		}
		return []saved{one}, nil
	}
	for _, d := range file.Manifests {
		if p := d.Platform; p != nil && matchPlatform(a.platform, *p) != nil {
			continue
		}
		if depth > 0 {
			return a.layout(blobName(d), tags, depth+1)
		}
		found, err := a.layout(blobName(d), layoutName(d), 1)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// blobName is the name of a blob in an OCI layout, by which its file is verified.
func blobName(d ocispec.Descriptor) string {
	return ocispec.ImageBlobsDir + "/" + strings.ReplaceAll(string(d.Digest), ":", "/")
}

// layoutName is the name a descriptor gives, if any. The specification's reference
// name may be a whole name (podman, skopeo) or a tag alone.
func layoutName(d ocispec.Descriptor) []string {
	name := cmp.Or(d.Annotations["io.containerd.image.name"], d.Annotations[ocispec.AnnotationRefName])
	if name == "" || name == "latest" {
		return nil
	}
	return []string{name}
}
