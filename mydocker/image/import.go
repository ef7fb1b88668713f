package image

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/distribution/reference"
	"github.com/klauspost/compress/gzip"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/image/layer"
)

// ImportOptions are the options of Import. All may be empty.
type ImportOptions struct {
	Ref     string   // the name to give the image
	Message string   // for the history; empty: "Imported from -"
	Changes []string // Dockerfile instructions, as in docker import --change
}

// Import makes an image of a root file system's tar archive, which may be
// compressed with gzip, zstd, xz or bzip2.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (*Image, error) {
	config, names, err := importConfig(o)
	if err != nil {
		return nil, err
	}
	stage, err := s.newStage()
	if err != nil {
		return nil, err
	}
	defer stage.close()
	blob, diffID, err := stage.importLayer(contextReader{ctx, r})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}
	add, err := stage.addImage(config, []ocispec.Descriptor{blob})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	add.names = names
	if err := stage.commit([]addition{add}); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return s.Resolve(add.config.String())
}

func importConfig(o ImportOptions) (config dockerspec.DockerOCIImage, names []reference.Named, err error) {
	if o.Ref != "" {
		name, err := Normalize(o.Ref)
		if err != nil {
			return config, nil, err
		}
		if isDigestName(name.String()) {
			return config, nil, fmt.Errorf("invalid reference format: cannot import to a digest: %s", o.Ref)
		}
		names = append(names, name)
	}
	if o.Message == "" {
		o.Message = "Imported from -"
	}
	now := time.Now().UTC()
	config.Created = &now
	config.Platform = ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"}
	config.History = []ocispec.History{{Created: &now, Comment: o.Message}}
	return config, names, Change(&config.Config, o.Changes)
}

// importLayer unpacks an archive and keeps it as a blob, in one pass: as it
// came if it is compressed in a way that OCI layers may be, else compressed by gzip.
func (g *stage) importLayer(r io.Reader) (ocispec.Descriptor, digest.Digest, error) {
	w, err := g.create()
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	defer w.file.Close()
	source := bufio.NewReaderSize(r, 1<<20)
	how := layer.Sniff(source)

	var stats layer.Stats
	if how == layer.Gzip || how == layer.Zstd {
		copied := io.TeeReader(source, w)
		if stats, err = g.unpack(copied); err == nil {
			_, err = io.Copy(io.Discard, copied)
		}
	} else {
		how = layer.Gzip
		stats, err = g.unpackCompressing(source, w)
	}
	if err == nil && !stats.Complete {
		err = fmt.Errorf("the archive has no end: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	blob, err := w.finish()
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	g.addBlob(blob)
	return ocispec.Descriptor{MediaType: layerMediaType(how), Digest: blob.digest, Size: blob.size}, stats.DiffID, nil
}

func (g *stage) unpackCompressing(source io.Reader, w io.Writer) (layer.Stats, error) {
	plain, _, err := layer.Decompress(source)
	if err != nil {
		return layer.Stats{}, err
	}
	defer plain.Close()
	buffered := bufio.NewWriterSize(w, 1<<20)
	compressor, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return layer.Stats{}, err
	}
	stats, err := g.unpackPlain(io.TeeReader(plain, compressor))
	if err != nil {
		return layer.Stats{}, err
	}
	if err := compressor.Close(); err != nil {
		return layer.Stats{}, err
	}
	return stats, buffered.Flush()
}

func layerMediaType(how layer.Compression) string {
	if how == layer.None {
		return ocispec.MediaTypeImageLayer
	}
	return ocispec.MediaTypeImageLayer + "+" + string(how)
}

// addImage stages config and manifest of an image whose layers are staged.
func (g *stage) addImage(config any, layers []ocispec.Descriptor) (addition, error) {
	data, err := json.Marshal(config)
	if err != nil {
		return addition{}, err
	}
	return g.addImageBytes(data, layers)
}

func (g *stage) addImageBytes(config []byte, layers []ocispec.Descriptor) (addition, error) {
	configBlob, err := g.write(bytes.NewReader(config))
	if err != nil {
		return addition{}, err
	}
	data, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: configBlob.digest, Size: configBlob.size},
		Layers:    layers,
	})
	if err != nil {
		return addition{}, err
	}
	manifest, err := g.write(bytes.NewReader(data))
	if err != nil {
		return addition{}, err
	}
	g.addBlob(configBlob)
	g.addBlob(manifest)
	add := addition{
		manifest: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifest.digest, Size: manifest.size},
		config:   configBlob.digest,
		blobs:    []digest.Digest{manifest.digest, configBlob.digest},
	}
	for _, l := range layers {
		add.blobs = append(add.blobs, l.Digest)
	}
	return add, nil
}

// contextReader ends with the context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
