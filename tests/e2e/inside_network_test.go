package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const dockerHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters`

func TestInsideFiles(t *testing.T) {
	h := newHost(t)
	equal(t, "hosts", h.ok("run", "--rm", "--network", "none", "busybox", "cat", "/etc/hosts"), dockerHosts)
	equal(t, "-h", h.ok("run", "--rm", "-h", "a.b.c", "busybox", "sh", "-c", "hostname; cat /etc/hostname /proc/sys/kernel/domainname; echo $HOSTNAME"), "a.b.c\na.b.c\n(none)\na.b.c")
	equal(t, "modes", h.ok("run", "--rm", "--userns", "host", "busybox", "stat", "-c", "%a %u:%g", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys"),
		"644 0:0\n644 0:0\n644 0:0\n555 0:0\n555 0:0")
	resolv, _ := os.ReadFile("/etc/resolv.conf") // a host may have none
	equal(t, "resolv.conf", nameservers(h.ok("run", "--rm", "--network", "host", "busybox", "cat", "/etc/resolv.conf")), nameservers(string(resolv)))

	// Without -h, the first twelve characters of the ID. A container may write
	// the files; each start makes them anew.
	id := h.ok("run", "-d", "--network", "none", "busybox", "sh", "-c", "echo 10.1.2.3 me >> /etc/hosts; hostname; cat /etc/hostname; sleep 1000")
	h.eventually("output", func() bool { return strings.Count(h.ok("logs", id), "\n") == 1 })
	equal(t, "hosts", h.ok("exec", id, "cat", "/etc/hosts"), dockerHosts+"\n10.1.2.3 me")
	equal(t, "hostname", h.ok("logs", id), id[:12]+"\n"+id[:12])
	h.ok("stop", "-t", "0", id)
	h.ok("start", id)
	h.eventually("output", func() bool { return strings.Count(h.ok("logs", id), "\n") == 3 })
	equal(t, "hosts after start", h.ok("exec", id, "cat", "/etc/hosts"), dockerHosts+"\n10.1.2.3 me")
}

func nameservers(resolv string) string {
	var list []string
	for line := range strings.Lines(resolv) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nameserver" {
			list = append(list, f[1])
		}
	}
	return strings.Join(list, " ")
}

func TestInsideLoopback(t *testing.T) {
	h := newHost(t)
	out := h.ok("run", "--rm", "--network", "none", "busybox", "sh", "-c", `
		ls /sys/class/net; ip addr show lo | head -1 | cut -d' ' -f3; ping -c 1 -W 5 127.0.0.1 | grep -o '1 packets received'
		nc -l -p 5000 -e echo hello & until netstat -ltn | grep -q :5000; do kill -0 $! || exit 1; done
		nc 127.0.0.1 5000 < /dev/null; ip route | wc -l`)
	equal(t, "loopback", out, "lo\n<LOOPBACK,UP,LOWER_UP>\n1 packets received\nhello\n0")
	interfaces, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	inside := h.ok("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net")
	for _, i := range interfaces { // others come and go
		if i.Name() == "lo" || i.Name() == "eth0" {
			if !slices.Contains(strings.Split(inside, "\n"), i.Name()) {
				t.Errorf("--network host: no %s in %q", i.Name(), inside)
			}
		}
	}
}

func TestInsideSysctls(t *testing.T) {
	h := newHost(t)
	const show = "cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/ip_forward kernel/msgmax"
	equal(t, "Docker's", strings.Split(h.ok("run", "--rm", "busybox", "sh", "-c", show), "\n")[0], "0")
	equal(t, "Docker's", strings.Split(h.ok("run", "--rm", "--userns", "host", "busybox", "sh", "-c", show), "\n")[1], "0\t2147483647")
	equal(t, "--sysctl", h.ok("run", "--rm", "--userns", "host", "--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=1234", "--sysctl", "net.ipv4.ip_unprivileged_port_start=99",
		"busybox", "sh", "-c", show), "99\n0\t2147483647\n1\n1234")
	h.fails(125, []string{"sysctl 'kernel.panic"}, "run", "--rm", "--sysctl", "kernel.panic=1", "busybox", "true")
	h.fails(125, []string{"net/nope", "no such file or directory"}, "run", "--rm", "--sysctl", "net.nope=1", "busybox", "true")
	if r := h.try("run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "busybox", "true"); r.code != 125 {
		t.Errorf("net.* would be the host's: %s", r)
	}
	// A user may serve port 80 and ping.
	equal(t, "port 80", h.ok("run", "--rm", "-u", "student", "busybox", "sh", "-c", "nc -l -p 80 >/dev/null & until netstat -ltn | grep -q ':80 '; do kill -0 $! || exit 1; done; echo up"), "up")
}
