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
	"time"

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
	e.transport = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * patience, // to store what was pushed takes its time
		MaxIdleConnsPerHost:   8,
		DisableCompression:    true, // a blob is the bytes of its digest
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       64 << 10,
	}
	e.auth, err = authn.Resolve(ctx, c.options.Keychain, resource)
	return e, err
}

// endpoints are the registry of a repository, after the mirrors if it is docker.io's.
func (c *Client) endpoints(ctx context.Context, repository name.Repository, mirrors []string) (list []*endpoint, err error) {
	host, path := repository.RegistryStr(), repository.RepositoryStr()
	if host == name.DefaultRegistry {
		host = hub
	} else {
		mirrors = nil
	}
	for _, mirror := range mirrors {
		u, err := url.Parse(mirror)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("invalid mirror: %q: it must be a URL of scheme http or https without a path", mirror)
		}
		registry, err := name.NewRegistry(u.Host)
		if err != nil {
			return nil, fmt.Errorf("invalid mirror: %q: %w", mirror, err)
		}
		e, err := c.endpoint(ctx, u.Host, path, registry)
		if err != nil {
			return nil, err
		}
		e.schemes = []string{u.Scheme}
		list = append(list, e)
	}
	e, err := c.endpoint(ctx, host, path, repository)
	return append(list, e), err
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
		stem, key := strings.CutSuffix(file, ".key")
		switch filepath.Ext(file) {
		case ".crt":
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if config.RootCAs == nil {
				if config.RootCAs, err = x509.SystemCertPool(); err != nil {
					return err
				}
			}
			config.RootCAs.AppendCertsFromPEM(data)
		case ".cert":
			stem := strings.TrimSuffix(file, ".cert")
			pair, err := tls.LoadX509KeyPair(file, stem+".key")
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("missing key %s.key for client certificate %s. CA certificates must use the extension .crt", filepath.Base(stem), entry.Name())
			}
			if err != nil {
				return fmt.Errorf("client certificate %s: %w", file, err)
			}
			config.Certificates = append(config.Certificates, pair)
		}
		if _, err := os.Stat(stem + ".cert"); key && errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("missing client certificate %s.cert for key %s", filepath.Base(stem), entry.Name())
		}
	}
	return err
}
