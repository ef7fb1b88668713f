package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogin(t *testing.T) {
	for _, auth := range []string{"basic", "token"} {
		t.Run(auth, func(t *testing.T) {
			a := newAuthority(t)
			r := registryOptions{auth: auth, tls: a.server("127.0.0.1")}.start(t)
			h := emptyHost(t)
			t.Parallel()
			config := h.client() + "/config.json"
			r.seed("app", "latest", busyboxLayer(t))
			name := r.address + "/app"
			denied := map[string]string{"basic": "no basic auth credentials", "token": "unauthorized"}[auth]
			h.fails(1, []string{denied}, "pull", name)

			got := h.tryWith("wrong", "login", "-u", registryUser, "--password-stdin", r.address)
			if got.code != 1 || !strings.Contains(got.err, "unauthorized") && !strings.Contains(got.err, "401 Unauthorized") {
				t.Errorf("wrong password: %s", got)
			}
			h.fails(1, []string{denied}, "pull", name)
			got = h.tryWith(registryPassword+"\n", "login", "-u", registryUser, "--password-stdin", r.address)
			equal(t, "login", got.out, "Login Succeeded\n")
			if !strings.Contains(got.err, "WARNING! Your credentials are stored unencrypted in '"+config+"'.") || got.code != 0 {
				t.Errorf("%s", got)
			}
			text, _ := os.ReadFile(config)
			var saved struct {
				Auths map[string]struct{ Auth string }
			}
			if err := json.Unmarshal(text, &saved); err != nil || saved.Auths[r.address].Auth == "" || len(saved.Auths) != 1 {
				t.Errorf("%s: %s", config, text)
			}
			if info, err := os.Stat(config); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			h.ok("pull", "-q", name)
			h.ok("tag", name, r.address+"/mine")
			h.ok("push", "-q", r.address+"/mine")
			r.send("GET", "/v2/mine/manifests/latest", anyManifest, nil)
			h.rmiAll()
			equal(t, "run", h.ok("run", "-q", "--rm", name, "echo", "yes"), "yes")
			equal(t, "logout", h.ok("logout", r.address), "Removing login credentials for "+r.address)
			h.fails(1, []string{denied}, "pull", name)
			h.ok("tag", name, r.address+"/mine")
			h.fails(1, []string{denied}, "push", r.address+"/mine")
			text, _ = os.ReadFile(config)
			if strings.Contains(string(text), `"auth"`) {
				t.Errorf("after logout: %s", text)
			}
		})
	}
}

func TestLoginErrors(t *testing.T) {
	r := registryOptions{auth: "basic"}.start(t)
	h := emptyHost(t)
	t.Parallel()
	h.client()
	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{"-u", "ann", r.address}, "Cannot perform an interactive login from a non TTY device"},
		{[]string{"--password-stdin", r.address}, "--password-stdin option requires --username to be set"},
		{[]string{"-u", "ann", "-p", "x", "--password-stdin", r.address}, "conflicting options: cannot specify both --password and --password-stdin"},
		{[]string{"-u", "ann", "-p", "x", "127.0.0.1:1"}, "127.0.0.1:1: connect: connection refused"},
		{[]string{"-u", "ann", "-p", "x", r.address}, "401 Unauthorized"},
		{[]string{"a", "b"}, "requires at most 1 argument"},
	} {
		h.fails(1, []string{c.words}, append([]string{"login"}, c.args...)...)
	}
	equal(t, "logout without login", h.ok("logout", r.address), "Removing login credentials for "+r.address)
	equal(t, "logout of docker.io", h.ok("logout"), "Removing login credentials for https://index.docker.io/v1/")

	// On a terminal it asks, and does not show the password.
	p := h.onTerminal("login", r.address)
	p.shows("Username: ")
	p.types(registryUser + "\r")
	p.shows("Password: ")
	p.types(registryPassword + "\r")
	p.shows("Login Succeeded")
	equal(t, "exit code", exitCode(p.wait()), "0")
	if strings.Contains(p.screen.String(), registryPassword) {
		t.Error("the password is on the screen")
	}
	got := h.try("login", r.address)
	if got.code != 0 || got.out != "Login Succeeded\n" || !strings.Contains(got.err, "Authenticating with existing credentials... [Username: "+registryUser+"]") {
		t.Errorf("%s", got)
	}
}

