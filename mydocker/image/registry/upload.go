package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
)

// Reach makes sure that the registry is there.
func (r *Repository) Reach(ctx context.Context) error { return r.endpoints[0].reach(ctx) }

// Has reports whether the repository has a blob.
func (r *Repository) Has(ctx context.Context, d digest.Digest) (bool, error) {
	response, err := r.ask(ctx, http.MethodHead, "blobs/"+string(d), nil, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	drain(response)
	return response.StatusCode == http.StatusOK, nil
}

// Mount makes a blob of another repository of the registry one of this, too, and
// reports whether that was possible: a registry need not be able to.
func (r *Repository) Mount(ctx context.Context, d digest.Digest, from string) bool {
	query := url.Values{"mount": {string(d)}, "from": {from}}
	response, err := r.ask(ctx, http.MethodPost, "blobs/uploads/?"+query.Encode(), nil, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return false
	}
	drain(response)
	if response.StatusCode == http.StatusCreated {
		return true
	}
	// Instead of the mount an upload has begun, which would be kept for a week.
	if at, err := location(response); err == nil {
		if response, err := r.endpoints[0].do(ctx, http.MethodDelete, at, nil, nil, http.StatusNoContent); err == nil {
			drain(response)
		}
	}
	return false
}

// Upload sends a blob: all of it again when the connection breaks.
func (r *Repository) Upload(ctx context.Context, d digest.Digest, body Body) error {
	for attempt := 1; ; attempt++ {
		err := r.uploadOnce(ctx, d, body)
		if err == nil || attempt == attempts || !Temporary(err) {
			return err
		}
		if err := pause(ctx, backoff<<(attempt-1)); err != nil {
			return err
		}
	}
}

// uploadOnce opens an upload, sends all in one piece, and closes it by the digest
// (distribution spec, end-4a, 5 and 6), which all registries know.
func (r *Repository) uploadOnce(ctx context.Context, d digest.Digest, body Body) error {
	response, err := r.ask(ctx, http.MethodPost, "blobs/uploads/", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	drain(response)
	at, err := location(response)
	if err != nil {
		return err
	}
	e := r.endpoints[0]
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	response, err = e.do(ctx, http.MethodPatch, at, header, &body, http.StatusAccepted, http.StatusNoContent, http.StatusCreated)
	if err != nil {
		return err
	}
	drain(response)
	if at, err = location(response); err != nil {
		return err
	}
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	query := u.Query()
	query.Set("digest", string(d))
	u.RawQuery = query.Encode()
	response, err = e.do(ctx, http.MethodPut, u.String(), header, nil, http.StatusCreated, http.StatusNoContent)
	if err == nil {
		drain(response)
	}
	return err
}

// location is where an upload goes on.
func location(response *http.Response) (string, error) {
	u, err := response.Location()
	if errors.Is(err, http.ErrNoLocation) {
		return "", fmt.Errorf("the registry says not where the upload goes on")
	}
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// PutManifest stores a manifest under a tag or its digest.
func (r *Repository) PutManifest(ctx context.Context, reference, mediaType string, body Body) error {
	e := r.endpoints[0]
	header := http.Header{"Content-Type": {mediaType}}
	response, err := e.do(ctx, http.MethodPut, e.url("%s/manifests/%s", r.path, reference), header, &body, http.StatusCreated, http.StatusOK)
	if err == nil {
		drain(response)
	}
	return err
}
