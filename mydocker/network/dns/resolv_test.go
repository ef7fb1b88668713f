package dns

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseConfig(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"all", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.test b.test\noptions ndots:2 edns0\n",
			"nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.test b.test\noptions ndots:2 edns0\n"},
		{"no final newline, tabs", "\tnameserver\t192.0.2.1", "nameserver 192.0.2.1\n"},
		{"comments", "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver 192.0.2.3 # mine\n", "nameserver 192.0.2.3\n"},
		{"no addresses", "nameserver\nnameserver dns.test\nnameserver 192.0.2\n", ""},
		{"unknown lines", "sortlist 192.0.2.0\nlookup file bind\nname\n\n", ""},
		{"the last search", "search a.test\ndomain b.test\n", "search b.test\n"},
		{"an empty search", "search a.test\nsearch\n", "search a.test\n"},
		{"options add up", "options ndots:2\noptions\noptions rotate timeout:1\n", "options ndots:2 rotate timeout:1\n"},
		{"of Windows", "nameserver 192.0.2.1\r\nsearch a.test\r\n", "nameserver 192.0.2.1\nsearch a.test\n"},
	} {
		if diff := cmp.Diff(test.want, ParseConfig(test.text).String()); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
}

func TestHostConfig(t *testing.T) {
	const (
		resolved = "nameserver 192.0.2.7\nsearch resolved.test\n"
		public   = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
	)
	for _, test := range []struct{ name, own, resolved, want string }{
		{"remote", "nameserver 192.0.2.1\nsearch a.test\n", resolved, "nameserver 192.0.2.1\nsearch a.test\n"},
		{"the stub", "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch a.test\n", resolved, resolved},
		{"the stub without its upstreams", "nameserver 127.0.0.53\n", "", public},
		{"the stub and another", "nameserver 127.0.0.53\nnameserver 192.0.2.1\n", resolved, "nameserver 192.0.2.1\n"},
		{"loopback", "nameserver 127.0.0.1\nnameserver ::1\nnameserver 127.9.9.9\nsearch a.test\n", "", public + "search a.test\n"},
		{"a link of the host", "nameserver fe80::1%eth0\n", "", public},
		{"nothing", "", "", public},
	} {
		if diff := cmp.Diff(test.want, hostConfig(test.own, test.resolved).String()); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
}
