package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// configured makes the test's engine read a daemon.json; change replaces it.
func configured(h *host) (change func(content string)) {
	h.t.Helper()
	file := filepath.Join(filepath.Dir(h.root), "daemon.json")
	h.env = append(h.env, "MYDOCKER_CONFIG="+file)
	change = func(content string) { h.write(file, content) }
	change("{}")
	h.t.Cleanup(func() { change("{}") }) // before the harness cleans up
	return change
}

func TestConfigErrors(t *testing.T) {
	h := newHost(t)
	change := configured(h)
	for content, want := range map[string]string{
		`{"icc": true, "debug": false, "bip": 1}`: "the following directives don't match any configuration option: debug, icc",
		`{"bip": 1}`:           "bip: a number where",
		`{"dns": ["nowhere"]}`: "dns: ",
		`{"exec-opts": ["native.cgroupdriver=systemd"]}`: "exec-opts: native.cgroupdriver=systemd is not supported",
		`{"data-root": "/srv/x"}`:                        "the following directives are specified both as a flag and in the configuration file: data-root: (from flag: " + h.root + ", from file: /srv/x)",
		`{"bip"`:                                         "unexpected end of JSON input",
		`{"default-address-pools": [{"base": "10.0.0.0/16"}]}`:  "default-address-pools: invalid pools size: 0",
		`{"registry-mirrors": ["mirror.example"]}`:              "registry-mirrors: invalid mirror",
		`{"insecure-registries": ["https://registry.example"]}`: "insecure-registries: insecure registry https://registry.example",
		`{"log-opts": {"max-size": "much"}}`:                    "log-opts: invalid size: 'much'",
	} {
		change(content)
		h.fails(1, []string{"unable to configure mydocker with file ", want}, "ps")
		h.fails(125, []string{"mydocker: unable to configure", want, "Run 'mydocker run --help'"}, "run", "busybox", "true")
		if r := h.try("doctor"); r.code != 1 || !strings.Contains(r.out, want) {
			t.Errorf("want %q: %s", want, r)
		}
		if out := h.ok("__complete", "inspect", ""); strings.Contains(out, "busybox") {
			t.Errorf("completion of %s: %s", content, out)
		}
		h.ok("version") // needs no settings
	}
	change(`{"bip": "10.1.2.1/24"}`)
	h.fails(1, []string{"bip: (from flag: 10.1.1.1/24, from file: 10.1.2.1/24)"}, "--bip", "10.1.1.1/24", "ps")
	change("{}")
	h.ok("ps")
	h.fails(1, []string{"no such file or directory"}, "--config", "/nonexistent", "ps")
	h.env = append(h.env, "MYDOCKER_CONFIG=")
	h.ok("ps") // the default file need not be there
}

func TestConfigDataRoot(t *testing.T) {
	h := newHost(t)
	change := configured(h)
	change(`{"data-root": "` + h.root + `"}`)
	h.env = append(h.env, "MYDOCKER_ROOT=")
	equal(t, "root", h.ok("info", "--format", "{{.DockerRootDir}}"), h.root)
	equal(t, "output", h.ok("run", "--rm", "--network", "none", "busybox", "echo", "hi"), "hi")
	if out := h.ok("__complete", "--config", strings.TrimPrefix(h.env[0], "MYDOCKER_CONFIG="), "run", "busy"); !strings.Contains(out, "busybox:latest") {
		t.Errorf("completion: %s", out)
	}
	h.env = append(h.env, "MYDOCKER_ROOT="+h.root)
	change("{}")
}

func TestConfigInfo(t *testing.T) {
	h := newHost(t)
	change := configured(h)
	change(`{"registry-mirrors": ["http://127.0.0.1:1"], "insecure-registries": ["registry.example:5000", "10.9.0.0/16"],
		"default-address-pools": [{"base": "10.77.0.0/16", "size": 24}]}`)
	out := h.ok("info")
	want := `Insecure Registries:
 registry.example:5000
 10.9.0.0/16
 ::1/128
 127.0.0.0/8
Registry Mirrors:
 http://127.0.0.1:1/
Default Address Pools:
  Base: 10.77.0.0/16, Size: 24`
	if !strings.Contains(out, want) {
		t.Errorf("info:\n%s\nwant:\n%s", out, want)
	}
	equal(t, "json", h.ok("info", "--format", "{{json .DefaultAddressPools}} {{json .RegistryConfig.Mirrors}}"),
		`[{"Base":"10.77.0.0/16","Size":24}] ["http://127.0.0.1:1/"]`)
}

