package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests use the engine as its users do: Debian and what runs on it.

func TestRealDebian(t *testing.T) {
	h := newDebianHost(t)
	out := h.ok("run", "--rm", "debian", "dpkg", "-l")
	for _, name := range []string{"python3", "redis-server", "nginx-light"} {
		if !strings.Contains(out, "ii  "+name+" ") {
			t.Errorf("dpkg -l shows no %s", name)
		}
	}
	equal(t, "dpkg --audit", h.ok("run", "--rm", "debian", "dpkg", "--audit"), "")
	h.ok("run", "--rm", "debian", "apt-get", "check")
	equal(t, "locale and time zone", h.ok("run", "--rm", "-e", "TZ=UTC0", "debian", "date", "-d", "@0", "+%F"), "1970-01-01")

	// A package of its own is built, installed, used and removed.
	equal(t, "package", h.ok("run", "--rm", "debian", "sh", "-ec", `
		mkdir -p /p/DEBIAN /p/usr/bin
		printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: own\n' > /p/DEBIAN/control
		printf '#!/bin/sh\nadduser --system --quiet own || useradd -r own\nchown own /usr/bin/own\n' > /p/DEBIAN/postinst
		printf '#!/bin/sh\necho it runs\n' > /p/usr/bin/own
		chmod 755 /p/DEBIAN/postinst /p/usr/bin/own
		{ dpkg-deb -b /p /own.deb; dpkg -i /own.deb; } > /dev/null
		own; stat -c %U /usr/bin/own; dpkg -S /usr/bin/own
		dpkg -r own > /dev/null; ls /usr/bin/own 2>/dev/null || echo gone`), "it runs\nown\nown: /usr/bin/own\ngone")
	// Its own users.
	equal(t, "useradd, su", h.ok("run", "--rm", "debian", "sh", "-ec", `
		useradd -m -s /bin/bash bob; echo bob:pw | chpasswd
		su bob -c 'id -un; cd; pwd; touch mine; stat -c %U mine; touch /root/x 2>/dev/null || echo denied'
		su - bob -c 'echo $HOME'`), "bob\n/home/bob\nbob\ndenied\n/home/bob")
	// Renaming a directory of a lower layer, and all the rest a package does.
	equal(t, "files", h.ok("run", "--rm", "debian", "sh", "-ec", `
		mv /etc/apt /etc/apt2; mv /etc/apt2 /etc/apt; cp -a /usr/share/doc /tmp/doc; rm -r /usr/share/doc; ls /usr/share | grep -c '^doc$' || true
		ln /etc/passwd /etc/passwd2; chmod 600 /etc/passwd2; stat -c %a /etc/passwd; tar -C /tmp -cf - doc | tar -C /var/tmp -xf -; diff -r /tmp/doc /var/tmp/doc && echo same`),
		"0\n600\nsame")
}

func TestRealPython(t *testing.T) {
	h := newDebianHost(t)
	equal(t, "multiprocessing", h.ok("run", "--rm", "debian", "python3", "-c", `
import multiprocessing as mp, multiprocessing.shared_memory as shm, threading, socket, tempfile
def square(x): return x * x
def add(counter, lock, name):
    memory = shm.SharedMemory(name=name)
    for _ in range(100):
        with lock: counter.value += 1
    memory.buf[0] += 1
    memory.close()
memory = shm.SharedMemory(create=True, size=4096)
counter, lock = mp.Value("i", 0), mp.Lock()
with mp.Pool(4) as pool: print(pool.map(square, range(6)))
workers = [mp.Process(target=add, args=(counter, lock, memory.name)) for _ in range(3)]
for w in workers: w.start(); 
for w in workers: w.join()
print(counter.value, memory.buf[0] > 0, [w.exitcode for w in workers])
memory.close(); memory.unlink()
s = mp.Semaphore(2); print(s.acquire(), s.acquire(), s.acquire(False))
q = mp.Queue(); mp.Process(target=q.put, args=("queued",)).start(); print(q.get())
done = []; t = [threading.Thread(target=done.append, args=(i,)) for i in range(20)]
for x in t: x.start()
for x in t: x.join()
print(len(done))
`), "[0, 1, 4, 9, 16, 25]\n300 True [0, 0, 0]\nTrue True False\nqueued\n20")

	// A program that handles the stop signal ends in its own way, and what it
	// writes last is kept.
	const handler = `
import signal, sys
def end(number, frame):
    print("last words on", signal.Signals(number).name); sys.exit(5)
signal.signal(signal.SIGTERM, end); signal.signal(signal.SIGUSR2, end)
print("ready", flush=True)
while True: signal.pause()`
	for _, c := range []struct{ name, flag string }{{"SIGTERM", ""}, {"SIGUSR2", "--stop-signal=SIGUSR2"}} {
		args := []string{"run", "-d"}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		id := h.ok(append(args, "debian", "python3", "-c", handler)...)
		h.eventually("ready", func() bool { return h.ok("logs", id) == "ready" })
		h.ok("stop", "-t", "30", id)
		equal(t, "state", h.inspect(id, "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Status}}"), "5 false exited")
		equal(t, "log", h.ok("logs", id), "ready\nlast words on "+c.name)
	}
	// Without a handler, pid 1 ignores it, and SIGKILL comes after the time.
	id := h.ok("run", "-d", "debian", "sleep", "1000")
	h.ok("stop", "-t", "0", id)
	equal(t, "exit code", h.inspect(id, "{{.State.ExitCode}}"), "137")
}