// Docker and mydocker are logged in together.
func TestLoginDocker(t *testing.T) {
	need(t, "docker")
	r := registryOptions{auth: "basic"}.start(t)
	h := emptyHost(t)
	t.Parallel()
	directory := h.client()
	r.seed("app", "latest", archive(t, file("mark", r.address)))
	docker := func(input string, args ...string) (string, error) {
		cmd := exec.Command("docker", append([]string{"--config", directory}, args...)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", r.address+"/app").Run() })
	if out, err := docker(registryPassword, "login", "-u", registryUser, "--password-stdin", r.address); err != nil {
		t.Fatal(out)
	}
	h.ok("pull", "-q", r.address+"/app")
	h.ok("logout", r.address)
	if out, err := docker("", "pull", r.address+"/app"); err == nil || !strings.Contains(out, "no basic auth credentials") {
		t.Errorf("docker after logout: %v: %s", err, out)
	}
	if got := h.tryWith(registryPassword, "login", "-u", registryUser, "--password-stdin", "http://"+r.address+"/"); got.code != 0 {
		t.Errorf("%s", got)
	}
	if out, err := docker("", "pull", r.address+"/app"); err != nil {
		t.Errorf("docker after login: %v: %s", err, out)
	}
}

// A credential helper keeps what a login says, and config.json nothing of it.
func TestLoginHelper(t *testing.T) {
	r := registryOptions{auth: "basic"}.start(t)
	h := emptyHost(t)
	t.Parallel()
	directory := h.client()
	r.seed("app", "latest", busyboxLayer(t))
	bin, store := h.dir("bin"), h.dir("store")
	script := fmt.Sprintf(`#!/bin/sh
echo "$1" >>%[1]s/calls
case $1 in
store) cat >%[1]s/secret ;;
get) [ -e %[1]s/secret ] || { echo credentials not found in native keychain; exit 1; }; cat %[1]s/secret ;;
erase) rm -f %[1]s/secret ;;
list) echo '{}' ;;
esac
`, store)
	if err := os.WriteFile(bin+"/docker-credential-e2e", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "PATH="+bin+":"+os.Getenv("PATH"))
	for _, config := range []string{`{"credsStore": "e2e"}`, `{"credHelpers": {"` + r.address + `": "e2e"}}`} {
		h.write(directory+"/config.json", config)
		h.fails(1, []string{"no basic auth credentials"}, "pull", r.address+"/app")
		got := h.tryWith(registryPassword, "login", "-u", registryUser, "--password-stdin", r.address)
		if got.code != 0 || got.out != "Login Succeeded\n" || strings.Contains(got.err, "unencrypted") {
			t.Errorf("%s", got)
		}
		secret, _ := os.ReadFile(store + "/secret")
		if !strings.Contains(string(secret), registryPassword) {
			t.Errorf("the helper has %q", secret)
		}
		if text, _ := os.ReadFile(directory + "/config.json"); strings.Contains(string(text), `"auth"`) {
			t.Errorf("config.json: %s", text)
		}
		h.ok("pull", "-q", r.address+"/app")
		h.rmiAll()
		h.ok("logout", r.address)
		if _, err := os.Stat(store + "/secret"); err == nil {
			t.Error("logout does not erase")
		}
	}
	h.write(directory+"/config.json", `{"credsStore": "e2e-that-is-not-there"}`)
	h.fails(1, nil, "login", "-u", registryUser, "-p", registryPassword, r.address)
	h.write(directory+"/config.json", `{`)
	h.fails(1, []string{directory + "/config.json"}, "login", "-u", registryUser, "-p", registryPassword, r.address)
}

// A registry on an address that is not loopback has to be known: by a directory
// of certificates, or as insecure.
func TestRegistryCertificates(t *testing.T) {
	s := newSite(t)
	a := newAuthority(t)
	address := s.client.gateway // of this host
	server := a.server(address)
	r := registryOptions{host: address, tls: server, auth: "basic"}.start(t)
	s.host.client()
	r.seed("app", "latest", busyboxLayer(t))
	name := r.address + "/app"
	login := func() result {
		return s.tryWith(registryPassword, "login", "-u", registryUser, "--password-stdin", r.address)
	}
	if got := login(); got.code != 1 || !strings.Contains(got.err, "x509: certificate signed by unknown authority") {
		t.Errorf("%s", got)
	}
	s.fails(1, []string{"x509: certificate signed by unknown authority"}, "pull", name)
	for _, parent := range []string{"/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/mydocker/certs.d"} {
		directory := s.certificates(parent, r.address)
		s.write(directory+"/ca.crt", string(a.pem))
		if got := login(); got.code != 0 {
			t.Errorf("%s: %s", parent, got)
		}
		s.ok("pull", "-q", name)
		s.ok("rmi", name)
		os.RemoveAll(directory)
		s.fails(1, []string{"x509: certificate signed by unknown authority"}, "pull", name)
	}
	s.configure(fmt.Sprintf(`{"insecure-registries": [%q]}`, r.address))
	s.ok("pull", "-q", name)
	s.ok("rmi", name)
	s.configure(fmt.Sprintf(`{"insecure-registries": [%q]}`, address+"/32"))
	s.ok("pull", "-q", name)
	s.ok("rmi", name)
	s.configure(`{}`)

	// The registry may want a certificate of its client too.
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	strict := server.Clone()
	strict.ClientAuth, strict.ClientCAs = tls.RequireAndVerifyClientCert, pool
	r = registryOptions{host: address, tls: strict}.start(t)
	r.seed("app", "latest", busyboxLayer(t))
	directory := s.certificates("/etc/docker/certs.d", r.address)
	s.write(directory+"/ca.crt", string(a.pem))
	s.fails(1, []string{"tls"}, "pull", r.address+"/app")
	cert, key := a.issue("")
	s.write(directory+"/client.cert", string(cert))
	s.fails(1, []string{"client.key"}, "pull", r.address+"/app")
	s.write(directory+"/client.key", string(key))
	s.ok("pull", "-q", r.address+"/app")
	s.write(directory+"/client.key", "garbage")
	s.fails(1, []string{"client"}, "pull", r.address+"/app")
}

// certificates makes a registry's directory of certificates for the test's time.
func (h *host) certificates(parent, address string) string {
	h.t.Helper()
	directory := parent + "/" + address
	var made []string // directories of the host that are not there yet
	for d := parent; d != "/etc"; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err != nil {
			made = append(made, d)
		}
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		os.RemoveAll(directory)
		for _, d := range made {
			os.Remove(d)
		}
	})
	return directory
}