// A container has the file's log options where it names no other, for good.
func TestConfigLogOptions(t *testing.T) {
	h := newHost(t)
	change := configured(h)
	change(`{"log-opts": {"max-size": "1m", "max-file": "2"}}`)
	h.ok("create", "--name", "plain", "busybox")
	h.ok("create", "--name", "own", "--log-opt", "max-size=5m", "--log-opt", "tag=x", "busybox")
	h.ok("create", "--name", "none", "--log-driver", "none", "busybox")
	change("{}")
	equal(t, "plain", h.inspect("plain", "{{json .HostConfig.LogConfig}}"), `{"Type":"json-file","Config":{"max-file":"2","max-size":"1m"}}`)
	equal(t, "own", h.inspect("own", "{{json .HostConfig.LogConfig.Config}}"), `{"max-file":"2","max-size":"5m","tag":"x"}`)
	equal(t, "none", h.inspect("none", "{{json .HostConfig.LogConfig.Config}}"), "{}")
}

// The file's name servers are those of containers that name none; inspect shows nothing of them.
func TestConfigDNS(t *testing.T) {
	s := newSite(t)
	change := configured(s.host)
	change(`{"dns": ["192.0.2.53", "192.0.2.54"]}`)
	for want, flags := range map[string][]string{
		"nameserver 192.0.2.53\nnameserver 192.0.2.54": nil,
		"nameserver 198.51.100.1":                      {"--dns", "198.51.100.1"},
	} {
		for _, network := range []string{"bridge", "host", "none"} {
			args := append([]string{"run", "--rm", "--network", network, "--dns-search", "."}, flags...)
			got := s.ok(append(args, "busybox", "sh", "-c", "grep nameserver /etc/resolv.conf")...)
			equal(t, network, got, want)
		}
	}
	// In a network with names they are whom its resolver asks.
	change(`{"dns": ["` + s.resolves(map[string][]string{"outside.test": {"192.0.2.7"}}).address + `"]}`)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.ok("run", "-d", "--name", "asker", "--network", "n", "busybox", "sleep", "1000")
	s.resolved(t, "asker", "outside.test", "192.0.2.7")
	s.ok("rm", "-f", "asker")
	s.ok("network", "rm", "n")
	s.ok("create", "--name", "c1", "busybox")
	equal(t, "inspect", s.inspect("c1", "{{json .HostConfig.Dns}}"), s.inspectWithout(change, "c1", "{{json .HostConfig.Dns}}"))
}

func (h *host) inspectWithout(change func(string), ref, template string) string {
	h.t.Helper()
	change("{}")
	h.ok("create", "--name", ref+"-without", "busybox")
	return h.inspect(ref+"-without", template)
}

func TestConfigAddressPools(t *testing.T) {
	s := newSite(t)
	change := configured(s.host)
	change(fmt.Sprintf(`{"default-address-pools": [{"base": "%s/27", "size": 28}]}`, s.addr(64)))
	s.ok("run", "--rm", "busybox", "true") // the default network takes the first
	s.ok("network", "create", "second")
	subnets := s.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "bridge", "second")
	equal(t, "subnets", subnets, s.addr(64)+"/28\n"+s.addr(80)+"/28")
	s.fails(1, []string{"could not find an available, non-overlapping IPv4 address pool"}, "network", "create", "third")
	change(`{"default-address-pools": [{"base": "fd00:6d79:646f::/62", "size": 64}]}`) // IPv4 comes from Docker's pools then
	s.ok("network", "create", "--ipv6", "--subnet", s.addr(96)+"/28", "six")
	equal(t, "IPv6", s.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", "six"), s.addr(96)+"/28 fd00:6d79:646f::/64 ")
	s.ok("network", "rm", "second", "six")
}

