// Package registry speaks with image registries: the distribution API of OCI and
// Docker, with mirrors, credentials and certificates, and Docker's search.
//
// On the host it owns nothing; it reads certificate directories. A crash leaves
// nothing.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
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
func New(o Options) *Client {
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	return &Client{o}
}

// hub is where docker.io's images are: the name itself is a web site's.
const hub = "registry-1.docker.io"

// endpoint makes what asks the registry of a repository, or of none, at host. The
// credentials are those that are kept for resource.
func (c *Client) endpoint(ctx context.Context, host, path string, resource authn.Resource) (e *endpoint, err error) {
	e = &endpoint{schemes: []string{"https"}}
	if e.repository, err = name.NewRepository(host + "/" + path); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if host != hub && c.insecure(ctx, host) {
		config.InsecureSkipVerify = true
		e.schemes = []string{"https", "http"}
	}
	for _, dir := range c.options.CertDirs {
		if err := addCertificates(config, filepath.Join(dir, host)); err != nil {
			return nil, err
		}
	}
	e.wire.Transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		TLSClientConfig:     config,
		MaxIdleConnsPerHost: 8,
		DisableCompression:  true, // a blob is the bytes of its digest
		ReadBufferSize:      64 << 10,
		WriteBufferSize:     64 << 10,
	}
	e.auth, err = authn.Resolve(ctx, c.options.Keychain, resource)
	return e, err
}

// open prepares to do something (action) with a repository; at mirrors first if it is
// docker.io's, whose credentials are not for them.
func (c *Client) open(ctx context.Context, repository, action string, mirrors []string) (*Repository, error) {
	parsed, err := name.NewRepository(repository)
	if err != nil {
		return nil, err
	}
	r, host := &Repository{}, parsed.RegistryStr()
	if host == name.DefaultRegistry {
		host = hub
	} else {
		mirrors = nil
	}
	for _, mirror := range mirrors {
		u, err := url.Parse(mirror)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("invalid mirror: %q: no URL with a host", mirror)
		}
		registry, err := name.NewRegistry(u.Host)
		if err != nil {
			return nil, fmt.Errorf("invalid mirror: %q: %w", mirror, err)
		}
		e, err := c.endpoint(ctx, u.Host, parsed.RepositoryStr(), registry)
		if err != nil {
			return nil, err
		}
		e.schemes = []string{u.Scheme}
		r.endpoints = append(r.endpoints, e)
	}
	e, err := c.endpoint(ctx, host, parsed.RepositoryStr(), parsed)
	r.endpoints = append(r.endpoints, e)
	for _, e := range r.endpoints {
		if err == nil {
			e.scopes = []string{e.repository.Scope(action)}
		}
	}
	return r, err
}

// insecure reports whether host is a registry that need not prove who it is. As in
// Docker the addresses of a name count, too, so that localhost is one.
func (c *Client) insecure(ctx context.Context, host string) bool {
	plain := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		plain = h
	}
	plain = strings.Trim(plain, "[]")
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", plain) // of an address: itself
	for _, one := range append([]string{"127.0.0.0/8", "::1/128"}, c.options.Insecure...) {
		network, err := netip.ParsePrefix(one)
		if err != nil && (one == host || one == plain) {
			return true
		}
		for _, address := range addresses {
			if network.Contains(address.Unmap()) {
				return true
			}
		}
	}
	return false
}

// addCertificates reads a directory as Docker's certs.d/HOST, which need not exist.
func addCertificates(config *tls.Config, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		stem := strings.TrimSuffix(file, filepath.Ext(file))
		called := filepath.Base(stem)
		switch filepath.Ext(file) {
		case ".crt":
			data, err := os.ReadFile(file)
			if err == nil && config.RootCAs == nil {
				config.RootCAs, err = x509.SystemCertPool()
			}
			if err != nil {
				return err
			}
			config.RootCAs.AppendCertsFromPEM(data)
		case ".cert":
			pair, err := tls.LoadX509KeyPair(file, stem+".key")
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("missing key %s.key for client certificate %s. CA certificates must use the extension .crt", called, entry.Name())
			}
			if err != nil {
				return fmt.Errorf("client certificate %s: %w", file, err)
			}
			config.Certificates = append(config.Certificates, pair)
		case ".key":
			if _, err := os.Stat(stem + ".cert"); errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("missing client certificate %s.cert for key %s", called, entry.Name())
			}
		}
	}
	return err
}
