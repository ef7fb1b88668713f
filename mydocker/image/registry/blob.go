package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blob reads a blob from offset on, in one stream: when the connection breaks it goes
// on where it was. It ends after d.Size bytes; that they are the right ones is not
// verified.
func (r *Repository) Blob(ctx context.Context, d ocispec.Descriptor, offset int64) io.ReadCloser {
	return &blob{Repository: r, ctx: ctx, descriptor: d, offset: offset}
}

type blob struct {
	*Repository
	ctx        context.Context
	descriptor ocispec.Descriptor
	offset     int64     // of the next byte
	failures   int       // since a byte has come
	from       *endpoint // nil: it is to be asked for
	body       io.ReadCloser
}

func (b *blob) open(e *endpoint) error {
	path := "/v2/" + e.repository.RepositoryStr() + "/blobs/" + string(b.descriptor.Digest)
	request, err := http.NewRequestWithContext(b.ctx, http.MethodGet, e.schemes[0]+"://"+e.repository.RegistryStr()+path, nil)
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
	err = transport.CheckError(response, http.StatusOK, http.StatusPartialContent)
	if err == nil && response.StatusCode == http.StatusOK { // perhaps it knows no ranges
		_, err = io.CopyN(io.Discard, response.Body, b.offset)
	}
	if err != nil {
		response.Body.Close()
		return err
	}
	b.from, b.body = e, response.Body
	return nil
}

func (b *blob) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil {
		switch left := b.descriptor.Size - b.offset; {
		case left <= 0:
			return 0, io.EOF
		case b.from == nil:
			err = b.ask(b.ctx, b.open)
		default:
			if n, err = b.body.Read(p[:min(int64(len(p)), left)]); n > 0 {
				b.offset, b.failures = b.offset+int64(n), 0
				return n, nil
			}
			if err == io.EOF { // before the end
				err = io.ErrUnexpectedEOF
			}
			if from := b.from; err != nil {
				b.Close()
				err = b.again(b.ctx, from, &b.failures, err)
			}
		}
	}
	if b.offset > 0 {
		err = fmt.Errorf("blob %s, after %d of %d bytes: %w", b.descriptor.Digest, b.offset, b.descriptor.Size, err)
	}
	return 0, err
}

// Close ends the request.
func (b *blob) Close() error {
	if b.from == nil {
		return nil
	}
	b.from = nil
	return b.body.Close()
}
