package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePublish(t *testing.T) {
	for _, c := range []struct{ specs, want string }{
		{"80", "80/tcp="},
		{"0123:80", "80/tcp=123"},
		{"8080:80", "80/tcp=8080"},
		{"8080:80/UDP", "80/udp=8080"},
		{"80:80/", "80/tcp=80"},
		{"127.0.0.1::80", "80/tcp=127.0.0.1|"},
		{"127.0.0.1:8080:80/udp", "80/udp=127.0.0.1|8080"},
		{"[::1]:8080:80", "80/tcp=::1|8080"},
		{"::1:8080:80", "80/tcp=::1|8080"},
		{"[::]::80", "80/tcp=::|"},
		{"8000-8002:80-82/tcp", "80/tcp=8000 81/tcp=8001 82/tcp=8002"},
		{"8000-8010:80", "80/tcp=8000-8010"},
		{"80-81", "80/tcp= 81/tcp="},
		{"8080:80 8081:80 8080:80/udp", "80/tcp=8080,8081 80/udp=8080"},
		{"published=8080,target=80,protocol=udp,mode=host,app_protocol=http", "80/udp=8080"},
		{"target=80", "80/tcp="},
		{"target=80-81,published=8080-8081", "80/tcp=8080 81/tcp=8081"},
	} {
		ports, bindings, err := ParsePublish(strings.Fields(c.specs))
		if err != nil {
			t.Errorf("%s: %v", c.specs, err)
			continue
		}
		var all []string
		for port, list := range bindings {
			var texts []string
			for _, b := range list {
				if text := b.HostPort; b.HostIP.IsValid() {
					texts = append(texts, b.HostIP.String()+"|"+text)
				} else {
					texts = append(texts, text)
				}
			}
			all = append(all, fmt.Sprintf("%s=%s", port, strings.Join(texts, ",")))
			if _, ok := ports[port]; !ok || len(ports) != len(bindings) {
				t.Errorf("%s: ports %v", c.specs, ports)
			}
		}
		slices.Sort(all)
		if diff := cmp.Diff(c.want, strings.Join(all, " ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.specs, diff)
		}
	}
}

// TestParsePublishErrors has what docker run 28 says, but for the last group, which it
// takes for good.
func TestParsePublishErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                    "no port specified: <empty>",
		":":                   "no port specified: :<empty>",
		"80:":                 "no port specified: 80:<empty>",
		"127.0.0.1::":         "no port specified: 127.0.0.1::<empty>",
		"abc":                 "invalid containerPort: abc",
		"80:abc":              "invalid containerPort: abc",
		"80-79":               "invalid containerPort: 80-79",
		"70000":               "invalid containerPort: 70000",
		"-1":                  "invalid containerPort: -1",
		"abc:80":              "invalid hostPort: abc",
		" 80:80":              "invalid hostPort:  80",
		"8010-8000:80":        "invalid hostPort: 8010-8000",
		"70000:80":            "invalid hostPort: 70000",
		"127.0.0.1:80":        "invalid hostPort: 127.0.0.1",
		"1.2.3:80:80":         "invalid IP address: 1.2.3",
		"010.0.0.1:80:80":     "invalid IP address: 010.0.0.1",
		"host:80:80":          "invalid IP address: host",
		"fe80::1%lo:80:80":    "invalid IP address: fe80::1%lo",
		"[::1:80:80":          "invalid IP address [::1: address [::1:: missing ']' in address",
		"80/foo":              "invalid proto: foo",
		"8000-8010:80-85":     "invalid ranges specified for container and host Ports: 80-85 and 8000-8010",
		"8000:80-85":          "invalid ranges specified for container and host Ports: 80-85 and 8000",
		"published=80":        "no port specified: 80:/tcp<empty>",
		"target=80,published": "invalid publish opts format (should be name=value but got 'published')",
		"target=80,=x":        "invalid publish opts format (should be name=value but got '=x')",

		"80:80/tcp/udp":      "invalid proto: tcp/udp",
		"target=80,public=1": "invalid publish opts format (should be name=value but got 'public=1')",
		"80/sctp":            "port 80/sctp cannot be published: only ports 1-65535 of tcp and udp can",
		"8080:0":             "port 0/tcp cannot be published: only ports 1-65535 of tcp and udp can",
	} {
		if _, _, err := ParsePublish([]string{"80", spec}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", spec, err, want)
		}
	}
}

func TestParseExpose(t *testing.T) {
	for v, want := range map[string]string{
		"80":        "[80/tcp]",
		"80/":       "[80/tcp]",
		"80-82/UDP": "[80/udp 81/udp 82/udp]",
		"80/sctp":   "[80/sctp]",
		"":          "invalid range format for --expose: invalid port range: value is empty",
		"abc":       "invalid range format for --expose: invalid start port 'abc': invalid syntax",
		"1:2":       "invalid range format for --expose: invalid start port '1:2': invalid syntax",
		"90-80":     "invalid range format for --expose: invalid port range: 90-80",
		"70000":     "invalid range format for --expose: invalid start port '70000': value out of range",
	} {
		ports, err := ParseExpose(v)
		got := fmt.Sprint(ports)
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", v, diff)
		}
	}
}
