package cli

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/monitor"
	"minidocker/mydocker/network/ipam"
)

const wholeConfig = `{
	"registry-mirrors": ["http://127.0.0.1:5000", "https://mirror.example/"],
	"insecure-registries": ["registry.example:5000", "10.0.0.0/8", "[fd00::1]:5000", "host"],
	"data-root": "/srv/containers",
	"bip": "10.1.0.1/24",
	"dns": ["192.0.2.53", "fd00::53"],
	"default-address-pools": [{"base": "172.30.0.0/16", "size": 24}, {"base": "fd01::/48", "size": 64}],
	"log-opts": {"max-size": "10m", "max-file": "3", "tag": "{{.Name}}"},
	"exec-opts": ["native.cgroupdriver=cgroupfs"]
}`

func TestParseConfig(t *testing.T) {
	want := engine.Config{
		Root: "/srv/containers",
		Settings: monitor.Settings{
			BridgeAddress: "10.1.0.1/24", DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("fd00::53")},
			AddressPools: []ipam.AddressPool{{Base: netip.MustParsePrefix("172.30.0.0/16"), Size: 24}, {Base: netip.MustParsePrefix("fd01::/48"), Size: 64}},
		},
		RegistryMirrors:    []string{"http://127.0.0.1:5000/", "https://mirror.example/"},
		InsecureRegistries: []string{"registry.example:5000", "10.0.0.0/8", "[fd00::1]:5000", "host"},
		LogOptions:         map[string]string{"max-size": "10m", "max-file": "3", "tag": "{{.Name}}"},
	}
	got, err := parseConfig([]byte(wholeConfig))
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	for _, empty := range []string{`{}`, ` { } `, `{"dns": null, "bip": null, "log-opts": {}, "dns": []}`} {
		if _, err := parseConfig([]byte(empty)); err != nil {
			t.Errorf("%s: %v", empty, err)
		}
	}
}

func TestParseConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:    "unexpected end of JSON input",
		`{x}`: "invalid character 'x' looking for beginning of object key string",
		`[]`:  "json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
		`{"icc": false, "bip": 1, "debug": true}`:                "the following directives don't match any configuration option: debug, icc",
		`{"BIP": "10.1.0.1/24"}`:                                 "the following directives don't match any configuration option: BIP",
		`{"bip": 1}`:                                             `bip: a number where a value like "10.1.0.1/24" belongs`,
		`{"dns": "192.0.2.53"}`:                                  `dns: a string where a value like ["192.0.2.53"] belongs`,
		`{"log-opts": {"max-size": 10}}`:                         `log-opts: a number where a value like {"max-size": "10m"} belongs`,
		`{"bip": "10.1.0.0/24"}`:                                 `bip: invalid address of the default bridge (--bip): "10.1.0.0/24": an IPv4 address with the length of its subnet, such as 10.1.0.1/24`,
		`{"data-root": "containers"}`:                            `data-root: "containers" is not an absolute path`,
		`{"dns": ["192.0.2.53", "x"]}`:                           `dns: ParseAddr("x"): unable to parse IP`,
		`{"dns": [""]}`:                                          `dns: invalid IP is not an ip address`,
		`{"dns": ["fe80::1%eth0"]}`:                              `dns: fe80::1%eth0 is not an ip address`,
		`{"default-address-pools": [{"size": 24}]}`:              `default-address-pools: invalid base pool: a pool needs a base, such as 172.30.0.0/16`,
		`{"default-address-pools": [{"base": "10.0.0.0/16"}]}`:   `default-address-pools: invalid pools size: 0: subnets of 10.0.0.0/16 have between 16 and 32 bits`,
		`{"default-address-pools": [{"bas": "10.0.0.0/16"}]}`:    `default-address-pools: json: unknown field "bas"`,
		`{"default-address-pools": [{"base": "x", "size": 24}]}`: `default-address-pools: netip.ParsePrefix("x"): no '/'`,
		`{"log-opts": {"size": "10"}}`:                           "log-opts: unknown log opt 'size' for json-file log driver",
		`{"log-opts": {"max-file": "0"}}`:                        "log-opts: max-file cannot be less than 1",
		`{"exec-opts": ["native.cgroupdriver=systemd"]}`:         "exec-opts: native.cgroupdriver=systemd is not supported: cgroupfs is the only driver",
		`{"exec-opts": ["native.umask=normal"]}`:                 "exec-opts: invalid option: native.umask",
		`{"exec-opts": ["cgroupfs"]}`:                            "exec-opts: unable to parse key/value option: cgroupfs",
		`{"registry-mirrors": ["mirror.example"]}`:               `registry-mirrors: invalid mirror: unsupported scheme "" in "mirror.example"`,
		`{"registry-mirrors": ["https://u:p@mirror.example/"]}`:  `registry-mirrors: invalid mirror: username/password not allowed in URI "https://u:xxxxx@mirror.example/"`,
		`{"registry-mirrors": ["https://mirror.example/?a=b"]}`:  `registry-mirrors: invalid mirror: no host, or a path, query, or fragment at end of the URI "https://mirror.example/?a=b"`,
		`{"registry-mirrors": ["https://mirror.example/v2"]}`:    `registry-mirrors: invalid mirror: no host, or a path, query, or fragment at end of the URI "https://mirror.example/v2"`,
		`{"registry-mirrors": ["https://"]}`:                     `registry-mirrors: invalid mirror: no host, or a path, query, or fragment at end of the URI "https://"`,
		`{"insecure-registries": ["http://10.0.0.1"]}`:           "insecure-registries: insecure registry http://10.0.0.1 should not contain '://'",
		`{"insecure-registries": ["10.0.0.0/99"]}`:               `insecure-registries: insecure registry "10.0.0.0/99" is not valid: it is neither host[:port] nor a network such as 10.0.0.0/8`,
		`{"insecure-registries": ["a:b"]}`:                       `insecure-registries: insecure registry "a:b" is not valid: it is neither host[:port] nor a network such as 10.0.0.0/8`,
		`{"insecure-registries": [""]}`:                          `insecure-registries: insecure registry "" is not valid: it is neither host[:port] nor a network such as 10.0.0.0/8`,
	} {
		if _, err := parseConfig([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s:\n %v, want\n %s", text, err, want)
		}
	}
}

