// Package image keeps images: an OCI image layout that other tools can read,
// and each layer of it unpacked once.
//
// On the host it owns
//
//	ROOT/image/          OCI image layout: oci-layout, index.json, blobs/sha256/*; index.lock
//	ROOT/layers/XXXX/    an unpacked layer: diffid, size, and fs/, a lower directory for overlayfs;
//	                     XXXX is the first 24 digits of the diff ID
//	ROOT/layers/new-*/   what a living process is about to add, held by a lock inside
//
// An image is a descriptor in index.json; everything else is there because an
// image refers to it. Blobs and layers are built in new-*, renamed in, and
// index.json is replaced last, all under index.lock. So a crash leaves a new-*
// without a holder, or blobs and layers that no image refers to: the next
// addition sweeps the first, the next removal the second, Check finds both. A
// layer that was lost is unpacked again from its blob when it is next used.
package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/trace"
)

// Store is the images of one root directory. It holds no state: any number of
// stores, in any number of processes, may work on one directory.
type Store struct{ root string }

// Open returns the store below root, which is made if it is missing.
func Open(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	s := &Store{root}
	if _, err := os.Stat(s.layoutFile()); err == nil {
		return s, nil
	}
	for _, dir := range []string{filepath.Join(s.layout(), "blobs", "sha256"), s.layers()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open image store: %w", err)
		}
	}
	spread(s.layers())
	return s, s.locked(func() error {
		if _, err := os.Stat(s.indexFile()); errors.Is(err, os.ErrNotExist) {
			if err := s.writeIndex(&ocispec.Index{}); err != nil {
				return err
			}
		}
		version := ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}
		return disk.WriteJSON(s.layoutFile(), version, disk.Durable)
	})
}

// spread asks the file system to put directories made in dir far from each
// other (ext4: chattr +T, ioctl_iflags(2); other file systems do not care). An
// inode that was deleted within the last minutes ext4 does not use again, and
// looks at every one of them before it takes the next (recently_deleted in
// fs/ext4/ialloc.c): a layer unpacked where one was just removed takes up to
// ten times as long. It is a matter of speed only, so errors do not count.
func spread(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const topOfHierarchy = 0x20000 // FS_TOPDIR_FL
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err == nil {
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|topOfHierarchy)
	}
}

func (s *Store) layout() string     { return filepath.Join(s.root, "image") }
func (s *Store) layoutFile() string { return filepath.Join(s.layout(), ocispec.ImageLayoutFile) }
func (s *Store) indexFile() string  { return filepath.Join(s.layout(), ocispec.ImageIndexFile) }
func (s *Store) layers() string     { return filepath.Join(s.root, "layers") }
func (s *Store) blobs() string      { return filepath.Join(s.layout(), ocispec.ImageBlobsDir, "sha256") }

func (s *Store) blob(d digest.Digest) string { return filepath.Join(s.blobs(), d.Encoded()) }

// layer is the directory of an unpacked layer. Names are short because all of
// an image's layers have to fit into one page of mount options on old kernels.
func (s *Store) layer(diffID digest.Digest) string {
	return filepath.Join(s.layers(), diffID.Encoded()[:24])
}

// locked runs do while nobody else changes the store. It is the innermost lock
// of the engine: do takes no other.
func (s *Store) locked(do func() error) error {
	lock, err := disk.Acquire(filepath.Join(s.layout(), "index.lock"), disk.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	return do()
}

func (s *Store) readIndex() (*ocispec.Index, error) {
	var index ocispec.Index
	if err := disk.ReadJSON(s.indexFile(), &index); err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	for _, d := range index.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("read %s: damaged record: digest %q: %w", s.indexFile(), d.Digest, err)
		}
	}
	return &index, nil
}

// writeIndex replaces index.json: the moment at which images come and go.
func (s *Store) writeIndex(index *ocispec.Index) error {
	index.Versioned = specs.Versioned{SchemaVersion: 2}
	index.MediaType = ocispec.MediaTypeImageIndex
	if index.Manifests == nil {
		index.Manifests = []ocispec.Descriptor{} // the specification wants a list, not null
	}
	trace.Step("rename", "index.json, %d names", len(index.Manifests))
	return disk.WriteJSON(s.indexFile(), index, disk.Durable)
}

// update changes the index under the lock. If change fails nothing is written.
func (s *Store) update(change func(*ocispec.Index) error) error {
	return s.locked(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		if err := change(index); err != nil {
			return err
		}
		return s.writeIndex(index)
	})
}

// readBlob decodes a JSON blob and returns its bytes. Its hash was verified when
// it was stored.
func (s *Store) readBlob(d digest.Digest, v any) ([]byte, error) {
	if err := d.Validate(); err != nil { // a digest becomes a path
		return nil, fmt.Errorf("blob %q: %w", d, err)
	}
	data, err := os.ReadFile(s.blob(d))
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("image store: blob %s: %w", d, err)
	}
	return data, nil
}
