package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"encoding/json"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxManifest = 4 << 20 // bytes, the distribution spec's advice

// Repository is a repository at its registry, or at mirrors of it. It may be used by
// many goroutines.
type Repository struct {
	path      string // such as library/busybox
	mu        sync.Mutex
	endpoints []*endpoint // those that failed are taken from the front
}

// Repository prepares to read from a repository; named as in busybox or HOST/busybox.
func (c *Client) Repository(ctx context.Context, repository string) (*Repository, error) {
	return c.repository(ctx, repository, true, "pull")
}

// Target prepares to write to a repository, and to mount blobs of the other ones, of
// the same registry, by their paths.
func (c *Client) Target(ctx context.Context, repository string, sources ...string) (*Repository, error) {
	r, err := c.repository(ctx, repository, false, "pull,push")
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		r.endpoints[0].scopes = append(r.endpoints[0].scopes, "repository:"+source+":pull")
	}
	return r, nil
}

func (c *Client) repository(ctx context.Context, text string, mirrors bool, actions string) (*Repository, error) {
	parsed, err := name.NewRepository(text)
	if err != nil {
		return nil, err
	}
	list, err := c.endpoints(ctx, parsed, mirrors)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		e.scopes = []string{"repository:" + parsed.RepositoryStr() + ":" + actions}
	}
	return &Repository{path: parsed.RepositoryStr(), endpoints: list}, nil
}

// Path is the repository's name at its registry, with library/ if it is official.
func (r *Repository) Path() string { return r.path }

// Close ends the connections that are kept for the next request.
func (r *Repository) Close() {
	for _, e := range r.endpoints {
		e.client.CloseIdleConnections()
	}
}

// GiveUp leaves the server that was asked last, because what it sends is wrong. It
// reports whether there is another.
func (r *Repository) GiveUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.endpoints) == 1 {
		return false
	}
	r.endpoints = r.endpoints[1:]
	return true
}

// ask sends a request to the first server that answers it. path is below the repository.
func (r *Repository) ask(ctx context.Context, method, path string, header http.Header, ok ...int) (*http.Response, error) {
	for {
		r.mu.Lock()
		e := r.endpoints[0]
		last := len(r.endpoints) == 1
		r.mu.Unlock()
		err := e.reach(ctx)
		if err == nil {
			var response *http.Response
			response, err = e.do(ctx, method, e.url("%s/%s", r.path, path), header, nil, ok...)
			if err == nil {
				return response, nil
			}
		}
		if last || ctx.Err() != nil {
			return nil, err
		}
		r.mu.Lock()
		if r.endpoints[0] == e && len(r.endpoints) > 1 { // nobody else has left it
			r.endpoints = r.endpoints[1:]
		}
		r.mu.Unlock()
	}
}

// Manifest gets a manifest or index, by a tag or a digest. What a digest asks for is
// verified.
func (r *Repository) Manifest(ctx context.Context, reference string) (data []byte, d ocispec.Descriptor, err error) {
	accept := http.Header{"Accept": {
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"}}
	for {
		response, err := r.ask(ctx, http.MethodGet, "manifests/"+reference, accept, http.StatusOK)
		if err != nil {
			return nil, d, err
		}
		data, err = io.ReadAll(io.LimitReader(response.Body, maxManifest+1))
		response.Body.Close()
		if err != nil {
			return nil, d, fmt.Errorf("read manifest %s of %s: %w", reference, r.path, err)
		}
		d = ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data)), MediaType: mediaType(response, data)}
		switch wanted := digest.Digest(reference); {
		case d.Size > maxManifest:
			err = fmt.Errorf("manifest %s of %s is larger than %d bytes", reference, r.path, maxManifest)
		case wanted.Validate() == nil && wanted != d.Digest:
			err = fmt.Errorf("manifest verification failed for digest %s", wanted)
		default:
			return data, d, nil
		}
		if !r.GiveUp() {
			return nil, d, err
		}
	}
}

