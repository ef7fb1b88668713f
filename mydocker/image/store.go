// Package image keeps images: an OCI image layout that other tools can read,
// and each layer of it unpacked once.
//
// On the host it owns
//
//	ROOT/image/          OCI image layout: oci-layout, index.json, blobs/sha256/*; two locks
//	ROOT/layers/XXXX/    an unpacked layer: diffid, size, and fs/, a lower directory for overlayfs;
//	                     XXXX is the first 24 digits of the diff ID
//	ROOT/image/pulls/*   manifests of pulls under way or interrupted; whatever these lead to stays until a reboot
//	ROOT/image/boot      the boot in which the last addition was
//	new-* in layers/ and blobs/sha256/, .tmp-* in image/: not yet complete
//
// index.json has a descriptor of each image and one more for each of its names, with
// tag or digest, and is replaced last, under index.lock. What other tools write there is
// an image too; its layers are unpacked when they are first used. They take no lock:
// let them write while no image is added or removed. Who adds holds adding.lock shared from
// the first blob to the end. When nobody does, what no image refers to is garbage,
// and each addition or removal ends with a sweep: so what a crash leaves goes with
// the next change, or by Check.
package image

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/trace"
)

// Store is the images of one root directory. It holds no state: any number of
// stores, in any number of processes, may work on one directory.
type Store struct{ root string }

// Open returns the store below root, which is made if it is missing.
func Open(root string) (*Store, error) {
	s := &Store{root}
	layout := filepath.Join(s.layout(), ocispec.ImageLayoutFile)
	if _, err := os.Stat(layout); err == nil {
		return s, nil
	}
	if err := errors.Join(os.MkdirAll(s.blobs(), 0o700), os.MkdirAll(s.layers(), 0o700)); err != nil {
		return nil, err
	}
	spread(s.layers())
	return s, s.locked(func() error {
		_, err := s.readIndex()
		if errors.Is(err, os.ErrNotExist) {
			err = s.writeIndex(&ocispec.Index{})
		}
		if err != nil {
			return err
		}
		return disk.WriteJSON(layout, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}, disk.Durable)
	})
}

// spread asks the file system to put directories made in dir far from each
// other (ext4: chattr +T, ioctl_iflags(2)). To take an inode ext4 looks at every
// one that was removed within minutes (recently_deleted in fs/ext4/ialloc.c): a
// layer unpacked where one just was takes up to ten times as long.
func spread(dir string) {
	const topOfHierarchy = 0x20000 // FS_TOPDIR_FL
	if d, err := os.Open(dir); err == nil {
		defer d.Close()
		flags, _ := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS)
		unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags|topOfHierarchy)
	}
}

func (s *Store) layout() string              { return filepath.Join(s.root, "image") }
func (s *Store) indexFile() string           { return filepath.Join(s.layout(), ocispec.ImageIndexFile) }
func (s *Store) addingLock() string          { return filepath.Join(s.layout(), "adding.lock") }
func (s *Store) layers() string              { return filepath.Join(s.root, "layers") }
func (s *Store) blobs() string               { return filepath.Join(s.layout(), ocispec.ImageBlobsDir, "sha256") }
func (s *Store) blob(d digest.Digest) string { return filepath.Join(s.blobs(), d.Encoded()) }

// locked runs do while nobody else changes the store: the engine's innermost lock.
func (s *Store) locked(do func() error) error {
	lock, err := disk.Acquire(filepath.Join(s.layout(), "index.lock"), disk.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	return do()
}

// adding runs do, which may write blobs and layers that no image refers to yet,
// and sweeps, whatever came of it. If that fails the next sweep tries again.
func (s *Store) adding(do func() error) error {
	if err := s.settle(); err != nil {
		return err
	}
	lock, err := disk.Acquire(s.addingLock(), disk.Shared)
	if err != nil {
		return err
	}
	err = do()
	lock.Release()
	s.sweep(false)
	return err
}

// settle sweeps before the first addition after each boot, interrupted pulls too: when the
// machine went down, what was being added may have got its name and not its content.
func (s *Store) settle() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	file := filepath.Join(s.layout(), "boot")
	if last, _ := os.ReadFile(file); bytes.Equal(last, boot) {
		return nil
	}
	if err := s.sweep(true); err != nil {
		return err
	}
	disk.WriteFile(file, boot, 0o600, disk.Volatile) // or the next one sweeps again
	return nil
}

func (s *Store) readIndex() (*ocispec.Index, error) {
	index := new(ocispec.Index)
	return index, disk.ReadJSON(s.indexFile(), index)
}

