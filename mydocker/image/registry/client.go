// Package registry speaks with image registries: the distribution API of OCI and
// Docker, with mirrors, credentials and certificates, and Docker's search.
//
// On the host it owns nothing; it reads certificate directories. A crash leaves nothing.
package registry

import (
	"context"
	"errors"

	"github.com/google/go-containerregistry/pkg/authn"
	api "github.com/moby/moby/api/types/registry"
)

// Options say how registries are reached. The zero value is good for docker.io.
type Options struct {
	Mirrors  []string       // base URLs that are asked, in order, before docker.io
	Insecure []string       // host[:port] or CIDR: HTTPS unchecked, else HTTP; loopback always is
	CertDirs []string       // DIR/HOST[:PORT]/*.crt are authorities, *.cert with *.key are ours
	Keychain authn.Keychain // nil: anonymous
}

// Client reaches any number of registries. It may be used by many goroutines.
type Client struct{ options Options }

// New makes a client; nothing is asked before it is used.
func New(o Options) *Client { return &Client{o} }

// Login checks credentials with a registry ("": docker.io). token, if not empty, is
// what to keep instead of the password.
func (c *Client) Login(ctx context.Context, server, user, password string) (token string, err error) {
	return "", errors.New("login: not there yet")
}

// Search asks docker.io, or the host that term begins with, for repositories.
func (c *Client) Search(ctx context.Context, term string, limit int, filters map[string][]string) ([]api.SearchResult, error) {
	return nil, errors.New("search: not there yet")
}