// mediaType is what the manifest itself says (OCI image-spec, manifest.md), or else
// its server. Of neither, what the manifest looks like.
func mediaType(response *http.Response, data []byte) string {
	var own struct {
		MediaType     string
		SchemaVersion int
		Manifests     []json.RawMessage
	}
	json.Unmarshal(data, &own)
	header, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	switch {
	case own.MediaType != "":
		return own.MediaType
	case strings.HasPrefix(header, "application/vnd."):
		return header
	case own.SchemaVersion == 1:
		return "application/vnd.docker.distribution.manifest.v1+json"
	case own.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

// Tags lists the tags of the repository.
func (r *Repository) Tags(ctx context.Context) (tags []string, err error) {
	for path := "tags/list"; path != ""; {
		response, err := r.ask(ctx, http.MethodGet, path, nil, http.StatusOK)
		if err != nil {
			return nil, err
		}
		var page struct{ Tags []string }
		err = json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&page)
		response.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("read the tags of %s: %w", r.path, err)
		}
		tags = append(tags, page.Tags...)
		path = nextPage(response)
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// nextPage is where a list goes on (RFC 8288: Link: <...?last=x>; rel="next").
func nextPage(response *http.Response) string {
	link, ok := strings.CutPrefix(response.Header.Get("Link"), "<")
	link, _, closed := strings.Cut(link, ">")
	if u, err := url.Parse(link); ok && closed && err == nil && u.RawQuery != "" && u.RawQuery != response.Request.URL.RawQuery {
		return "tags/list?" + u.RawQuery
	}
	return ""
}

// Blob reads a blob from offset on, in one stream: when the connection breaks it goes
// on where it was. It ends after d.Size bytes; that they are the right ones is not
// verified. Of a blob that the registry does not have d.URLs are asked.
func (r *Repository) Blob(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	b := &blob{ctx: ctx, repository: r, descriptor: d, offset: offset}
	err := b.open()
	if err != nil && b.body != nil {
		err = b.again(err)
	}
	return b, err
}

var errStalled = errors.New("nothing has come for a minute")

type blob struct {
	ctx        context.Context
	repository *Repository
	descriptor ocispec.Descriptor
	offset     int64 // of the next byte
	failures   int   // since a byte has come
	body       io.ReadCloser
	stop       context.CancelCauseFunc
	watchdog   *time.Timer // a server that sends nothing is a broken connection, too
	attempt    context.Context
}

func (b *blob) open() error {
	if b.offset >= b.descriptor.Size {
		b.body = http.NoBody
		return nil
	}
	b.attempt, b.stop = context.WithCancelCause(b.ctx)
	header := http.Header{}
	if b.offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.offset, b.descriptor.Size-1))
	}
	response, err := b.repository.ask(b.attempt, http.MethodGet, "blobs/"+string(b.descriptor.Digest), header, http.StatusOK, http.StatusPartialContent)
	if err != nil && b.ctx.Err() == nil {
		response, err = b.elsewhere(header, err)
	}
	if err != nil {
		b.stop(nil)
		return err
	}
	b.watchdog = time.AfterFunc(patience, func() { b.stop(errStalled) })
	b.body = response.Body
	if response.StatusCode == http.StatusOK && b.offset > 0 { // it knows no ranges
		_, err = io.CopyN(io.Discard, response.Body, b.offset)
	}
	return err
}

// elsewhere asks the addresses that a foreign layer names, without credentials.
func (b *blob) elsewhere(header http.Header, err error) (*http.Response, error) {
	e := &endpoint{client: b.repository.endpoints[0].client}
	for _, address := range b.descriptor.URLs {
		if u, perr := url.Parse(address); perr != nil || u.Scheme != "https" && u.Scheme != "http" {
			continue
		}
		response, uerr := e.send(b.attempt, http.MethodGet, address, header, nil)
		if uerr == nil && response.StatusCode/100 == 2 {
			return response, nil
		} else if uerr == nil {
			uerr = errorOf(response)
		}
		err = uerr
	}
	return nil, err
}

func (b *blob) Read(p []byte) (int, error) {
	for {
		if left := b.descriptor.Size - b.offset; left <= 0 {
			return 0, io.EOF
		} else if int64(len(p)) > left {
			p = p[:left]
		}
		n, err := b.body.Read(p)
		b.offset += int64(n)
		if n > 0 {
			b.failures = 0
			b.watchdog.Reset(patience)
			return n, nil
		}
		if err == nil {
			continue
		}
		if err = b.again(err); err != nil {
			return 0, err
		}
	}
}

// again asks for what is missing.
func (b *blob) again(err error) error {
	for {
		b.Close()
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		if err == io.EOF { // before the end
			err = io.ErrUnexpectedEOF
		}
		if errors.Is(err, context.Canceled) {
			err = errStalled
		}
		if b.failures++; b.failures == attempts || !Temporary(err) {
			return fmt.Errorf("blob %s: %w", b.descriptor.Digest, err)
		}
		if err := pause(b.ctx, backoff<<(b.failures-1)); err != nil {
			return err
		}
		if err = b.open(); err == nil {
			return nil
		}
		var status *Error
		if errors.As(err, &status) && status.Status == http.StatusRequestedRangeNotSatisfiable {
			err = fmt.Errorf("it has %d bytes instead of %d", b.offset, b.descriptor.Size)
		}
	}
}

// Close ends the request.
func (b *blob) Close() error {
	if b.watchdog != nil {
		b.watchdog.Stop()
		b.stop(nil)
	}
	return b.body.Close()
}
