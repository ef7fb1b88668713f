// Package layer unpacks image layers: one tar stream becomes one directory that
// overlayfs takes as a lower directory.
//
// On the host it owns nothing but what is below the directory it is given. A
// crash leaves that directory half filled, which is why the caller builds it
// aside and renames it when it is whole.
package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// Stats says what Apply found in a layer.
type Stats struct {
	// DiffID is the SHA-256 of the whole uncompressed stream (OCI image-spec,
	// config.md, "Layer DiffID").
	DiffID digest.Digest
	// Size is the sum of the sizes of regular files and symbolic links in
	// bytes, which is how Docker counts a layer.
	Size int64
	// Complete says that the two zero blocks that end an archive (tar(5)) were
	// there. Without them a stream that was cut between two entries looks
	// whole; who cannot compare the DiffID should refuse it.
	Complete bool
}

// Apply unpacks the uncompressed layer stream r into the existing, empty
// directory dir and reads r to its end. Ownership, modes, times, extended
// attributes, hard links and device nodes are those of the archive; whiteouts
// (OCI image-spec, layer.md) become those of overlayfs.
//
// Nothing outside dir is ever touched, whatever the archive holds: names that
// lead out of it are errors, and symbolic links on the way to a name are
// resolved as if dir were the root directory. Nothing is synced to the device.
func Apply(dir string, r io.Reader) (Stats, error) {
	tree, err := openTree(dir)
	if err != nil {
		return Stats{}, err
	}
	defer tree.close()
	stream := newStream(r)
	defer stream.stop()

	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		// ErrInsecurePath comes with a valid header; place judges names itself.
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return Stats{}, fmt.Errorf("read layer: %w", err)
		}
		if err := tree.place(header, archive); err != nil {
			return Stats{}, fmt.Errorf("unpack %q: %w", header.Name, err)
		}
	}
	complete := !stream.ended
	if err := tree.restoreTimes(); err != nil {
		return Stats{}, err
	}
	// What follows the archive, usually padding, belongs to the digest.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return Stats{}, fmt.Errorf("read layer: %w", err)
	}
	return Stats{DiffID: stream.digest(), Size: tree.size, Complete: complete}, nil
}