// A registry without TLS on an address that is not loopback.
func TestRegistryInsecure(t *testing.T) {
	s := newSite(t)
	r := registryOptions{host: s.client.gateway}.start(t)
	r.seed("app", "latest", busyboxLayer(t))
	name := r.address + "/app"
	s.fails(1, []string{"http: server gave HTTP response to HTTPS client"}, "pull", name)
	s.ok("tag", "busybox", name)
	s.fails(1, []string{"http: server gave HTTP response to HTTPS client"}, "push", name)
	s.configure(fmt.Sprintf(`{"insecure-registries": ["nowhere.example", %q]}`, s.subnet("0/24")))
	s.ok("pull", "-q", name)
	s.ok("push", "-q", name)
	s.fails(1, []string{"unable to configure", "/no/such"}, "--config", "/no/such", "info")
}

// What search shows is what the registry's index says.
func TestSearch(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	h.client()
	var asked string
	r.misbehaves(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.URL.Path != "/v1/search" {
			next.ServeHTTP(w, q)
			return
		}
		asked = q.URL.Query().Get("q") + " " + q.URL.Query().Get("n")
		fmt.Fprint(w, `{"num_results": 3, "query": "app", "results": [
			{"name": "app", "description": "An app of `+strings.Repeat("many words ", 10)+`", "star_count": 12, "is_official": true, "is_automated": false},
			{"name": "team/app", "description": "", "star_count": 3, "is_official": false},
			{"name": "other/app", "description": "Other", "star_count": 0, "is_official": false}]}`)
	})
	equal(t, "table", h.ok("search", r.address+"/app"), `NAME        DESCRIPTION                                     STARS     OFFICIAL
app         An app of many words many words many words m…   12        [OK]
team/app                                                    3         
other/app   Other                                           0         `)
	if !strings.HasPrefix(asked, "app ") {
		t.Errorf("the registry was asked %q", asked)
	}
	equal(t, "format", h.ok("search", "--format", "{{.Name}} {{.StarCount}} {{.IsOfficial}}", r.address+"/app"), "app 12 [OK]\nteam/app 3 \nother/app 0 ")
	equal(t, "stars", h.ok("search", "--filter", "stars=3", "--format", "{{.Name}}", r.address+"/app"), "app\nteam/app")
	equal(t, "official", h.ok("search", "--filter", "is-official=true", "--format", "{{.Name}}", r.address+"/app"), "app")
	if out := h.ok("search", "--no-trunc", r.address+"/app"); !strings.Contains(out, strings.TrimSuffix(strings.Repeat("many words ", 10), " ")) {
		t.Errorf("%q", out)
	}
	h.ok("search", "--limit", "7", r.address+"/app")
	equal(t, "limit", asked, "app 7")
	h.fails(1, []string{"imit 200 is outside the range of [1, 100]"}, "search", "--limit", "200", "x")
	h.fails(1, []string{"requires 1 argument"}, "search")
	h.fails(1, []string{"nvalid filter 'foo'"}, "search", "--filter", "foo=bar", "x")
}
