package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// entry is one of a tar archive: a directory if its name ends with a slash, a
// file if it has no type.
type entry struct {
	name, link, data string
	kind             byte
	mode             int64
	major, minor     int64
}

// tarOf makes an archive; it refuses nothing.
func tarOf(entries ...entry) string {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
			if e.name[len(e.name)-1] == '/' {
				e.kind = tar.TypeDir
			}
		}
		if e.mode == 0 {
			e.mode = 0o755
		}
		header := &tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.link, Size: int64(len(e.data)), Mode: e.mode,
			Devmajor: e.major, Devminor: e.minor, ModTime: time.Unix(1_700_000_000, 0)}
		if err := w.WriteHeader(header); err != nil {
			panic(fmt.Sprintf("%+v: %v", e, err))
		}
		w.Write([]byte(e.data))
	}
	w.Close()
	return buffer.String()
}

// savedImage is the archive that docker save makes of an image with these layers.
func savedImage(name string, layers ...string) string {
	var files []entry
	var paths, diffIDs []string
	for i, layer := range layers {
		sum := sha256.Sum256([]byte(layer))
		diffIDs = append(diffIDs, "sha256:"+hex.EncodeToString(sum[:]))
		paths = append(paths, fmt.Sprintf("%d/layer.tar", i))
		files = append(files, entry{name: paths[i], data: layer, mode: 0o644})
	}
	return savedParts(name, diffIDs, paths, files)
}

// savedParts is savedImage of layers that may lie.
func savedParts(name string, diffIDs, paths []string, files []entry) string {
	config := marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"/bin/sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	manifest := marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{name + ":latest"}, "Layers": paths}})
	return tarOf(append(files, entry{name: "config.json", data: config, mode: 0o644}, entry{name: "manifest.json", data: manifest, mode: 0o644})...)
}

func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