func TestConfigure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "daemon.json")
	s := &session{configPath: file, Config: engine.Config{RunRoot: "/r", Instance: "i"}}
	if _, err := s.configure(); err == nil || !strings.HasSuffix(err.Error(), "open "+file+": no such file or directory") {
		t.Errorf("a named file is missing: %v", err)
	}
	if err := os.WriteFile(file, []byte(wholeConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := s.configure(); err != nil || c.RunRoot != "/r" || c.Instance != "i" || c.Root != "/srv/containers" {
		t.Errorf("%+v, %v", c, err)
	}
	s.Root, s.BridgeAddress = "/x", "10.2.0.1/24"
	want := "unable to configure mydocker with file " + file + ": the following directives are specified both as a flag and in the configuration file: " +
		"bip: (from flag: 10.2.0.1/24, from file: 10.1.0.1/24), data-root: (from flag: /x, from file: /srv/containers)"
	if _, err := s.configure(); err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := s.configure(); err != nil || c.Root != "/x" || c.BridgeAddress != "10.2.0.1/24" {
		t.Errorf("%+v, %v", c, err)
	}
}

// FuzzParseConfig: what is accepted can be worked with.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(wholeConfig))
	f.Add([]byte(`{"bip": null, "dns": [null], "insecure-registries": ["::1/128"], "default-address-pools": [null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			return
		}
		for _, addr := range c.DNS {
			if !addr.IsValid() {
				t.Errorf("an invalid name server of %s", data)
			}
		}
		for _, pool := range c.AddressPools {
			if first := netip.PrefixFrom(pool.Base.Masked().Addr(), pool.Size); !first.IsValid() || !pool.Base.Overlaps(first) {
				t.Errorf("an invalid pool %v of %s", pool, data)
			}
		}
		for _, mirror := range c.RegistryMirrors {
			if !strings.HasPrefix(mirror, "http") || !strings.HasSuffix(mirror, "/") {
				t.Errorf("an invalid mirror %q of %s", mirror, data)
			}
		}
		if c.Root != "" && !filepath.IsAbs(c.Root) {
			t.Errorf("an invalid root %q of %s", c.Root, data)
		}
	})
}
