package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/network"
)

// free is the first of count numbers that nobody has, below the ephemeral ports.
func free(t *testing.T, count int) int {
	t.Helper()
	for first := 20000; first < 30000; first += count {
		if p, err := try(t, fmt.Sprintf("%d-%d:1-%d", first, first+count-1, count), fmt.Sprintf("%d-%d:1-%d/udp", first, first+count-1, count)); err == nil {
			p.Close()
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// shown are the bindings as text.
func shown(p *Ports, port string) string {
	var all []string
	for _, b := range p.Bindings()[api.MustParsePort(port)] {
		all = append(all, net.JoinHostPort(b.HostIP.String(), b.HostPort))
	}
	return strings.Join(all, " ")
}

func take(t *testing.T, network, address string) {
	t.Helper()
	if strings.HasPrefix(network, "udp") {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func TestHold(t *testing.T) {
	n := free(t, 3)
	p := hold(t, fmt.Sprintf("%d:80", n), fmt.Sprintf("%d:80/udp", n), fmt.Sprintf("127.0.0.1:%d:81", n+1), fmt.Sprintf("[::1]:%d:81", n+2))
	for port, want := range map[string]string{
		"80/tcp": fmt.Sprintf("0.0.0.0:%d [::]:%d", n, n),
		"80/udp": fmt.Sprintf("0.0.0.0:%d [::]:%d", n, n),
		"81/tcp": fmt.Sprintf("127.0.0.1:%d [::1]:%d", n+1, n+2),
	} {
		if diff := cmp.Diff(want, shown(p, port)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", port, diff)
		}
	}
}

func TestHoldDefaultAddress(t *testing.T) {
	_, bindings, _ := ParsePublish([]string{"80", "127.0.0.3::81"})
	p, err := Hold(bindings, netip.MustParseAddr("127.0.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := shown(p, "80/tcp"); !strings.HasPrefix(got, "127.0.0.2:") || strings.Contains(got, " ") {
		t.Error(got)
	}
	if got := shown(p, "81/tcp"); !strings.HasPrefix(got, "127.0.0.3:") {
		t.Error(got)
	}
}

func TestHoldChosen(t *testing.T) {
	p := hold(t, "80", "0:81", "80/udp")
	for _, port := range []string{"80/tcp", "81/tcp", "80/udp"} {
		got := p.Bindings()[api.MustParsePort(port)]
		if len(got) != 2 || got[0].HostPort != got[1].HostPort {
			t.Fatalf("%s: %v", port, got)
		}
		if number, _ := strconv.Atoi(got[0].HostPort); number < 1024 {
			t.Errorf("%s: %d", port, number)
		}
	}
}

// TestHoldRange: the first number free in both families, the fixed ones held first.
func TestHoldRange(t *testing.T) {
	n := free(t, 5)
	take(t, "tcp4", fmt.Sprintf("127.0.0.1:%d", n))
	take(t, "tcp6", fmt.Sprintf("[::1]:%d", n+1))
	p := hold(t, fmt.Sprintf("%d-%d:79", n, n+4), fmt.Sprintf("%d:80", n+2))
	if diff := cmp.Diff(fmt.Sprintf("0.0.0.0:%d [::]:%d", n+3, n+3), shown(p, "79/tcp")); diff != "" {
		t.Error(diff)
	}
}

func TestHoldErrors(t *testing.T) {
	n := free(t, 6)
	take(t, "tcp4", fmt.Sprintf("127.0.0.1:%d", n))
	take(t, "udp6", fmt.Sprintf("[::]:%d", n))
	take(t, "tcp4", fmt.Sprintf("0.0.0.0:%d", n+1))
	for _, c := range []struct {
		specs []string
		want  string
	}{
		{[]string{"N0:80"}, "Bind for 0.0.0.0:N0 failed: port is already allocated"},
		{[]string{"127.0.0.1:N0:80"}, "Bind for 127.0.0.1:N0 failed: port is already allocated"},
		{[]string{"N0:80/udp"}, "Bind for [::]:N0 failed: port is already allocated"},
		{[]string{"N1:80"}, "Bind for 0.0.0.0:N1 failed: port is already allocated"},
		{[]string{"N0-N1:80"}, "Bind for 0.0.0.0:N0-N1 failed: all ports are allocated"},
		{[]string{"192.0.2.1:N0:80"}, "Bind for 192.0.2.1:N0 failed: cannot assign requested address"},
		{[]string{"[2001:db8::1]:N0:80"}, "Bind for [2001:db8::1]:N0 failed: cannot assign requested address"},
		{[]string{"N2:80", "N2:81"}, "Bind for 0.0.0.0:N2 failed: port is already allocated"},
		{[]string{"N2:80", "127.0.0.1:N2:81"}, "Bind for 127.0.0.1:N2 failed: port is already allocated"},
		{[]string{"N3:80", "81", "N3:80/udp", "192.0.2.1:N3:82"}, "Bind for 192.0.2.1:N3 failed: cannot assign requested address"},
	} {
		fill := strings.NewReplacer("N0", strconv.Itoa(n), "N1", strconv.Itoa(n+1), "N2", strconv.Itoa(n+2), "N3", strconv.Itoa(n+3))
		var specs []string
		for _, spec := range c.specs {
			specs = append(specs, fill.Replace(spec))
		}
		before := state(t)
		p, err := try(t, specs...)
		if err == nil || err.Error() != fill.Replace(c.want) || p != nil {
			t.Errorf("%v: %v, want %s", specs, err, fill.Replace(c.want))
		}
		if after := state(t); after != before {
			t.Errorf("%v: before %s, after %s", specs, before, after)
		}
	}
	if _, err := Hold(api.PortMap{api.MustParsePort("80/sctp"): {{}}}, netip.Addr{}); err == nil || !strings.Contains(err.Error(), "80/sctp") {
		t.Error(err)
	}
	if _, err := Hold(api.PortMap{api.MustParsePort("80/tcp"): {{HostPort: "x"}}}, netip.Addr{}); err == nil || err.Error() != "invalid hostPort: x" {
		t.Error(err)
	}
}
