package layer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Compression is how a stream is compressed; the zero value means not at all.
// Its text is the suffix that OCI media types use.
type Compression string

const (
	None  Compression = ""
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
	XZ    Compression = "xz"
	Bzip2 Compression = "bzip2"
)

// Sniff tells the compression of a stream by its first bytes, which stay unread.
func Sniff(r *bufio.Reader) Compression {
	start, _ := r.Peek(10) // a shorter stream is not compressed
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b, 0x08}): // RFC 1952
		return Gzip
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}), // RFC 8878
		len(start) > 3 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:4], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		return Zstd
	case bytes.HasPrefix(start, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return XZ
	case len(start) == 10 && string(start[:3]) == "BZh" && string(start[4:]) == "1AY&SY":
		return Bzip2
	}
	return None
}

// Decompress returns the plain stream of r, which may be compressed in any way
// that Sniff knows, and how it was compressed. Close releases the decompressor
// and leaves r alone.
func Decompress(r io.Reader) (io.ReadCloser, Compression, error) {
	buffered := bufio.NewReaderSize(r, chunkSize)
	how := Sniff(buffered)
	var plain io.Reader
	var err error
	switch how {
	case Gzip:
		plain, err = gzip.NewReader(buffered)
	case Zstd:
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(buffered); err == nil {
			return decoder.IOReadCloser(), how, nil
		}
	case XZ:
		plain, err = xz.NewReader(buffered)
	case Bzip2:
		plain = bzip2.NewReader(buffered)
	default:
		plain = buffered
	}
	if err != nil {
		return nil, how, fmt.Errorf("decompress %s: %w", how, err)
	}
	return io.NopCloser(plain), how, nil
}
