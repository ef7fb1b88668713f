// Package layer unpacks image layers: one tar stream becomes one directory that
// overlayfs takes as a lower directory. The way back is Diff, of an upper directory,
// and Pack, of any; Walk and Target are the two halves of a copy from directory to
// directory, without an archive between, and Copy is both.
//
// On the host it owns nothing but what is below the directory it is given. A
// crash leaves that directory half filled, which is why the caller builds it
// aside and renames it when it is whole.
package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
)

const (
	chunkSize      = 1 << 20
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh." // aufs' own bookkeeping, of which only the opaque mark has a meaning here
	whiteoutOpaque = ".wh..wh..opq"
	opaque         = "trusted.overlay.opaque"
	xattrRecord    = "SCHILY.xattr." // in a PAX header, and the attribute's name
	blockSize      = 64 << 10        // of zeros: a hole
)

// Stats says what Apply found in a layer.
type Stats struct {
	DiffID   digest.Digest // SHA-256 of the whole uncompressed stream (OCI image-spec, config.md)
	Size     int64         // bytes in regular files and symbolic links, as Docker counts a layer
	Complete bool          // it had the two zero blocks that end an archive (tar(5)): it was not cut between two entries
}

// Apply unpacks the uncompressed layer stream r into dir, made with mode 0755, and
// reads r to its end. Owners, modes, modification times, extended attributes, hard
// links and devices are the archive's; whiteouts (OCI image-spec, layer.md) become
// those of overlayfs.
//
// Nothing outside dir is ever touched, whatever the archive holds: names that
// lead out of it are errors, and symbolic links on the way to a name are
// resolved as if dir were the root directory. Nothing is synced to the device.
func Apply(dir string, r io.Reader) (stats Stats, err error) {
	// Chmod: mkdir(2) is subject to the umask, and this is "/" of containers.
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		return stats, err
	}
	root, err := os.Open(dir)
	if err != nil {
		return stats, err
	}
	defer root.Close()
	// Decompressing and hashing run beside the system calls that make files: a
	// layer takes the time of the slower. Buffers on both sides keep either busy.
	sum := digest.SHA256.Digester()
	ahead, write := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := bufio.NewWriterSize(io.MultiWriter(sum.Hash(), write), chunkSize)
		_, err := io.Copy(w, r)
		write.CloseWithError(errors.Join(err, w.Flush()))
	}()
	defer func() { <-done }() // r is the caller's again
	defer ahead.Close()

	stream := &endReader{r: bufio.NewReaderSize(ahead, chunkSize)}
	t := &tree{root: int(root.Fd()), block: make([]byte, blockSize)}
	if err := t.unpack(tar.NewReader(stream)); err != nil {
		return stats, err
	}
	stats.Complete, stats.Size = !stream.ended, t.size
	// What follows the archive, usually padding, belongs to the digest.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return stats, fmt.Errorf("read layer: %w", err)
	}
	<-done
	stats.DiffID = sum.Digest()
	return stats, nil
}

// endReader notes whether its reader has been told that the stream ends.
type endReader struct {
	r     io.Reader
	ended bool
}

func (e *endReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.ended = e.ended || err == io.EOF
	return n, err
}

// unpack makes every entry of the archive.
func (t *tree) unpack(archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return t.restoreTimes()
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		if err := t.place(header, archive); err != nil {
			return fmt.Errorf("unpack %q: %w", header.Name, err)
		}
	}
}

// place makes the entry that header describes.
func (t *tree) place(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := cleanName(header.Name)
	if err != nil {
		return err
	}
	if name == "." && header.Typeflag != tar.TypeDir {
		return fmt.Errorf("the root directory cannot be of type %q", header.Typeflag)
	}
	base := path.Base(name)
	if t.plain {
		return t.put(header, path.Dir(name), base, content)
	}
	if base != whiteoutOpaque && (strings.HasPrefix(base, whiteoutMeta) || strings.HasPrefix(name, whiteoutMeta)) {
		return nil
	}
	parent, err := t.dir(path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if base == whiteoutOpaque {
		return setOpaque(procPath(parent, "."))
	}
	if hidden, ok := strings.CutPrefix(base, whiteoutPrefix); ok {
		return whiteout(parent, hidden)
	}
	err = t.create(header, parent, base, content)
	if err == unix.EEXIST { // in an archive the later entry wins
		if err = disk.RemoveAll(procPath(parent, base)); err == nil {
			err = t.create(header, parent, base, content)
		}
	}
	if err != nil || header.Typeflag == tar.TypeLink { // what it links has its attributes already
		return err
	}
	return setAttributes(header, parent, base)
}

// cleanName makes a name relative to the tree's root. A name that leads out of
// it is an error, as in Docker.
func cleanName(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%s is outside of the layer", name)
	}
	return clean, nil
}

// Sniff tells the compression of a stream by its first bytes, which stay unread:
// gzip, zstd, xz, bzip2, or "" if there is none.
func Sniff(r *bufio.Reader) string {
	start, _ := r.Peek(262) // a shorter stream is no archive
	switch {
	case len(start) == 262 && string(start[257:]) == "ustar": // tar(5), whatever its first file is called
	case bytes.HasPrefix(start, []byte("\x1f\x8b\x08")): // RFC 1952
		return "gzip"
	case bytes.HasPrefix(start, []byte("\x28\xb5\x2f\xfd")), // RFC 8878
		len(start) > 3 && start[0]&0xf0 == 0x50 && string(start[1:4]) == "\x2a\x4d\x18": // skippable frame
		return "zstd"
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return "xz"
	case len(start) >= 10 && string(start[:3]) == "BZh" && string(start[4:10]) == "1AY&SY":
		return "bzip2"
	}
	return ""
}

// Decompress returns the plain stream of r, which may be compressed in any way
// that Sniff knows.
func Decompress(r io.Reader) (plain io.Reader, err error) {
	buffered := bufio.NewReaderSize(r, chunkSize)
	switch Sniff(buffered) {
	case "gzip":
		plain, err = gzip.NewReader(buffered)
	case "zstd": // concurrency 1: no goroutine that would have to be stopped
		plain, err = zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
	case "xz":
		plain, err = xz.NewReader(buffered)
	case "bzip2":
		plain = bzip2.NewReader(buffered)
	default:
		plain = buffered
	}
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return plain, nil
}