func TestRealRedis(t *testing.T) {
	h := newDebianHost(t)
	id := h.ok("run", "-d", "--name", "redis", "-u", "redis", "-w", "/var/lib/redis", "debian", "redis-server", "--appendonly", "yes", "--save", "3600 1")
	ping := func() {
		t.Helper()
		h.eventually("PONG", func() bool { return h.try("exec", "redis", "redis-cli", "ping").out == "PONG\n" })
	}
	ping()
	equal(t, "set", h.ok("exec", "redis", "redis-cli", "set", "key", "kept"), "OK")
	equal(t, "processes", h.ok("exec", "redis", "sh", "-c", "cat /proc/1/comm; stat -c %U /proc/1"), "redis-server\nredis")
	r := h.tryWith("SET piped value\nGET piped\n", "exec", "-i", "redis", "redis-cli")
	equal(t, "exec -i", r.out, "OK\nvalue\n")

	// An orderly stop saves and exits 0.
	h.ok("stop", "-t", "30", "redis")
	equal(t, "state", h.inspect("redis", "{{.State.ExitCode}} {{.State.Running}}"), "0 false")
	if !strings.Contains(h.ok("logs", id), "Redis is now ready to exit, bye bye") {
		t.Errorf("log: %s", h.ok("logs", id))
	}
	h.ok("start", "redis")
	ping()
	equal(t, "kept by stop", h.ok("exec", "redis", "redis-cli", "mget", "key", "piped"), "kept\nvalue")
	// A crash loses nothing that the append-only file has.
	equal(t, "set", h.ok("exec", "redis", "redis-cli", "set", "crash", "survived"), "OK")
	h.eventually("fsync", func() bool {
		return strings.Contains(h.ok("exec", "redis", "redis-cli", "info", "persistence"), "aof_pending_bio_fsync:0")
	})
	h.ok("kill", "redis")
	h.ok("wait", "redis")
	h.ok("start", "redis")
	ping()
	equal(t, "kept by kill", h.ok("exec", "redis", "redis-cli", "get", "crash"), "survived")
	equal(t, "memory limit by exec", h.ok("exec", "redis", "redis-cli", "eval", "return 7", "0"), "7")
	h.ok("rm", "-f", "redis")

	// The data in a directory of the host outlives the container.
	dir := h.dir("redis")
	os.Chmod(dir, 0o777)
	for round := range 2 {
		h.ok("run", "-d", "--name", "redis", "-v", dir+":/data", "-w", "/data", "debian", "redis-server", "--appendonly", "yes")
		ping()
		equal(t, "runs counted", h.ok("exec", "redis", "redis-cli", "incr", "runs"), fmt.Sprint(round+1))
		h.ok("stop", "-t", "30", "redis")
		h.ok("rm", "redis")
	}
}

func TestRealNginx(t *testing.T) {
	h := newDebianHost(t)
	dir := h.dir("www")
	h.write(dir+"/index.html", "from the host\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free now
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	h.write(filepath.Dir(h.root)+"/site", fmt.Sprintf("server { listen %s; root /srv; access_log /dev/stdout; error_log /dev/stderr; }\n", address))
	h.ok("run", "-d", "--name", "web", "--network", "host", "-v", dir+":/srv:ro", "-v", filepath.Dir(h.root)+"/site:/etc/nginx/sites-enabled/default:ro",
		"debian", "nginx", "-g", "daemon off;")
	get := func(path string) (string, int) {
		r, err := http.Get("http://" + address + path)
		if err != nil {
			return err.Error(), 0
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return string(body), r.StatusCode
	}
	var body string
	h.eventually("200", func() (ok bool) {
		var code int
		body, code = get("/index.html")
		return code == http.StatusOK
	})
	equal(t, "page", body, "from the host\n")
	h.write(dir+"/later.html", "written later\n")
	body, _ = get("/later.html")
	equal(t, "later page", body, "written later\n")
	if _, code := get("/none"); code != http.StatusNotFound {
		t.Errorf("/none: %d", code)
	}
	h.eventually("access log", func() bool { return strings.Contains(h.ok("logs", "web"), `"GET /none HTTP/1.1" 404`) })
	h.ok("exec", "web", "nginx", "-t")
	h.ok("stop", "-t", "30", "web")
	equal(t, "exit code", h.inspect("web", "{{.State.ExitCode}}"), "0")
	if body, code := get("/"); code != 0 {
		t.Errorf("still served after stop: %s", body)
	}
}

// A writer of much output loses nothing, to the client and to the log.
func TestRealOutput(t *testing.T) {
	h := newDebianHost(t)
	r := h.try("run", "--name", "big", "debian", "python3", "-c", "import sys\nfor i in range(200000): print(i)\nsys.stderr.write('end\\n')")
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if r.code != 0 || r.err != "end\n" || len(lines) != 200000 || lines[199999] != "199999" {
		t.Errorf("exit %d, stderr %q, %d lines", r.code, r.err, len(lines))
	}
	if out := h.ok("logs", "big"); out+"\n" != r.out {
		t.Errorf("the log has %d bytes, the client got %d", len(out)+1, len(r.out))
	}
}
