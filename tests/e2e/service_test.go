package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A service as its users run one: nginx with the host's network, a restart policy
// and a health check, through the loss of its process, of its monitor and of the
// machine. What it serves is TestRealNginx's matter.
func TestService(t *testing.T) {
	h := newDebianHost(t)
	dir := h.dir("www") // with the file f
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String() // free now
	listener.Close()
	site := filepath.Dir(h.root) + "/site"
	h.write(site, fmt.Sprintf("server { listen %s; root /srv; access_log /dev/stdout; error_log /dev/stderr; }\n", address))
	id := h.ok("run", "-d", "--name", "web", "--network", "host", "--restart", "unless-stopped", "--health-interval", "200ms", "--health-retries", "1",
		"--health-cmd", "python3 -c 'import urllib.request as r; r.urlopen(\"http://"+address+"/f\")'",
		"-v", dir+":/srv:ro", "-v", site+":/etc/nginx/sites-enabled/default:ro", "debian", "nginx", "-g", "daemon off;")
	serves := func() {
		t.Helper()
		var body []byte
		h.eventually("it serves", func() bool {
			r, err := http.Get("http://" + address + "/f")
			if err != nil {
				return false
			}
			defer r.Body.Close()
			body, _ = io.ReadAll(r.Body)
			return r.StatusCode == http.StatusOK
		})
		equal(t, "page", string(body), "of the host\n")
		h.getsHealth("web", "healthy")
	}
	serves()
	killProcess(h, "web")
	h.hasLife("web", "running 1 0")
	serves()
	killMonitor(h, id)
	h.ok("ps")
	h.hasLife("web", "running 2 0")
	serves()
	h.ok("restart", "-t", "30", "web")
	serves()
	powerOff(h)
	equal(t, "after the reboot", h.ok("ps", "-q"), "")
	equal(t, "system start", h.ok("system", "start"), "web")
	serves()
	if log := h.ok("logs", "web"); !strings.Contains(log, `"GET /f HTTP/1.1" 200`) {
		t.Errorf("log: %s", log)
	}
	h.ok("stop", "-t", "30", "web")
	equal(t, "state", h.inspect("web", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")
	equal(t, "system start", h.ok("system", "start"), "")
}
