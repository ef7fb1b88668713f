package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	attempts    = 6                      // of what fails in a way that goes away: the first and five more
	backoff     = 100 * time.Millisecond // before the second attempt; doubled for each further one
	maxManifest = 4 << 20                // bytes; the distribution spec's advice
)

// Repository is a repository at its registry, or at mirrors of it. It may be used by
// many goroutines.
type Repository struct {
	mu        sync.Mutex
	endpoints []*endpoint // those that failed are taken from the front
}

// Repository prepares to read from a repository; named as in busybox or HOST/busybox.
func (c *Client) Repository(ctx context.Context, repository string) (*Repository, error) {
	return c.open(ctx, repository, transport.PullScope, c.options.Mirrors)
}

// Target prepares to write to a repository, and to mount blobs of other ones of the
// same registry, given by their paths.
func (c *Client) Target(ctx context.Context, repository string, sources ...string) (*Repository, error) {
	r, err := c.open(ctx, repository, transport.PushScope, nil)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		r.endpoints[0].scopes = append(r.endpoints[0].scopes, "repository:"+source+":"+transport.PullScope)
	}
	return r, r.ask(ctx, func(*endpoint) error { return nil })
}

// Path is the repository's name at its registry, with library/ if it is official.
func (r *Repository) Path() string { return r.current().repository.RepositoryStr() }

// Close ends the connections that are kept for the next request.
func (r *Repository) Close() {
	for _, e := range r.endpoints {
		e.CloseIdleConnections()
	}
}

func (r *Repository) current() *endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.endpoints[0]
}

// GiveUp leaves the server that is asked first, because what it sends is wrong. It
// reports whether there is another.
func (r *Repository) GiveUp() bool { return r.leave(r.current()) }

func (r *Repository) leave(e *endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.endpoints[0] == e && len(r.endpoints) > 1 {
		e.CloseIdleConnections()
		r.endpoints = r.endpoints[1:]
		return true
	}
	return r.endpoints[0] != e // somebody else has left it
}

// ask does something with the first server that lets it.
func (r *Repository) ask(ctx context.Context, do func(*endpoint) error) error {
	for failures := 0; ; {
		e := r.current()
		err := e.reach(ctx)
		if err == nil {
			err = do(e)
		}
		if err == nil {
			return nil
		}
		if err := r.again(ctx, e, &failures, err); err != nil {
			return words(err)
		}
	}
}

// again waits until it makes sense to ask once more, perhaps another server than e,
// which has failed that often in a row, now by err. If it never will it gives err back.
func (r *Repository) again(ctx context.Context, e *endpoint, failures *int, err error) error {
	wait := backoff << *failures
	if later := e.later.Load(); later != nil {
		wait = max(wait, time.Until(*later))
	}
	switch *failures++; {
	case ctx.Err() != nil:
		return err
	case *failures < attempts && wait <= patience && Temporary(err):
	case r.leave(e):
		*failures, wait = 0, 0
	default:
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// library is do by functions of the library, which go through the endpoint as it is:
// what FromToken gives is taken to be a transport that needs nothing around it.
func (r *Repository) library(ctx context.Context, do func(name.Repository, ...remote.Option) error) error {
	return r.ask(ctx, func(e *endpoint) error {
		through, _ := transport.FromToken(e.repository.Registry, authn.Anonymous, brief{e}, &transport.Challenge{}, nil) // fails for bearer only
		return do(e.repository, remote.WithContext(ctx), remote.WithTransport(through), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	})
}

// brief gives no answer that is larger than a manifest may be.
type brief struct{ *endpoint }

func (b brief) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.endpoint.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxManifest)
	}
	return response, err
}

// Manifest gets a manifest or index, by a tag or a digest. What a digest asks for is
// verified.
func (r *Repository) Manifest(ctx context.Context, reference string) (data []byte, d ocispec.Descriptor, err error) {
	err = r.library(ctx, func(repository name.Repository, options ...remote.Option) error {
		var ref name.Reference = repository.Tag(reference)
		if digest.Digest(reference).Validate() == nil {
			ref = repository.Digest(reference)
		}
		found, err := remote.Get(ref, options...)
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return fmt.Errorf("manifest %s is larger than %d bytes", ref, tooLarge.Limit)
		}
		if err != nil {
			return err
		}
		data = found.Manifest
		d = ocispec.Descriptor{MediaType: string(found.MediaType), Digest: digest.FromBytes(data), Size: found.Size}
		// The manifest's own word counts before its server's (OCI image-spec, manifest.md).
		var own struct{ MediaType string }
		if json.Unmarshal(data, &own); own.MediaType != "" {
			d.MediaType = own.MediaType
		}
		return nil
	})
	return data, d, err
}

// Tags lists the tags of the repository.
func (r *Repository) Tags(ctx context.Context) (tags []string, err error) {
	err = r.library(ctx, func(repository name.Repository, options ...remote.Option) error {
		tags, err = remote.List(repository, options...)
		return err
	})
	slices.Sort(tags)
	return slices.Compact(tags), err
}

// Upload is a blob to send. Open, of its content, may be called more than once.
type Upload struct {
	ocispec.Descriptor
	Open func() (io.ReadCloser, error)
}

// Send stores a blob, unless it is there (existed) or can be mounted from one of the
// sources, repositories of the same registry.
func (r *Repository) Send(ctx context.Context, u Upload, sources []string) (existed bool, mounted string, err error) {
	err = r.library(ctx, func(repository name.Repository, options ...remote.Option) error {
		there, err := remote.Layer(repository.Digest(string(u.Digest)), options...)
		if err != nil {
			return err
		}
		if existed, err = partial.Exists(there); existed || err != nil {
			return err
		}
		sent := false
		open := u.Open
		u.Open = func() (io.ReadCloser, error) { sent = true; return open() }
		layer, err := partial.CompressedToLayer(upload{u})
		if err != nil {
			return err
		}
		if len(sources) > 0 {
			mounted = sources[0]
			layer = &remote.MountableLayer{Layer: layer, Reference: repository.Registry.Repo(mounted).Digest(string(u.Digest))}
		}
		err = remote.WriteLayer(repository, layer, options...)
		if sent {
			mounted = ""
		}
		return err
	})
	return existed, mounted, err
}

// upload is an Upload as the library wants to see it.
type upload struct{ Upload }

func (u upload) Digest() (v1.Hash, error)           { return v1.NewHash(string(u.Descriptor.Digest)) }
func (u upload) Compressed() (io.ReadCloser, error) { return u.Open() }
func (u upload) Size() (int64, error)               { return u.Descriptor.Size, nil }
func (u upload) MediaType() (types.MediaType, error) {
	return types.MediaType(u.Descriptor.MediaType), nil
}

// PutManifest stores a manifest under a tag.
func (r *Repository) PutManifest(ctx context.Context, tag, mediaType string, data []byte) error {
	return r.library(ctx, func(repository name.Repository, options ...remote.Option) error {
		return remote.Put(repository.Tag(tag), &remote.Descriptor{Manifest: data, Descriptor: v1.Descriptor{MediaType: types.MediaType(mediaType)}}, options...)
	})
}