// writeIndex replaces index.json: the moment at which images come and go.
func (s *Store) writeIndex(index *ocispec.Index) error {
	index.SchemaVersion = 2
	index.MediaType = ocispec.MediaTypeImageIndex
	index.Manifests = append([]ocispec.Descriptor{}, index.Manifests...) // nil would become null
	trace.Step("rename", "index.json, %d descriptors", len(index.Manifests))
	err := disk.WriteJSON(s.indexFile(), index, disk.Durable)
	if errors.Is(err, unix.ENOSPC) {
		// Removing images is how one makes room again.
		return disk.OverwriteJSON(s.indexFile(), index)
	}
	return err
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

// readBlob decodes a JSON blob. Its hash was verified when it was stored.
func (s *Store) readBlob(d digest.Digest, v any) error {
	if !isFileName(d) {
		return fmt.Errorf("blob %q: invalid digest", d)
	}
	if info, err := os.Stat(s.blob(d)); err == nil && info.Size() > 16<<20 {
		return fmt.Errorf("blob %s of %d bytes is too large to be metadata", d, info.Size())
	}
	return disk.ReadJSON(s.blob(d), v)
}

// writeBlob stores a stream and passes it on to look (nil: to nobody), which may
// leave off in the middle. The media type is that of a layer.
func (s *Store) writeBlob(r io.Reader, look func(io.Reader) error) (d ocispec.Descriptor, err error) {
	file, err := os.CreateTemp(s.blobs(), "new-*")
	if err != nil {
		return d, err
	}
	defer file.Close()
	defer os.Remove(file.Name()) // unless it was renamed
	sum := digest.SHA256.Digester()
	source := bufio.NewReaderSize(r, 1<<20)
	d.MediaType = ocispec.MediaTypeImageLayer
	if compression := layer.Sniff(source); compression != "" {
		d.MediaType += "+" + compression
	}
	copied := io.TeeReader(source, io.MultiWriter(file, sum.Hash()))
	if look != nil {
		err = look(copied)
	}
	if err == nil { // Discard alone would choose small buffers
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, copied, make([]byte, 1<<20))
	}
	if err != nil {
		return d, err
	}
	d.Digest = sum.Digest()
	d.Size, _ = file.Seek(0, io.SeekCurrent) // cannot fail
	return d, os.Rename(file.Name(), s.blob(d.Digest))
}

// compression is how a stored blob is compressed; "": not, or it is lost.
func (s *Store) compression(d digest.Digest) string {
	file, err := os.Open(s.blob(d))
	if err != nil {
		return ""
	}
	defer file.Close()
	return layer.Sniff(bufio.NewReader(file))
}

// layer is the directory of an unpacked layer. Names are short because all of
// an image's layers have to fit into one page of mount options on old kernels.
func (s *Store) layer(diffID digest.Digest) string {
	return filepath.Join(s.layers(), diffID.Encoded()[:24])
}

// findLayer makes sure that a layer is unpacked; os.ErrNotExist: it is not. Its
// directory is named by a part of the diff ID only, so another may be in its place.
func (s *Store) findLayer(diffID digest.Digest) error {
	data, err := os.ReadFile(filepath.Join(s.layer(diffID), "diffid"))
	if found := strings.TrimSpace(string(data)); err == nil && found != diffID.String() {
		err = fmt.Errorf("layer %s: %s holds layer %s", diffID, s.layer(diffID), found)
	}
	return err
}

// unpack makes a layer of a stream, compressed or not, which must have the diff
// ID want ("": any, but it must be complete). If the layer is there already the
// stream is only verified.
func (s *Store) unpack(r io.Reader, want digest.Digest) (diffID digest.Digest, err error) {
	plain, err := layer.Decompress(r)
	if err != nil {
		return "", err
	}
	var dir string // stays empty if the layer is there
	var stats layer.Stats
	if want != "" {
		err = s.findLayer(want)
	}
	if want == "" || errors.Is(err, os.ErrNotExist) {
		if dir, err = os.MkdirTemp(s.layers(), "new-*"); err == nil {
			trace.Step("untar", "layer into %s", dir)
			stats, err = layer.Apply(filepath.Join(dir, "fs"), plain)
		}
	} else if err == nil {
		stats.DiffID, err = digest.SHA256.FromReader(plain)
	}
	switch {
	case err != nil:
	case want == "" && !stats.Complete:
		err = fmt.Errorf("the archive has no end: %w", io.ErrUnexpectedEOF)
	case want != "" && want != stats.DiffID:
		err = fmt.Errorf("layer verification failed: content is %s", stats.DiffID)
	case dir != "":
		err = s.place(dir, stats)
	}
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", cmp.Or(string(want), "layer"), err)
	}
	return stats.DiffID, nil
}

// place syncs an unpacked layer and moves it to its place, unless another was faster.
func (s *Store) place(dir string, l layer.Stats) error {
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "diffid"), fmt.Appendln(nil, l.DiffID), 0o600),
		os.WriteFile(filepath.Join(dir, "size"), fmt.Appendln(nil, l.Size), 0o600),
		s.sync())
	if err != nil {
		return err
	}
	return s.locked(func() error {
		if err := s.findLayer(l.DiffID); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		place := s.layer(l.DiffID)
		if err := disk.RemoveAll(place); err != nil { // half removed: it has no diffid
			return err
		}
		trace.Step("rename", "%s to %s", dir, place)
		return os.Rename(dir, place)
	})
}

// sync is one call for the file system: one for each file would take minutes.
func (s *Store) sync() error {
	dir, err := os.Open(s.layers())
	if err != nil {
		return err
	}
	defer dir.Close()
	trace.Step("syncfs", "%s", s.layers())
	return os.NewSyscallError("syncfs "+s.layers(), unix.Syncfs(int(dir.Fd())))
}
