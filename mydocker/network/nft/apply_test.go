package nft

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// example is what the package comment shows.
func example() Rules {
	return Rules{
		Table: "mydocker",
		Networks: []Network{
			{Bridge: "mydocker0", Masquerade: true},
			{Bridge: "mydocker-8c1f2a", Internal: true, Resolver4: netip.MustParseAddr("172.19.0.1")},
		},
		Ports: []Port{
			port("tcp", "0.0.0.0", 8080, "172.18.0.2", 80),
			port("udp", "192.0.2.10", 5353, "172.18.0.2", 53),
			port("tcp", "127.0.0.1", 8081, "172.18.0.2", 80),
			port("tcp", "::", 8080, "172.18.0.2", 80),
		},
		ResolverPort: 30053,
	}
}

func port(protocol, hostIP string, hostPort uint16, ip string, port uint16) Port {
	return Port{Protocol: protocol, HostIP: netip.MustParseAddr(hostIP), HostPort: hostPort, IP: netip.MustParseAddr(ip), Port: port}
}

// normalize makes the order of elements, which is that of a hash table, and
// blanks equal.
func normalize(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, ";", " ")), " ")
	return regexp.MustCompile(`elements = \{[^}]*\}`).ReplaceAllStringFunc(s, func(list string) string {
		elements := strings.Split(strings.Trim(strings.TrimPrefix(list, "elements = "), "{ }"), ", ")
		return "elements = " + strings.Join(slices.Sorted(slices.Values(elements)), ", ")
	})
}

func TestPackageComment(t *testing.T) {
	h := newHost(t, "doc")
	source, err := os.ReadFile("nft.go")
	if err != nil {
		t.Fatal(err)
	}
	var doc strings.Builder
	for line := range strings.Lines(string(source)) {
		if after, ok := strings.CutPrefix(line, "//\t"); ok {
			doc.WriteString(after)
		} else if doc.Len() > 0 && line == "//\n" {
			doc.WriteString("\n")
		}
	}
	h.apply(example())
	if diff := cmp.Diff(normalize(doc.String()), normalize(h.nft("list table inet mydocker"))); diff != "" {
		t.Errorf("package comment (-) and kernel (+):\n%s\n%s", diff, h.nft("list table inet mydocker"))
	}
}

