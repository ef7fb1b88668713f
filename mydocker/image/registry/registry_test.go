package registry

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
)

const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`

// serve starts a registry with the image x:1 (and library/x:1); guard may answer first.
func serve(t *testing.T, tls bool, guard func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	inner := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	for _, repository := range []string{"x", "library/x"} {
		q := httptest.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/1", strings.NewReader(manifest))
		q.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		inner.ServeHTTP(httptest.NewRecorder(), q)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if guard == nil || guard(w, r) {
			inner.ServeHTTP(w, r)
		}
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func host(s *httptest.Server) string { _, host, _ := strings.Cut(s.URL, "://"); return host }

func get(t *testing.T, o Options, repository string) (digest.Digest, error) {
	t.Helper()
	r, err := New(o).Repository(t.Context(), repository)
	if err != nil {
		return "", err
	}
	defer r.Close()
	_, d, err := r.Manifest(t.Context(), "1")
	return d.Digest, err
}

// keys is a keychain of one pair for all, and a note of who asked.
type keys struct{ user, password string }

func (k keys) Resolve(authn.Resource) (authn.Authenticator, error) {
	if k.user == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: k.user, Password: k.password}), nil
}

func refuse(w http.ResponseWriter, challenge, body string) bool {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, body)
	return false
}

func basic(w http.ResponseWriter, r *http.Request) bool {
	if user, password, _ := r.BasicAuth(); user == "joe" && password == "secret" {
		return true
	}
	return refuse(w, `Basic realm="here"`, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}`)
}

func TestBasic(t *testing.T) {
	s := serve(t, false, basic)
	if _, err := get(t, Options{Keychain: keys{"joe", "secret"}}, host(s)+"/x"); err != nil {
		t.Error(err)
	}
	for want, k := range map[string]keys{"unauthorized: authentication required": {"joe", "wrong"}, "no basic auth credentials": {}} {
		if _, err := get(t, Options{Keychain: k}, host(s)+"/x"); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v: %v", k, err)
		}
	}
	if _, err := New(Options{}).Login(t.Context(), s.URL, "joe", "secret"); err != nil {
		t.Error(err)
	}
	want := "login attempt to " + s.URL + "/v2/ failed with status: 401 Unauthorized"
	if _, err := New(Options{}).Login(t.Context(), host(s), "joe", "wrong"); err == nil || err.Error() != want {
		t.Error(err)
	}
}

