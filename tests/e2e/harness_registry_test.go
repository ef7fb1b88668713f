package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// registry is Debian's docker-registry, on a unix socket of its own, and in front
// of it a server on loopback that counts requests and misbehaves when told to.
type registry struct {
	t       *testing.T
	address string // HOST:PORT of the front
	direct  *http.Client
	proxy   *httputil.ReverseProxy

	mutex    sync.Mutex
	requests []string // those of clients: GET /v2/app/manifests/v1
	ranges   []string // and their Range headers, "" without
	wrong    func(http.ResponseWriter, *http.Request, http.Handler)
}

// options of a registry; the zero value is plain HTTP on a port of 127.0.0.1, open to all.
type registryOptions struct {
	place *place // where it listens; nil: the host
	host  string // the address; "": 127.0.0.1
	tls   *tls.Config
	auth  string // "": none, "basic" or "token"; the user is ann, her password "s3cret:x"
}

const registryUser, registryPassword = "ann", "s3cret:x"

// need skips a test without a program of another package; `make test` installs
// those that are not engines themselves.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("no " + p + " here")
		}
	}
	if slices.Contains(programs, "docker") && exec.Command("docker", "version").Run() != nil {
		t.Skip("no docker daemon answers")
	}
}

func newRegistry(t *testing.T) *registry { return registryOptions{}.start(t) }

func (o registryOptions) start(t *testing.T) *registry {
	t.Helper()
	need(t, "docker-registry")
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-registry-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s/data}, delete: {enabled: true}, maintenance: {uploadpurging: {enabled: false}}}\nhttp: {net: unix, addr: %s/socket, relativeurls: true}\n", dir, dir)
	if err := os.WriteFile(dir+"/config.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said output
	cmd := exec.Command("docker-registry", "serve", dir+"/config.yml")
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", dir+"/socket")
	}}
	t.Cleanup(transport.CloseIdleConnections)
	r := &registry{t: t, direct: &http.Client{Transport: transport}}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		resp, err := r.direct.Get("http://registry/v2/")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("docker-registry does not answer: %s", said.String())
		}
	}
	quiet := log.New(io.Discard, "", 0)
	r.proxy = &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, ErrorLog: quiet, Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = "http", "registry"
		p.Out.Header.Del("Authorization") // which docker-registry is not asked to check
	}}
	if o.host == "" {
		o.host = "127.0.0.1"
	}
	var listener net.Listener
	listen := func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(o.host, "0"))
		return err
	}
	if o.place != nil {
		err = o.place.do(listen)
	} else {
		err = listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	server := &http.Server{Handler: o.guard(r), ErrorLog: quiet, TLSConfig: o.tls}
	if o.tls != nil {
		go server.ServeTLS(listener, "", "")
	} else {
		go server.Serve(listener)
	}
	t.Cleanup(func() { server.Close() })
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mutex.Lock()
	r.requests = append(r.requests, q.Method+" "+q.URL.Path)
	r.ranges = append(r.ranges, q.Header.Get("Range"))
	wrong := r.wrong
	r.mutex.Unlock()
	if wrong != nil {
		wrong(w, q, r.proxy)
		return
	}
	r.proxy.ServeHTTP(w, q)
}

