package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// get asks a web server from a place.
func (p *place) get(address, path string) (body string, status int, err error) {
	err = p.do(func() error {
		conn, err := net.DialTimeout("tcp", address, 20*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(limit))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n", path)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		all, err := io.ReadAll(r.Body)
		body, status = string(all), r.StatusCode
		return err
	})
	return body, status, err
}

// application counts visits in Redis, which it finds by name.
const application = `
import http.server, socket
class Visits(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with socket.create_connection(("redis", 6379), 5) as c:
                c.sendall(b"INCR visits\r\n")
                text = c.makefile().readline().strip()
            self.send_response(200)
        except OSError as e:
            text = str(e)
            self.send_response(503)
        self.end_headers()
        self.wfile.write((self.path + " " + text + "\n").encode())
    def log_message(self, *_): pass
print("up", flush=True)
http.server.ThreadingHTTPServer(("", 8000), Visits).serve_forever()
`

// Three services as people run them: nginx, published, before an application in
// Python, which finds Redis by name in a network without a way out.
func TestNetworkRealService(t *testing.T) {
	s := newDebianSite(t)
	dir := filepath.Dir(s.root)
	s.write(dir+"/site", `server { listen 80; root /srv; location /app/ { proxy_pass http://app:8000/; } }`+"\n")
	s.write(dir+"/app.py", application)
	www := s.dir("www")
	s.write(www+"/index.html", "a page\n")
	s.write(www+"/big", noise(20<<20))
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "front")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "--internal", "back")
	s.ok("run", "-d", "--name", "redis1", "--network", "back", "--network-alias", "redis", "debian", "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no")
	s.ok("run", "-d", "--name", "app", "--network", "back", "-v", dir+"/app.py:/app.py:ro", "debian", "python3", "/app.py")
	s.ok("network", "connect", "front", "app")
	s.isUp("app")
	s.ok("run", "-d", "--name", "web", "--network", "front", "-p", s.port(0)+":80", "-v", www+":/srv:ro", "-v", dir+"/site:/etc/nginx/sites-enabled/default:ro", "debian", "nginx", "-g", "daemon off;")

	at := s.client.gateway + ":" + s.port(0)
	visit := func(want string) {
		t.Helper()
		var body string
		var status int
		var err error
		s.eventuallyOr(func() string { return fmt.Sprintf("%d %q %v", status, body, err) }, func() bool {
			body, status, err = s.client.get(at, "/app/x")
			return status == http.StatusOK
		})
		equal(t, "visit", body, "/x "+want+"\n")
	}
	visit(":1")
	visit(":2")
	for name, place := range map[string]struct {
		*place
		address string
	}{"outside": {s.client, at}, "outside by IPv6": {s.client, "[" + s.client.gateway6 + "]:" + s.port(0)}, "the host": {s.here, "127.0.0.1:" + s.port(0)}, "a container": {s.in("app"), s.address("web", "front") + ":80"}} {
		if body, status, err := place.get(place.address, "/big"); status != http.StatusOK || body != noise(20<<20) {
			t.Errorf("from %s: %d bytes, %d, %v", name, len(body), status, err)
		}
		if body, _, err := place.get(place.address, "/index.html"); body != "a page\n" {
			t.Errorf("from %s: %q, %v", name, body, err)
		}
	}
	equal(t, "curl's cousin by name", s.ok("exec", "app", "python3", "-c", "import urllib.request as u; print(u.urlopen('http://web/index.html').read().decode(), end='')"), "a page")
	if r := s.try("exec", "web", "getent", "hosts", "redis"); r.code == 0 {
		t.Errorf("the front knows what is in the back: %s", r)
	}
	s.eventually("the access log names the client", func() bool {
		return strings.Contains(s.ok("exec", "web", "cat", "/var/log/nginx/access.log"), s.client.address+" ")
	})

	// Redis goes and another comes, at another address; the application finds it.
	s.ok("run", "-d", "--name", "redis2", "--network", "back", "debian", "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no")
	s.ok("rm", "-f", "redis1")
	if _, status, _ := s.client.get(at, "/app/x"); status != http.StatusServiceUnavailable {
		t.Errorf("without Redis: %d", status)
	}
	s.ok("rename", "redis2", "redis")
	visit(":1")
	// nginx crashes, and its next life is published as the first.
	s.ok("update", "--restart", "always", "web")
	killProcess(s.host, "web")
	s.eventually("its next life", func() bool { return s.inspect("web", "{{.RestartCount}} {{.State.Running}}") == "1 true" })
	visit(":2")
	// The application moves: nginx, which asks only at its start, is told.
	s.ok("restart", "-t", "1", "app")
	s.isUp("app")
	s.ok("exec", "web", "nginx", "-s", "reload")
	visit(":3")
	s.ok("stop", "-t", "20", "web", "app", "redis")
	for _, name := range []string{"web", "redis"} {
		equal(t, "exit code of "+name, s.inspect(name, "{{.State.ExitCode}}"), "0")
	}
}
