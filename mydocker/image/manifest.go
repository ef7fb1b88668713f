package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1+" // json or prettyjws
)

// choose follows an index to the manifest for a platform.
func (p *puller) choose(ctx context.Context, data []byte, d ocispec.Descriptor, platform string) ([]byte, ocispec.Descriptor, error) {
	wanted, err := parsePlatform(cmp.Or(platform, "linux"))
	for depth := 0; err == nil && (d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerList); depth++ {
		var index ocispec.Index
		if err := json.Unmarshal(data, &index); err != nil {
			return nil, d, fmt.Errorf("index %s: %w", d.Digest, err)
		}
		best := bestMatch(index.Manifests, wanted)
		if best != nil && best.Digest.Validate() != nil { // it would pass for a tag
			return nil, d, fmt.Errorf("index %s: invalid digest %q", d.Digest, best.Digest)
		}
		if best == nil || depth == 4 {
			return nil, d, fmt.Errorf("no matching manifest for %s in the manifest list entries", platformText(wanted))
		}
		if _, err := p.writeBlob(bytes.NewReader(data), nil); err != nil { // it leads from a name's digest to the manifest
			return nil, d, err
		}
		data, d, err = p.remote.Manifest(ctx, string(best.Digest))
	}
	return data, d, err
}

// parseManifest reads an image's manifest, OCI's or Docker's. name is for errors.
func parseManifest(data []byte, d ocispec.Descriptor, name string) (m ocispec.Manifest, err error) {
	switch {
	case strings.HasPrefix(d.MediaType, dockerSchema1):
		return m, fmt.Errorf("%s: Docker Image manifest version 2, schema 1 is not supported; ask its author for the OCI format or schema 2", name)
	case d.MediaType != dockerManifest && d.MediaType != ocispec.MediaTypeImageManifest:
		return m, fmt.Errorf("%s: unsupported manifest media type %q", name, d.MediaType)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("manifest of %s: %w", name, err)
	}
	switch m.Config.MediaType { // the last four registries have made of Docker's by mistake
	case ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json", "application/octet-stream", "application/json", "text/html", "":
	case "application/vnd.docker.plugin.v1+json":
		return m, fmt.Errorf("Encountered remote %q(plugin) when fetching", m.Config.MediaType)
	default:
		return m, fmt.Errorf("Encountered remote %q(unknown) when fetching", m.Config.MediaType)
	}
	for _, blob := range append(m.Layers, m.Config) {
		if err := blob.Digest.Validate(); err != nil || blob.Digest.Algorithm() != digest.SHA256 || blob.Size < 0 {
			return m, fmt.Errorf("manifest of %s: invalid digest %q or size", name, blob.Digest)
		}
	}
	return m, nil
}

// convert makes an OCI manifest of Docker's (OCI image-spec, media-types.md).
func convert(m ocispec.Manifest) ocispec.Manifest {
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	for n, l := range m.Layers {
		switch {
		case strings.HasSuffix(l.MediaType, "gzip"):
			l.MediaType = ocispec.MediaTypeImageLayerGzip
		case strings.HasSuffix(l.MediaType, "zstd"):
			l.MediaType = ocispec.MediaTypeImageLayerZstd
		default:
			l.MediaType = ocispec.MediaTypeImageLayer
		}
		m.Layers[n] = l
	}
	return m
}