// TestVersion sees to it that rules of another version have another tag.
func TestVersion(t *testing.T) {
	hash := fnv.New32a()
	fmt.Fprint(hash, sets())
	for _, c := range chains(30053) {
		fmt.Fprint(hash, c.Name, c.Type)
		if c.Hooknum != nil {
			fmt.Fprint(hash, *c.Hooknum, *c.Priority, *c.Policy)
		}
		for _, r := range c.rules {
			for _, e := range r {
				b, err := expr.Marshal(unix.NFPROTO_INET, e)
				if err != nil {
					t.Fatal(err)
				}
				hash.Write(b)
			}
		}
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 && hash.Sum32() != version { // marks are in the machine's byte order
		t.Errorf("the rules have changed: version must be %#x", hash.Sum32())
	}
}

// generation counts the transactions of a namespace.
func (h host) generation() (id uint32) {
	h.t.Helper()
	err := h.do(func() error {
		conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		reply, err := conn.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
			Data:   make([]byte, 4),
		})
		if err != nil {
			return err
		}
		attributes, err := netlink.UnmarshalAttributes(reply[0].Data[4:])
		if err != nil {
			return err
		}
		id = binary.BigEndian.Uint32(attributes[0].Data)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func TestApply(t *testing.T) {
	h := newHost(t, "apply")
	h.nft("add table ip other")
	for _, test := range []struct {
		name         string
		change       func(*Rules)
		damage       func()
		differences  []string
		transactions uint32
	}{
		{name: "first", differences: []string{" is missing"}, transactions: 1},
		{name: "again"},
		{name: "ports and networks in another order", change: func(r *Rules) {
			r.Networks[0], r.Networks[1] = r.Networks[1], r.Networks[0]
			r.Ports[0], r.Ports[1] = r.Ports[1], r.Ports[0]
		}},
		{name: "more", change: func(r *Rules) { r.Ports = append(r.Ports, port("tcp", "::", 8080, "fd00::2", 80)) },
			differences: []string{": published6 lacks tcp . 8080 : fd00::2 . 80"}, transactions: 1},
		{name: "less", differences: []string{": published6 has tcp . 8080 : fd00::2 . 80, which nothing needs"}, transactions: 1},
		{name: "another container has the port", change: func(r *Rules) { r.Ports[0].IP = netip.MustParseAddr("172.18.0.3") },
			differences: []string{
				": published4 lacks tcp . 8080 : 172.18.0.3 . 80",
				": published4 has tcp . 8080 : 172.18.0.2 . 80, which nothing needs",
			}, transactions: 1},
		{name: "another network", change: func(r *Rules) { r.Networks[0].Bridge = "mydocker-000000" },
			differences: []string{
				`: bridges lacks "mydocker-000000"`,
				`: bridges has "mydocker0", which nothing needs`,
				`: masqueraded lacks "mydocker-000000"`,
				`: masqueraded has "mydocker0", which nothing needs`,
				`: inside lacks "mydocker-000000" . "mydocker-000000"`,
				`: inside has "mydocker0" . "mydocker0", which nothing needs`,
				": published4 lacks tcp . 8080 : 172.18.0.2 . 80",
				": published4 has tcp . 8080 : 172.18.0.3 . 80, which nothing needs",
			}, transactions: 1},
		{name: "another resolver port", change: func(r *Rules) { r.ResolverPort++ },
			differences: []string{": chain publish has other rules"}, transactions: 1},
		{name: "back", differences: []string{": chain publish has other rules"}, transactions: 1},
		{name: "flush ruleset", damage: func() { h.nft("flush ruleset") }, differences: []string{" is missing"}, transactions: 1},
		{name: "flush table", damage: func() { h.nft("flush table inet mydocker") },
			differences: []string{": chain publish has other rules"}, transactions: 1},
		{name: "flush set", damage: func() { h.nft("flush set inet mydocker resolvers4") }, differences: []string{
			`: resolvers4 lacks "mydocker-8c1f2a" . 172.19.0.1 . tcp . 53`,
			`: resolvers4 lacks "mydocker-8c1f2a" . 172.19.0.1 . udp . 53`,
		}, transactions: 1},
		{name: "rule deleted", damage: func() { h.nft("delete rule inet mydocker forward handle " + h.handle("oifname @internal drop")) },
			differences: []string{": chain forward has other rules"}, transactions: 1},
		{name: "rule replaced", damage: func() {
			h.nft("replace rule inet mydocker forward handle " + h.handle("ct status dnat accept") + " accept")
		},
			differences: []string{": chain forward has other rules"}, transactions: 1},
		{name: "rule added", damage: func() { h.nft("insert rule inet mydocker forward accept") },
			differences: []string{": chain forward has other rules"}, transactions: 1},
		{name: "chain added", damage: func() { h.nft("add chain inet mydocker mine") }, differences: []string{" has other chains"}, transactions: 1},
		{name: "policy", damage: func() { h.nft("chain inet mydocker forward { policy drop; }") }, differences: []string{" has other chains"}, transactions: 1},
		{name: "dormant", damage: func() { h.nft("add table inet mydocker { flags dormant; }") }, differences: []string{" is dormant"}, transactions: 1},
		{name: "200 ports", change: ports(200), transactions: 1},
		{name: "5000 ports", change: ports(5000), transactions: 1},
		{name: "5000 ports again", change: ports(5000)},
		{name: "few", transactions: 1},
		{name: "none", change: func(r *Rules) { r.Networks = nil }, differences: []string{" is there and nothing needs it"}, transactions: 1},
		{name: "none again", change: func(r *Rules) { r.Networks = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := host{t, h.name}
			rules := example()
			if test.change != nil {
				test.change(&rules)
			}
			if test.damage != nil {
				test.damage()
			}
			differences := h.compare(rules)
			for i := range test.differences {
				test.differences[i] = "nftables table inet mydocker" + test.differences[i]
			}
			if diff := cmp.Diff(test.differences, differences); diff != "" && !strings.Contains(test.name, "00 ports") && test.name != "few" {
				t.Errorf("differences:\n%s", diff)
			}
			before := h.generation()
			start := time.Now()
			h.apply(rules)
			t.Log(time.Since(start))
			if got := h.generation() - before; got != test.transactions {
				t.Errorf("%d transactions, want %d", got, test.transactions)
			}
			if differences := h.compare(rules); differences != nil {
				t.Errorf("after Apply: %q", differences)
			}
		})
	}
	if tables := h.nft("list tables"); tables != "" {
		t.Errorf("left: %s", tables)
	}
}

func ports(n int) func(*Rules) {
	return func(r *Rules) {
		for i := range n {
			r.Ports = append(r.Ports, port("tcp", "0.0.0.0", uint16(10000+i), "172.18.0.2", uint16(i)))
			r.Ports = append(r.Ports, port("udp", "fd00::1", uint16(10000+i), "fd00::2", uint16(i)))
		}
	}
}

// handle returns the handle of a rule as nft prints it.
func (h host) handle(rule string) string {
	h.t.Helper()
	for line := range strings.Lines(h.run("nft", "-a", "list", "table", "inet", "mydocker")) {
		if before, after, ok := strings.Cut(strings.TrimSpace(line), " # handle "); ok && before == rule {
			if _, err := strconv.Atoi(after); err == nil {
				return after
			}
		}
	}
	h.t.Fatalf("no rule %q", rule)
	return ""
}

func TestApplyAtOnce(t *testing.T) {
	h := newHost(t, "once")
	errs := make(chan error)
	for i := range 8 {
		go func() {
			rules := example()
			ports(i * 50)(&rules)
			errs <- h.do(func() error { return Apply(rules) })
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	h.apply(example())
	if differences := h.compare(example()); differences != nil {
		t.Error(differences)
	}
}

// BenchmarkApply measures what the start of a container pays: unchanged rules,
// and a port more and less. It runs in a process of its own in a network namespace of
// its own, because a goroutine that is bound to a thread, as in [host.do], waits
// three times as long for a socket.
func BenchmarkApply(b *testing.B) {
	if os.Getenv("NFT_BENCHMARK") == "" {
		cmd := exec.Command("unshare", "--net", os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkApply$", "-test.benchmem")
		cmd.Env = append(os.Environ(), "NFT_BENCHMARK=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		fmt.Printf("%s", out)
		return
	}
	for name, n := range map[string]int{"0 ports": 0, "200 ports": 100} {
		same, more := example(), example()
		ports(n)(&same)
		ports(n + 1)(&more)
		b.Run(name+"/same", func(b *testing.B) { benchmark(b, same, same) })
		b.Run(name+"/more and less", func(b *testing.B) { benchmark(b, same, more) })
	}
}

func benchmark(b *testing.B, first, second Rules) {
	for b.Loop() {
		for _, r := range []Rules{first, second} {
			if err := Apply(r); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(2*b.N), "µs/Apply")
}