// TestToken: the token server is another one than the registry, tokens expire, and
// repositories that are not ours are denied.
func TestToken(t *testing.T) {
	given := 0
	var scopes []string
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if ok && (user != "joe" || password != "secret") {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"details":"incorrect username or password"}`)
			return
		}
		given++
		scopes = append(scopes, r.URL.Query()["scope"]...)
		fmt.Fprintf(w, `{"token":"%s-%d","refresh_token":"again"}`, user, given)
	}))
	defer tokens.Close()
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) bool {
		challenge := `Bearer realm="` + tokens.URL + `/token",service="it",scope="repository:x:pull,push"`
		switch token := r.Header.Get("Authorization"); {
		case r.URL.Path == "/v2/" || token == "" || strings.HasSuffix(token, "-1"): // the first has expired
			return refuse(w, challenge, `{"errors":[{"code":"UNAUTHORIZED"}]}`)
		case strings.HasPrefix(token, "Bearer -"):
			return refuse(w, challenge+`,error="insufficient_scope"`, `{"errors":[{"code":"UNAUTHORIZED"}]}`)
		}
		return true
	})
	if _, err := get(t, Options{Keychain: keys{"joe", "secret"}}, host(s)+"/x"); err != nil || given != 2 || scopes[0] != "repository:x:pull" {
		t.Errorf("%v, %d tokens, %v", err, given, scopes)
	}
	_, err := get(t, Options{}, host(s)+"/x")
	var status *Error
	if !errors.As(err, &status) || status.Code != "DENIED" || err.Error() != "denied: requested access to the resource is denied" {
		t.Error(err)
	}
	_, err = get(t, Options{Keychain: keys{"joe", "wrong"}}, host(s)+"/x")
	if want := `Get "` + s.URL + `/v2/x/manifests/1": unauthorized: incorrect username or password`; err == nil || err.Error() != want {
		t.Error(err)
	}
	if token, err := New(Options{}).Login(t.Context(), host(s), "joe", "secret"); err != nil || token != "again" {
		t.Error(token, err)
	}
	want := `Get "` + s.URL + `/v2/": unauthorized: incorrect username or password`
	if _, err := New(Options{}).Login(t.Context(), host(s), "joe", "wrong"); err == nil || err.Error() != want {
		t.Error(err)
	}
}

// TestMirrors: in their order, and what fails or lies is left.
func TestMirrors(t *testing.T) {
	down := serve(t, false, nil)
	down.Close()
	asked := 0
	ill := serve(t, false, func(w http.ResponseWriter, r *http.Request) bool { asked++; w.WriteHeader(404); return false })
	good := serve(t, false, nil)
	unused := serve(t, false, func(http.ResponseWriter, *http.Request) bool { t.Error("asked without need"); return true })
	o := Options{Mirrors: []string{down.URL, ill.URL, good.URL + "/", unused.URL}}
	if d, err := get(t, o, "x"); err != nil || d != digest.FromString(manifest) || asked == 0 {
		t.Error(d, err, asked)
	}
	for _, mirror := range []string{"example.com", "http://", "http://a b"} {
		if _, err := get(t, Options{Mirrors: []string{mirror}}, "x"); err == nil || !strings.Contains(err.Error(), "invalid mirror") {
			t.Errorf("%s: %v", mirror, err)
		}
	}
}

// TestCertificates: loopback is insecure, so the check is made with what would be set.
func TestCertificates(t *testing.T) {
	s := serve(t, true, nil)
	if _, err := get(t, Options{}, host(s)+"/x"); err != nil {
		t.Errorf("insecure: %v", err)
	}
	dir := t.TempDir()
	place := func(name string, data []byte) {
		t.Helper()
		os.MkdirAll(filepath.Join(dir, host(s)), 0o700)
		if err := os.WriteFile(filepath.Join(dir, host(s), name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() error {
		r, err := New(Options{CertDirs: []string{t.TempDir(), dir}}).Repository(t.Context(), host(s)+"/x")
		if err != nil {
			return err
		}
		r.endpoints[0].TLSClientConfig.InsecureSkipVerify = false
		r.endpoints[0].schemes = []string{"https"}
		_, _, err = r.Manifest(t.Context(), "1")
		return err
	}
	var unknown x509.UnknownAuthorityError
	if err := ask(); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "x509: certificate signed by unknown authority") {
		t.Error(err)
	}
	place("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if err := ask(); err != nil {
		t.Error(err)
	}
	place("client.cert", nil)
	if err := ask(); err == nil || err.Error() != "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt" {
		t.Error(err)
	}
	os.Rename(filepath.Join(dir, host(s), "client.cert"), filepath.Join(dir, host(s), "other.key"))
	if err := ask(); err == nil || err.Error() != "missing client certificate other.cert for key other.key" {
		t.Error(err)
	}
}

func TestInsecure(t *testing.T) {
	c := New(Options{Insecure: []string{"10.1.0.0/16", "reg.invalid:5000", "plain.invalid"}})
	for name, want := range map[string]bool{
		"127.0.0.1:5000": true, "127.9.9.9": true, "[::1]:5000": true, "localhost:5000": true, "10.1.2.3:80": true, "10.2.2.3:80": false,
		"192.168.1.1:5000": false, "reg.invalid:5000": true, "reg.invalid": false, "plain.invalid:1": true,
	} {
		if got := c.insecure(t.Context(), name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestSearch(t *testing.T) {
	asked := ""
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/search" {
			asked = r.URL.RawQuery
			io.WriteString(w, `{"results":[{"name":"a","star_count":3,"is_official":true},{"name":"b","star_count":9}]}`)
		}
		return r.URL.Path != "/v1/search"
	})
	for filter, want := range map[string]string{"": "a b", "is-official=true": "a", "is-official=false": "b", "stars=5": "b", "is-automated=true": ""} {
		filters := map[string][]string{}
		if key, value, ok := strings.Cut(filter, "="); ok {
			filters[key] = []string{value}
		}
		found, err := New(Options{}).Search(context.Background(), host(s)+"/some thing", 7, filters)
		var names []string
		for _, one := range found {
			names = append(names, one.Name)
		}
		if err != nil || strings.Join(names, " ") != want || asked != "n=7&q=some+thing" {
			t.Errorf("%q: %v %v, asked %s", filter, names, err, asked)
		}
	}
	for _, filters := range []map[string][]string{{"stars": {"many"}}, {"x": {"y"}}, {"is-official": {"perhaps"}}} {
		if _, err := New(Options{}).Search(t.Context(), "x", 0, filters); err == nil || !strings.Contains(err.Error(), "invalid filter '") {
			t.Error(err)
		}
	}
	if _, err := New(Options{}).Search(t.Context(), "x", 101, nil); err == nil {
		t.Error("a limit of 101")
	}
}
