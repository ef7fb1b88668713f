package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Loaded is one name under which Load stored an image, or an image without name.
type Loaded struct {
	Name string // familiar; empty if the archive gives none
	ID   digest.Digest
}

// Progress is told how many bytes of a layer's blob, of total, are unpacked.
// The layer is named by the first 12 digits of its diff ID.
type Progress func(layer string, done, total int64)

// Load stores the images of an archive as docker save, podman save or skopeo
// write it, or of an archived OCI layout, compressed or not. Every digest in it
// is verified. If anything is wrong no image is stored. progress may be nil;
// calls of it do not overlap.
func (s *Store) Load(ctx context.Context, r io.Reader, progress Progress) ([]Loaded, error) {
	stage, err := s.newStage()
	if err != nil {
		return nil, err
	}
	defer stage.close()
	archive, err := stage.readArchive(contextReader{ctx, r})
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	images, err := archive.images()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := stage.unpackAll(ctx, images, progress); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	var additions []addition
	var loaded []Loaded
	for _, i := range images {
		add, err := stage.addArchived(i)
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		additions = append(additions, add)
		for _, name := range i.names {
			loaded = append(loaded, Loaded{reference.FamiliarString(name), add.config})
		}
		if len(i.names) == 0 {
			loaded = append(loaded, Loaded{ID: add.config})
		}
	}
	if err := stage.commit(additions); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return loaded, nil
}

// unpackAll unpacks every layer once, as many at a time as there are processors.
func (g *stage) unpackAll(ctx context.Context, images []archived, progress Progress) error {
	var report sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	type pair struct{ diffID, blob digest.Digest }
	begun := map[pair]bool{}
	for _, i := range images {
		for n, blob := range i.layers {
			diffID := i.diffIDs[n]
			if begun[pair{diffID, blob.digest}] {
				continue
			}
			begun[pair{diffID, blob.digest}] = true
			tell := func(done int64) {
				if progress != nil {
					report.Lock()
					defer report.Unlock()
					progress(diffID.Encoded()[:12], done, blob.size)
				}
			}
			group.Go(func() error { return g.unpackStaged(ctx, blob, diffID, tell) })
		}
	}
	return group.Wait()
}

func (g *stage) unpackStaged(ctx context.Context, blob staged, diffID digest.Digest, tell func(done int64)) error {
	file, err := os.Open(blob.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := g.unpackVerified(&meter{r: contextReader{ctx, file}, tell: tell}, diffID); err != nil {
		return err
	}
	tell(blob.size)
	return nil
}

// meter tells how much was read of r.
type meter struct {
	r    io.Reader
	done int64
	tell func(done int64)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.done += int64(n)
	m.tell(m.done)
	return n, err
}

// addArchived stages what of an archived image is not a blob yet.
func (g *stage) addArchived(i archived) (addition, error) {
	var layers []ocispec.Descriptor
	for n, blob := range i.layers {
		g.addBlob(blob)
		layers = append(layers, ocispec.Descriptor{MediaType: layerMediaType(i.compression[n]), Digest: blob.digest, Size: blob.size})
	}
	if i.manifest.digest == "" {
		add, err := g.addImageBytes(i.config, layers)
		add.names = i.names
		return add, err
	}
	g.addBlob(i.manifest)
	g.addBlob(i.configBlob)
	add := addition{
		manifest: ocispec.Descriptor{MediaType: i.mediaType, Digest: i.manifest.digest, Size: i.manifest.size},
		config:   i.configBlob.digest,
		blobs:    []digest.Digest{i.manifest.digest, i.configBlob.digest},
		names:    i.names,
	}
	for _, l := range layers {
		add.blobs = append(add.blobs, l.Digest)
	}
	return add, nil
}