// A pull that cannot be is told in Docker's words, with run's exit status.
func TestRunPullErrors(t *testing.T) {
	h := newHost(t)
	const absent = "127.0.0.1:1/x" // where nobody listens
	help := func(verb string) string { return "\n\nRun 'mydocker " + verb + " --help' for more information\n" }
	for _, test := range []struct {
		code  int
		begin string
		end   string
		args  []string
	}{
		{125, "Unable to find image '127.0.0.1:1/x:latest' locally\nmydocker: ", help("run"), []string{"run", absent}},
		{125, "mydocker: ", help("run"), []string{"run", "-q", absent}},
		{125, "mydocker: ", help("run"), []string{"run", "--pull", "always", absent}},
		{125, "mydocker: No such image: 127.0.0.1:1/x:latest", help("run"), []string{"run", "--pull", "never", absent}},
		{1, "Unable to find image '127.0.0.1:1/x:latest' locally\nError: ", "\n", []string{"create", absent}},
		{1, "Error: No such image: 127.0.0.1:1/x:latest\n", "", []string{"create", "--pull", "never", absent}},
		{125, "mydocker: invalid pull option: 'often': must be one of \"always\", \"missing\" or \"never\"", help("run"), []string{"run", "--pull", "often", "busybox"}},
		{125, "mydocker: invalid reference format: repository name (library/BAD) must be lowercase", help("run"), []string{"run", "--pull", "always", "BAD"}},
		{125, "mydocker: No such image: sha256:" + strings.Repeat("0", 64), help("run"), []string{"run", strings.Repeat("0", 64)}},
		{125, "mydocker: No such image: sha256:" + strings.Repeat("0", 64), help("run"), []string{"run", "sha256:" + strings.Repeat("0", 64)}},
		{1, "Error: ", "\n", []string{"pull", absent}},
		{1, "tag can't be used with --all-tags/-a\n", "", []string{"pull", "-a", absent + ":1"}},
		{1, "invalid reference format: repository name (library/BAD) must be lowercase\n", "", []string{"pull", "BAD"}},
		{1, "tag can't be used with --all-tags/-a\n", "", []string{"push", "-a", absent + ":1"}},
		{1, "An image does not exist locally with the tag: 127.0.0.1:1/x\n", "", []string{"push", absent}},
	} {
		r := h.try(test.args...)
		if r.code != test.code || !strings.HasPrefix(r.err, test.begin) || !strings.HasSuffix(r.err, test.end) {
			t.Errorf("want exit %d, %q ... %q: %s", test.code, test.begin, test.end, r)
		}
	}
	for _, image := range []string{"busybox", "busybox:latest"} { // what is there is not pulled
		equal(t, image, h.ok("run", "--rm", "--network", "none", image, "echo", "hi"), "hi")
	}
	equal(t, "containers", h.ok("ps", "-aq"), "")
}

// Login and logout keep credentials where Docker does.
func TestLogoutFile(t *testing.T) {
	h := emptyHost(t)
	dir := filepath.Join(filepath.Dir(h.root), "docker")
	h.env = append(h.env, "DOCKER_CONFIG="+dir)
	file := filepath.Join(dir, "config.json")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(file, `{"auths": {"registry.example:5000": {"auth": "YTpi"}, "https://index.docker.io/v1/": {"auth": "YTpi"}}, "psFormat": "x"}`)
	equal(t, "logout", h.ok("logout", "https://registry.example:5000/v2/"), "Removing login credentials for registry.example:5000")
	equal(t, "logout", h.ok("logout"), "Removing login credentials for https://index.docker.io/v1/")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "file", string(content), "{\n\t\"auths\": {},\n\t\"psFormat\": \"x\"\n}")
	for want, args := range map[string][]string{
		"conflicting options: cannot specify both --password and --password-stdin\n": {"-u", "a", "-p", "b", "--password-stdin"},
		"the --password-stdin option requires --username to be set\n":                {"--password-stdin"},
		"username is empty\n": {"-u", "", "-p", "b"},
		"password is empty\n": {"-u", "a", "-p", ""},
		"Error: Cannot perform an interactive login from a non TTY device\n": {"-u", "a"},
	} {
		r := h.try(append(append([]string{"login"}, args...), "127.0.0.1:1")...)
		if r.code != 1 || r.err != want {
			t.Errorf("want exit 1 and %q: %s", want, r)
		}
	}
	h.write(file, "{")
	h.fails(1, []string{"config.json"}, "login", "-u", "a", "-p", "b", "127.0.0.1:1") // and is not overwritten
}

// The password is not seen, and the terminal echoes again afterwards, also after Ctrl-C.
func TestLoginTerminal(t *testing.T) {
	h := emptyHost(t)
	h.env = append(h.env, "DOCKER_CONFIG="+filepath.Join(filepath.Dir(h.root), "docker"))
	const absent = "127.0.0.1:1" // where nobody listens
	echoes := func(x *terminal) bool {
		mode, err := unix.IoctlGetTermios(int(x.master.Fd()), unix.TCGETS)
		return err == nil && mode.Lflag&unix.ECHO != 0
	}
	for keys, want := range map[string]int{"secret\n": 1, "\x03": 130} {
		x := h.onTerminal("login", absent)
		x.shows("Username: ")
		x.types("me\n")
		x.shows("Password: ")
		h.eventually("the terminal does not echo", func() bool { return !echoes(x) })
		x.types(keys)
		if r := x.wait(); r.code != want || strings.Contains(x.screen.String(), "secret") || !echoes(x) {
			t.Errorf("%q: exit %d, want %d, echo %v, on the screen:\n%s", keys, r.code, want, echoes(x), x.screen)
		}
	}
}
