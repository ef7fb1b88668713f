package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blob reads a blob from offset on, in one stream: when the connection breaks it goes
// on where it was. It ends after d.Size bytes; that they are the right ones is not
// verified.
func (r *Repository) Blob(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	b := &blob{ctx: ctx, repository: r, descriptor: d, offset: offset, body: http.NoBody}
	if offset >= d.Size {
		return b, nil
	}
	return b, b.open()
}

var errStalled = errors.New("nothing has come for a minute")

type blob struct {
	ctx        context.Context
	repository *Repository
	descriptor ocispec.Descriptor
	offset     int64 // of the next byte
	failures   int   // since a byte has come
	body       io.ReadCloser
	stop       context.CancelFunc
	watchdog   *time.Timer // a server that sends nothing is a broken connection, too
}

func (b *blob) open() error {
	ctx, stop := context.WithCancel(b.ctx)
	b.stop, b.watchdog = stop, time.AfterFunc(5*patience, stop)
	return b.repository.ask(ctx, func(repository name.Repository, _ ...remote.Option) error {
		e := b.repository.current()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url(repository.RepositoryStr()+"/blobs/"+string(b.descriptor.Digest)), nil)
		if err != nil {
			return err
		}
		if b.offset > 0 {
			request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.offset, b.descriptor.Size-1))
		}
		response, err := (&http.Client{Transport: e}).Do(request)
		if err != nil {
			return err
		}
		b.body = response.Body
		if err := transport.CheckError(response, http.StatusOK, http.StatusPartialContent); err != nil {
			response.Body.Close()
			return err
		}
		b.watchdog.Reset(patience)
		if response.StatusCode == http.StatusOK { // perhaps it knows no ranges
			_, err = io.CopyN(io.Discard, response.Body, b.offset)
		}
		return err
	})
}

func (b *blob) Read(p []byte) (int, error) {
	for {
		left := b.descriptor.Size - b.offset
		if left <= 0 {
			return 0, io.EOF
		}
		n, err := b.body.Read(p[:min(int64(len(p)), left)])
		if n > 0 {
			b.offset += int64(n)
			b.failures = 0
			b.watchdog.Reset(patience)
			return n, nil
		}
		if err != nil {
			err = b.again(err)
		}
		if err != nil {
			return 0, err
		}
	}
}

// again asks for what is missing.
func (b *blob) again(err error) error {
	for err != nil {
		b.Close()
		switch {
		case b.ctx.Err() != nil:
			return b.ctx.Err()
		case err == io.EOF: // before the end
			err = io.ErrUnexpectedEOF
		case errors.Is(err, context.Canceled):
			err = errStalled
		}
		if b.failures++; b.failures < attempts && Temporary(err) {
		} else if b.repository.GiveUp() {
			b.failures = 1
		} else {
			return fmt.Errorf("blob %s, after %d of %d bytes: %w", b.descriptor.Digest, b.offset, b.descriptor.Size, err)
		}
		if err := pause(b.ctx, backoff<<(b.failures-1)); err != nil {
			return err
		}
		err = b.open()
	}
	return nil
}

// Close ends the request.
func (b *blob) Close() error {
	if b.stop != nil {
		b.stop()
		b.watchdog.Stop()
	}
	return b.body.Close()
}