// guard asks for credentials, as RFC 7617 or the distribution's token
// specification have it.
func (o registryOptions) guard(next http.Handler) http.Handler {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(registryUser+":"+registryPassword))
	refuse := func(w http.ResponseWriter, challenge string) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		authorization := q.Header.Get("Authorization")
		scheme := "http"
		if o.tls != nil {
			scheme = "https"
		}
		switch {
		case o.auth == "":
			next.ServeHTTP(w, q)
		case o.auth == "basic" && authorization != basic:
			refuse(w, `Basic realm="test"`)
		case o.auth == "token" && q.URL.Path == "/token": // for GET only: OAuth2's POST is optional
			if authorization != basic || q.Method != http.MethodGet {
				refuse(w, `Basic realm="test"`)
				return
			}
			json.NewEncoder(w).Encode(map[string]any{"token": "for " + strings.Join(q.URL.Query()["scope"], " "), "expires_in": 300})
		case o.auth == "token":
			repository := strings.TrimPrefix(q.URL.Path, "/v2/")
			for _, part := range []string{"/manifests/", "/blobs/", "/tags/"} {
				repository, _, _ = strings.Cut(repository, part)
			}
			action, scope := "pull", ""
			if q.Method != http.MethodGet && q.Method != http.MethodHead {
				action = "push"
			}
			if repository != "" {
				scope = fmt.Sprintf(`,scope="repository:%s:%s"`, repository, map[string]string{"pull": "pull", "push": "pull,push"}[action])
			}
			granted, ok := strings.CutPrefix(authorization, "Bearer for ")
			if !ok || repository != "" && !(strings.Contains(granted, "repository:"+repository+":") && strings.Contains(granted, action)) {
				refuse(w, fmt.Sprintf(`Bearer realm="%s://%s/token",service="test"%s`, scheme, q.Host, scope))
				return
			}
			next.ServeHTTP(w, q)
		default:
			next.ServeHTTP(w, q)
		}
	})
}

// misbehaves answers requests by f from now on; nil: as it should.
func (r *registry) misbehaves(f func(w http.ResponseWriter, q *http.Request, next http.Handler)) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.wrong = f
}

// count tells how many requests began with a prefix: "GET /v2/app/blobs/".
func (r *registry) count(prefix string) (n int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, q := range r.requests {
		if strings.HasPrefix(q, prefix) {
			n++
		}
	}
	return n
}

// forget begins to count again.
func (r *registry) forget() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.requests, r.ranges = nil, nil
}

