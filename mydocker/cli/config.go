package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/logfile"
	"minidocker/mydocker/network/ipam"
	"minidocker/mydocker/security"
)

// configFile is where the settings are that hold for all commands, as Docker's
// /etc/docker/daemon.json.
const configFile = "/etc/mydocker/daemon.json"

// configure completes the flags by the file of settings. Only the default file may be missing.
func (s *session) configure() (engine.Config, error) {
	path := cmp.Or(s.configPath, configFile)
	data, err := os.ReadFile(path)
	if s.configPath == "" && errors.Is(err, fs.ErrNotExist) {
		data, err = []byte("{}"), nil
	}
	var c engine.Config
	if err == nil {
		c, err = parseConfig(data)
	}
	if err == nil {
		err = s.addFlags(&c)
	}
	if err != nil {
		return s.Config, fmt.Errorf("unable to configure %s with file %s: %w", name, path, err)
	}
	return c, nil
}

// addFlags adds what the flags say, which is nothing that the file says.
func (s *session) addFlags(c *engine.Config) error {
	var both []string
	for _, d := range []struct {
		key        string
		flag, file *string
	}{{"bip", &s.BridgeAddress, &c.BridgeAddress}, {"data-root", &s.Root, &c.Root}} {
		if *d.flag != "" && *d.file != "" {
			both = append(both, fmt.Sprintf("%s: (from flag: %s, from file: %s)", d.key, *d.flag, *d.file))
		}
		*d.file = cmp.Or(*d.file, *d.flag)
	}
	c.RunRoot, c.Instance = s.RunRoot, s.Instance
	c.Warn = func(text string) { fmt.Fprintln(os.Stderr, "WARNING:", text) }
	if both != nil {
		return fmt.Errorf("the following directives are specified both as a flag and in the configuration file: %s", strings.Join(both, ", "))
	}
	return nil
}

// parseConfig reads a file of settings, an object of some of Docker's keys. The error
// names all keys that are unknown, or the first whose value is wrong.
// Source: Docker, "dockerd", "Daemon configuration file".
func parseConfig(data []byte) (c engine.Config, err error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return c, err
	}
	var execOptions []string
	known := map[string]func(json.RawMessage) error{
		"bip":                   setting(&c.BridgeAddress, `"10.1.0.1/24"`, engine.CheckBridgeAddress),
		"data-root":             setting(&c.Root, `"/var/lib/mydocker"`, checkRoot),
		"default-address-pools": setting(&c.AddressPools, `[{"base": "172.30.0.0/16", "size": 24}]`, eachOf(checkAddressPool)),
		"dns":                   setting(&c.DNS, `["192.0.2.53"]`, eachOf(checkServer)),
		"exec-opts":             setting(&execOptions, `["native.cgroupdriver=cgroupfs"]`, eachOf(checkExecOption)),
		"insecure-registries":   setting(&c.InsecureRegistries, `["registry.example:5000", "10.0.0.0/8"]`, eachOf(checkInsecure)),
		"log-opts":              setting(&c.LogOptions, `{"max-size": "10m"}`, checkLogOptions),
		"userns":                setting(&c.Userns, `"private"`, engine.CheckUsernsMode),
		"userns-pool":           setting(&c.UsernsPool, `{"first": 1048576, "size": 67108864}`, security.CheckPool),
		"registry-mirrors":      setting(&c.RegistryMirrors, `["https://mirror.example/"]`, eachOf(checkMirror)),
	}
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if known[key] == nil {
			unknown = append(unknown, key)
		} else if wrong := known[key](given[key]); wrong != nil {
			err = cmp.Or(err, fmt.Errorf("%s: %w", key, wrong))
		}
	}
	if unknown != nil {
		err = fmt.Errorf("the following directives don't match any configuration option: %s", strings.Join(unknown, ", "))
	}
	for i, mirror := range c.RegistryMirrors {
		c.RegistryMirrors[i] = strings.TrimSuffix(mirror, "/") + "/"
	}
	return c, err
}

// setting reads the value of a key, of which example is one, and checks it.
func setting[T any](to *T, example string, check func(T) error) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(to)
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return fmt.Errorf("a %s where a value like %s belongs", wrong.Value, example)
		}
		if err != nil || string(value) == "null" {
			return err
		}
		return check(*to)
	}
}

func eachOf[T any](check func(T) error) func([]T) error {
	return func(all []T) error {
		for _, one := range all {
			if err := check(one); err != nil {
				return err
			}
		}
		return nil
	}
}

func checkRoot(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("%q is not an absolute path", dir)
	}
	return nil
}

func checkAddressPool(p ipam.AddressPool) error {
	if !p.Base.IsValid() {
		return errors.New("invalid base pool: a pool needs a base, such as 172.30.0.0/16")
	}
	if p.Size < p.Base.Bits() || p.Size > p.Base.Addr().BitLen() {
		return fmt.Errorf("invalid pools size: %d: subnets of %s have between %d and %d bits", p.Size, p.Base, p.Base.Bits(), p.Base.Addr().BitLen())
	}
	return nil
}

func checkServer(addr netip.Addr) error {
	if !addr.IsValid() || addr.Zone() != "" {
		return fmt.Errorf("%s is not an ip address", addr)
	}
	return nil
}

func checkExecOption(option string) error {
	key, value, ok := strings.Cut(option, "=")
	switch {
	case !ok:
		return fmt.Errorf("unable to parse key/value option: %s", option)
	case key != "native.cgroupdriver":
		return fmt.Errorf("invalid option: %s", key)
	case value != "cgroupfs":
		return fmt.Errorf("native.cgroupdriver=%s is not supported: cgroupfs is the only driver", value)
	}
	return nil
}

func checkInsecure(registry string) error {
	if strings.Contains(registry, "://") {
		return fmt.Errorf("insecure registry %s should not contain '://'", registry)
	}
	_, err := netip.ParsePrefix(registry)
	if u, wrong := url.Parse("//" + registry); err != nil && (wrong != nil || u.Host != registry || u.Hostname() == "" || u.Port() == "" && strings.HasSuffix(registry, ":")) {
		return fmt.Errorf("insecure registry %q is not valid: it is neither host[:port] nor a network such as 10.0.0.0/8", registry)
	}
	return nil
}

func checkLogOptions(options map[string]string) error {
	_, err := logfile.ParseOptions(options)
	return err
}

func checkMirror(mirror string) error {
	u, err := url.Parse(mirror)
	switch {
	case err != nil:
		return fmt.Errorf("invalid mirror: %q is not a valid URI", mirror)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("invalid mirror: unsupported scheme %q in %q", u.Scheme, mirror)
	case u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("invalid mirror: no host, or a path, query, or fragment at end of the URI %q", mirror)
	case u.User != nil:
		return fmt.Errorf("invalid mirror: username/password not allowed in URI %q", u.Redacted())
	}
	return nil
}
