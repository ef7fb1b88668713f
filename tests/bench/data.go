package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

const (
	bigSize   = 200_000_000
	loadImage = "mydocker-bench-debian:latest"

	commitImage = "mydocker-bench-committed" // with a tag for each
)

// writeLines writes a file of that size, in lines of 80 bytes.
func writeLines(path string, size int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	line := append(bytes.Repeat([]byte("abcdefgh"), 10)[:79], '\n')
	for range size / len(line) {
		w.Write(line)
	}
	return errors.Join(w.Flush(), file.Close())
}

// writeArchive writes an image as `docker save` does, of one layer that no
// engine has yet: else it would be loaded in no time.
func writeArchive(path, rootfs string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	layerPath := path + ".layer"
	defer os.Remove(layerPath)
	diffID, err := copyTar(layerPath, rootfs)
	if err != nil {
		return fmt.Errorf("copy %s: %w", rootfs, err)
	}
	config := fmt.Sprintf(`{"architecture":%q,"os":"linux","config":{"Cmd":["bash"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"bench"}]}`,
		runtime.GOARCH, diffID)
	configName := fmt.Sprintf("%x.json", sha256.Sum256([]byte(config)))
	manifest := fmt.Sprintf(`[{"Config":%q,"RepoTags":[%q],"Layers":["layer.tar"]}]`, configName, loadImage)

	layer, err := os.Open(layerPath)
	if err != nil {
		return err
	}
	defer layer.Close()
	info, err := layer.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	add := func(name string, size int64, from io.Reader) {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size})
		}
		if err == nil {
			_, err = io.Copy(w, from)
		}
	}
	add(configName, int64(len(config)), strings.NewReader(config))
	add("layer.tar", info.Size(), layer)
	add("manifest.json", int64(len(manifest)), strings.NewReader(manifest))
	return errors.Join(err, w.Close(), out.Close())
}

// copyTar copies a tar, adds a file of this run, and returns the digest.
func copyTar(to, from string) (digest string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return "", err
	}
	defer out.Close()
	hash := sha256.New()
	r, w := tar.NewReader(in), tar.NewWriter(io.MultiWriter(out, hash))
	for {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.WriteHeader(header)
		}
		if err == nil {
			_, err = io.Copy(w, r)
		}
		if err != nil {
			return "", err
		}
	}
	mark := time.Now().String()
	err = w.WriteHeader(&tar.Header{Name: "bench", Mode: 0o644, Size: int64(len(mark))})
	if err == nil {
		_, err = io.WriteString(w, mark)
	}
	err = errors.Join(err, w.Close())
	return hex.EncodeToString(hash.Sum(nil)), err
}
