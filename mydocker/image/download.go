package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image/registry"
)

// download stores a blob and passes it on, while it comes, to use, which reads it to
// its end. What there is of the blob already is not downloaded again; if it then turns
// out to be wrong it may be that, so once more all is.
func (p *puller) download(ctx context.Context, d ocispec.Descriptor, id string, use func(io.Reader) error) error {
	staging := filepath.Join(p.blobs(), "new-"+d.Digest.Encoded())
	lock, err := lockBlob(ctx, staging)
	if err != nil {
		return err
	}
	defer lock.Release()
	if file, err := os.Open(p.blob(d.Digest)); err == nil { // somebody else has brought it
		defer file.Close()
		os.Remove(staging)
		if info, err := file.Stat(); err != nil || info.Size() != d.Size { // other tools believe the manifest
			return errors.Join(err, fmt.Errorf("%w %s: it has not the size of %d bytes", errVerify, d.Digest, d.Size))
		}
		return use(p.metered(ctx, file, id, "Extracting", d.Size))
	}
	for {
		resumed, err := p.receive(ctx, d, id, lock.File(), use)
		if err == nil {
			return os.Rename(staging, p.blob(d.Digest))
		}
		if !errors.Is(err, errVerify) {
			if ctx.Err() == nil && !registry.Temporary(err) {
				os.Remove(staging)
			}
			return err
		}
		if terr := lock.File().Truncate(0); terr != nil || !resumed && !p.remote.GiveUp() {
			os.Remove(staging)
			return errors.Join(terr, err)
		}
	}
}

// lockBlob waits for whoever else downloads a blob.
func lockBlob(ctx context.Context, staging string) (*disk.Lock, error) {
	for {
		lock, err := disk.TryAcquire(staging, disk.Exclusive)
		if !errors.Is(err, disk.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errVerify = errors.New("filesystem layer verification failed for digest")

// receive appends to file what is missing in it, in one stream with use and the hash
// that is compared before the stream ends.
func (p *puller) receive(ctx context.Context, d ocispec.Descriptor, id string, file *os.File, use func(io.Reader) error) (resumed bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	offset := min(info.Size(), d.Size)
	_, err = file.Seek(offset, io.SeekStart)
	if err = errors.Join(err, file.Truncate(offset)); err != nil {
		return false, err
	}
	body := p.remote.Blob(ctx, d, offset)
	defer body.Close()
	sum := digest.SHA256.Digester()
	source := &source{done: func() error {
		p.tell(id, "Verifying Checksum", 0, 0)
		if sum.Digest() != d.Digest {
			return fmt.Errorf("%w %s", errVerify, d.Digest)
		}
		p.tell(id, "Download complete", 0, 0)
		p.tell(id, "Extracting", d.Size, d.Size)
		return nil
	}}
	whole := io.MultiReader(io.NewSectionReader(file, 0, offset), io.TeeReader(body, file))
	source.Reader = io.TeeReader(p.metered(ctx, whole, id, "Downloading", d.Size), sum.Hash())
	uerr := use(source)
	if _, err := io.Copy(io.Discard, source); err != nil { // what use has left; and it knows less of why
		return offset > 0, err
	}
	return offset > 0, uerr
}

// source keeps the error at which it ended, for all later reads.
type source struct {
	io.Reader
	done func() error // is called at the end; its error replaces it
	err  error
}

func (s *source) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	n, s.err = s.Reader.Read(p)
	if s.err == io.EOF {
		s.err = cmp.Or(s.done(), io.EOF)
	}
	return n, s.err
}