// send makes a request to docker-registry itself, which must succeed.
func (r *registry) send(method, path, mediaType string, body []byte) *http.Response {
	r.t.Helper()
	target, err := url.Parse("http://registry")
	if err == nil {
		target, err = target.Parse(path)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	q, err := http.NewRequest(method, target.String(), bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if mediaType != "" {
		q.Header.Set("Content-Type", mediaType)
		q.Header.Set("Accept", mediaType)
	}
	resp, err := r.direct.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		r.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp
}

// get is a manifest as it is at the registry.
func (r *registry) get(repository, tag, mediaType string) (body []byte, digest string) {
	r.t.Helper()
	resp := r.send("GET", "/v2/"+repository+"/manifests/"+tag, mediaType, nil)
	body, _ = io.ReadAll(resp.Body)
	return body, digestOf(body)
}

// blob puts a blob into a repository, and gives its descriptor.
func (r *registry) blob(repository, mediaType string, data []byte) map[string]any {
	r.t.Helper()
	where := r.send("POST", "/v2/"+repository+"/blobs/uploads/", "", nil).Header.Get("Location")
	separator := "?"
	if strings.Contains(where, "?") {
		separator = "&"
	}
	r.send("PUT", where+separator+"digest="+digestOf(data), "application/octet-stream", data)
	return map[string]any{"mediaType": mediaType, "digest": digestOf(data), "size": len(data)}
}

// manifest puts a manifest or index under a tag, and gives its descriptor.
func (r *registry) manifest(repository, tag, mediaType string, content map[string]any) map[string]any {
	r.t.Helper()
	content = maps.Clone(content)
	content["schemaVersion"], content["mediaType"] = 2, mediaType
	body := encode(r.t, content)
	if tag == "" {
		tag = digestOf(body)
	}
	r.send("PUT", "/v2/"+repository+"/manifests/"+tag, mediaType, body)
	return map[string]any{"mediaType": mediaType, "digest": digestOf(body), "size": len(body)}
}

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar"
)

// seed puts an image as docker push would: gzip and Docker's media types. It gives
// its descriptor.
func (r *registry) seed(repository, tag string, layers ...[]byte) map[string]any {
	r.t.Helper()
	return r.seedAs(repository, tag, imageConfig(r.t, layers...), dockerManifest, dockerConfig, dockerLayer, "gzip", layers...)
}

// seedOCI puts an image as buildkit would, its layers compressed by gzip, zstd or
// not at all (tar).
func (r *registry) seedOCI(repository, tag, compression string, layers ...[]byte) map[string]any {
	r.t.Helper()
	mediaType := ociLayer
	if compression != "tar" {
		mediaType += "+" + compression
	}
	return r.seedAs(repository, tag, imageConfig(r.t, layers...), ociManifest, ociConfig, mediaType, compression, layers...)
}

func (r *registry) seedAs(repository, tag string, config []byte, manifestType, configType, layerType, compression string, layers ...[]byte) map[string]any {
	r.t.Helper()
	var descriptors []any
	for _, l := range layers {
		descriptors = append(descriptors, r.blob(repository, layerType, packed(r.t, l, compression)))
	}
	return r.manifest(repository, tag, manifestType, map[string]any{"config": r.blob(repository, configType, config), "layers": descriptors})
}

// packed is a layer as a registry keeps it.
func packed(t *testing.T, layer []byte, compression string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch compression {
	case "gzip":
		w, _ = gzip.NewWriterLevel(&out, gzip.BestSpeed)
	case "zstd":
		w, _ = zstd.NewWriter(&out)
	default:
		return layer
	}
	w.Write(layer)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cutter cuts the connection after so many bytes of the body.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	c.ResponseWriter.Write(p[:c.left])
	http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// slow passes a body on in pieces, until it is let go.
type slow struct {
	http.ResponseWriter
	quick chan struct{}
}

func (s *slow) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, 16<<10) {
		select {
		case <-s.quick:
		case <-time.After(20 * time.Millisecond):
		}
		k, err := s.ResponseWriter.Write(piece)
		if n += k; err != nil {
			return n, err
		}
		http.NewResponseController(s.ResponseWriter).Flush()
	}
	return n, nil
}

func (s *slow) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// slowBody is slow for what comes.
type slowBody struct {
	io.ReadCloser
	quick chan struct{}
}

func (s *slowBody) Read(p []byte) (int, error) {
	select {
	case <-s.quick:
	case <-time.After(20 * time.Millisecond):
	}
	return s.ReadCloser.Read(p[:min(len(p), 32<<10)])
}

// authority is a certificate authority of one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mydocker tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.pem, _, a.key = a.sign(template, template, nil)
	block, _ := pem.Decode(a.pem)
	var err error
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign gives certificate and key in PEM; a nil key: signed by itself.
func (a *authority) sign(template, parent *x509.Certificate, with *ecdsa.PrivateKey) (cert, key []byte, private *ecdsa.PrivateKey) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if with == nil {
		with = private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), with)
	if err != nil {
		a.t.Fatal(err)
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}), private
}

// issue gives a certificate for a server's address or, without one, for a client.
func (a *authority) issue(address string) (cert, key []byte) {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip := net.ParseIP(address); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	cert, key, _ = a.sign(template, a.cert, a.key)
	return cert, key
}

// server is the TLS configuration of a server at an address.
func (a *authority) server(address string) *tls.Config {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.issue(address))
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// client gives the engine a client's configuration directory, empty at first.
func (h *host) client() (directory string) {
	h.t.Helper()
	directory = h.dir("docker")
	h.env = append(h.env, "DOCKER_CONFIG="+directory)
	return directory
}

// configure writes a daemon.json for the engine.
func (h *host) configure(text string) {
	h.t.Helper()
	path := h.dir("config") + "/daemon.json"
	h.write(path, text)
	h.env = append(h.env, "MYDOCKER_CONFIG="+path)
}
