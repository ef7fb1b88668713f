package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// member is a file of a layer. Its zero type is a regular file.
type member struct {
	tar.Header
	text string
}

func file(name, text string) member {
	return member{tar.Header{Name: name, Mode: 0o644}, text}
}

func directory(name string) member {
	return member{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}}
}

// archive makes a tar. Entries are root's and of the year 2001 unless they say so.
func archive(t *testing.T, entries ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if e.Typeflag == 0 {
			e.Typeflag = tar.TypeReg
		}
		e.Size = int64(len(e.text))
		if e.ModTime.IsZero() {
			e.ModTime = time.Unix(1_000_000_000, 0)
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// digestOf is a blob's name.
func digestOf(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }

// imageConfig is the config of an image of these uncompressed layers.
func imageConfig(t *testing.T, layers ...[]byte) []byte {
	t.Helper()
	var diffIDs []string
	var history []map[string]any
	for _, l := range layers {
		diffIDs = append(diffIDs, digestOf(l))
		history = append(history, map[string]any{"created": "2001-09-09T01:46:40Z", "created_by": "test"})
	}
	return encode(t, map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2001-09-09T01:46:40Z",
		"config": map[string]any{"Cmd": []string{"sh"}, "Env": []string{"A=archive"}}, "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}, "history": history,
	})
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// dockerArchive is what docker save writes.
func dockerArchive(t *testing.T, tags []string, layers ...[]byte) []byte {
	t.Helper()
	config := imageConfig(t, layers...)
	name := digestOf(config)[7:] + ".json"
	entries := []member{file(name, string(config))}
	var names []string
	for i, l := range layers {
		layer := fmt.Sprintf("layer%d/layer.tar", i)
		names = append(names, layer)
		entries = append(entries, file(layer, string(l)))
	}
	manifest := encode(t, []map[string]any{{"Config": name, "RepoTags": tags, "Layers": names}})
	return archive(t, append(entries, file("manifest.json", string(manifest)))...)
}

// ociArchive is an OCI layout; pack compresses a layer and gives its media type.
func ociArchive(t *testing.T, name string, pack func([]byte) ([]byte, string), layers ...[]byte) []byte {
	t.Helper()
	blobs := []member{file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), directory("blobs"), directory("blobs/sha256")}
	add := func(mediaType string, blob []byte) map[string]any {
		blobs = append(blobs, file("blobs/sha256/"+digestOf(blob)[7:], string(blob)))
		return map[string]any{"mediaType": mediaType, "digest": digestOf(blob), "size": len(blob)}
	}
	var descriptors []any
	for _, l := range layers {
		packed, mediaType := pack(l)
		descriptors = append(descriptors, add(mediaType, packed))
	}
	config := add("application/vnd.oci.image.config.v1+json", imageConfig(t, layers...))
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest := add(manifestType, encode(t, map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": descriptors}))
	manifest["annotations"] = map[string]string{"org.opencontainers.image.ref.name": name}
	manifest["platform"] = map[string]string{"architecture": "amd64", "os": "linux"}
	return archive(t, append(blobs, file("index.json", string(encode(t, map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}))))...)
}

func busyboxLayer(t *testing.T) []byte {
	t.Helper()
	layer, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}
