package image

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/distribution/reference"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/image/layer"
)

// metadataLimit bounds what is read into memory of an archive's JSON files.
const metadataLimit = 16 << 20

// archive is an image archive, its files put down in a stage. The names in it
// are keys of maps, never paths on the host.
type archive struct {
	files map[string]staged
	links map[string]string // symbolic and hard links: docker save links layers that images share
}

// archived is one image of an archive.
type archived struct {
	names   []reference.Named
	config  []byte
	diffIDs []digest.Digest

	layers      []staged
	compression []layer.Compression

	// An OCI layout has manifests, which are kept as they are, and so keep
	// their digests; docker save has none.
	manifest, configBlob staged
	mediaType            string
}

// readArchive puts the files of an archive into the stage. What the archive
// says of itself comes last in it, and it may come through a pipe.
func (g *stage) readArchive(r io.Reader) (*archive, error) {
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	a := &archive{map[string]staged{}, map[string]string{}}
	entries := tar.NewReader(bufio.NewReaderSize(plain, 1<<20))
	for {
		header, err := entries.Next()
		if err == io.EOF {
			return a, nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		name := cleanEntry(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			file, err := g.write(entries)
			if err != nil {
				return nil, fmt.Errorf("read archive: %s: %w", header.Name, err)
			}
			a.files[name] = file
		case tar.TypeSymlink:
			a.links[name] = cleanEntry(path.Join(path.Dir(name), header.Linkname))
		case tar.TypeLink:
			a.links[name] = cleanEntry(header.Linkname)
		}
	}
}

func cleanEntry(name string) string { return path.Clean("/" + name)[1:] }

func (a *archive) file(name string) (staged, error) {
	name = cleanEntry(name)
	for range 10 {
		if file, ok := a.files[name]; ok {
			return file, nil
		}
		target, ok := a.links[name]
		if !ok {
			break
		}
		name = target
	}
	return staged{}, fmt.Errorf("archive has no file %s: %w", name, os.ErrNotExist)
}

// json decodes a file of the archive and returns its bytes.
func (a *archive) json(file staged, v any) ([]byte, error) {
	if file.size > metadataLimit {
		return nil, fmt.Errorf("file of %d bytes is too large to be metadata", file.size)
	}
	data, err := os.ReadFile(file.path)
	if err != nil {
		return nil, err
	}
	return data, json.Unmarshal(data, v)
}

// images interprets the archive. What docker save writes has been an OCI layout
// too since Docker 25; its manifest.json is the one that holds the names.
func (a *archive) images() ([]archived, error) {
	if file, err := a.file("manifest.json"); err == nil {
		return a.dockerImages(file)
	}
	if file, err := a.file(ocispec.ImageIndexFile); err == nil {
		return a.layoutImages(file)
	}
	return nil, errors.New("not an image archive: it has neither manifest.json nor index.json")
}

func (a *archive) dockerImages(file staged) ([]archived, error) {
	var manifests []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if _, err := a.json(file, &manifests); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var images []archived
	for _, m := range manifests {
		var i archived
		file, err := a.named(m.Config)
		if err != nil {
			return nil, err
		}
		if err := i.setConfig(a, file); err != nil {
			return nil, fmt.Errorf("config %s: %w", m.Config, err)
		}
		for _, name := range m.Layers {
			file, err := a.named(name)
			if err != nil {
				return nil, err
			}
			if err := i.addLayer(file); err != nil {
				return nil, err
			}
		}
		for _, tag := range m.RepoTags {
			name, err := Normalize(tag)
			if err != nil {
				return nil, fmt.Errorf("name %q: %w", tag, err)
			}
			i.names = append(i.names, name)
		}
		if err := i.complete(); err != nil {
			return nil, err
		}
		images = append(images, i)
	}
	return images, nil
}

// named returns a file whose name may promise its digest: CONFIG.json or
// blobs/sha256/DIGEST.
func (a *archive) named(name string) (staged, error) {
	file, err := a.file(name)
	if err != nil {
		return staged{}, err
	}
	promised := strings.TrimSuffix(path.Base(name), ".json")
	if len(promised) == 64 && isIDPrefix(promised) && promised != file.digest.Encoded() {
		return staged{}, fmt.Errorf("%s is damaged: its digest is %s", name, file.digest)
	}
	return file, nil
}

func (a *archive) layoutImages(file staged) ([]archived, error) {
	var index ocispec.Index
	if _, err := a.json(file, &index); err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	var images []archived
	var skipped error
	for _, d := range index.Manifests {
		i, err := a.layoutImage(d)
		if errors.Is(err, errPlatform) {
			skipped = err
			continue
		}
		if err != nil {
			return nil, err
		}
		images = append(images, i)
	}
	if len(images) == 0 {
		return nil, errors.Join(errors.New("the archive has no image"), skipped)
	}
	return images, nil
}

func (a *archive) layoutImage(d ocispec.Descriptor) (archived, error) {
	var i archived
	if name, ok := layoutName(d); ok {
		named, err := Normalize(name)
		if err != nil {
			return i, fmt.Errorf("name %q: %w", name, err)
		}
		i.names = append(i.names, named)
	}
	d, err := choosePlatform([]ocispec.Descriptor{d})
	for depth := 0; err == nil && isIndex(d) && depth < 4; depth++ {
		var list ocispec.Index
		if _, err := a.blobJSON(d, &list); err != nil {
			return i, err
		}
		d, err = choosePlatform(list.Manifests)
	}
	if err != nil {
		return i, err
	}
	var manifest ocispec.Manifest
	if i.manifest, err = a.blobJSON(d, &manifest); err != nil {
		return i, err
	}
	i.mediaType = d.MediaType
	if i.configBlob, err = a.blob(manifest.Config); err != nil {
		return i, err
	}
	if err := i.setConfig(a, i.configBlob); err != nil {
		return i, fmt.Errorf("config %s: %w", manifest.Config.Digest, err)
	}
	for _, l := range manifest.Layers {
		file, err := a.blob(l)
		if err != nil {
			return i, err
		}
		if err := i.addLayer(file); err != nil {
			return i, err
		}
	}
	return i, i.complete()
}

// layoutName is the name a descriptor gives. A reference name may be a whole
// name (podman, skopeo) or, by the letter of the specification, a tag alone.
func layoutName(d ocispec.Descriptor) (string, bool) {
	if name := d.Annotations[annotationName]; name != "" {
		return name, true
	}
	name := d.Annotations[ocispec.AnnotationRefName]
	return name, name != "" && name != "latest"
}

// blob finds what a descriptor means and verifies it.
func (a *archive) blob(d ocispec.Descriptor) (staged, error) {
	if err := d.Digest.Validate(); err != nil {
		return staged{}, fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	file, err := a.file(path.Join(ocispec.ImageBlobsDir, d.Digest.Algorithm().String(), d.Digest.Encoded()))
	if err != nil {
		return staged{}, err
	}
	if file.digest != d.Digest || file.size != d.Size {
		return staged{}, fmt.Errorf("blob %s is damaged: its digest is %s, its size %d", d.Digest, file.digest, file.size)
	}
	return file, nil
}

func (a *archive) blobJSON(d ocispec.Descriptor, v any) (staged, error) {
	file, err := a.blob(d)
	if err != nil {
		return staged{}, err
	}
	if _, err := a.json(file, v); err != nil {
		return staged{}, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return file, nil
}

func (i *archived) setConfig(a *archive, file staged) (err error) {
	var config dockerspec.DockerOCIImage
	if i.config, err = a.json(file, &config); err != nil {
		return err
	}
	if config.OS != "" && config.OS != "linux" {
		return fmt.Errorf("cannot load %s image on linux", config.OS)
	}
	i.diffIDs = config.RootFS.DiffIDs
	return checkLayers(i.diffIDs, len(i.diffIDs))
}

// complete makes sure that there is a layer for each diff ID.
func (i *archived) complete() error { return checkLayers(i.diffIDs, len(i.layers)) }

func (i *archived) addLayer(file staged) error {
	f, err := os.Open(file.path)
	if err != nil {
		return err
	}
	defer f.Close()
	i.layers = append(i.layers, file)
	i.compression = append(i.compression, layer.Sniff(bufio.NewReaderSize(f, 16)))
	return nil
}
