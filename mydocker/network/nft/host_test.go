package nft

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"minidocker/mydocker/namespace"
)

// A host is a network namespace of the test's own: what is done to its rules
// and links does not touch the machine.
type host struct {
	t    *testing.T
	name string // for ip netns
}

func newHost(t *testing.T, name string) host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces and nftables need root")
	}
	h := host{t, fmt.Sprintf("nft%d-%s", os.Getpid(), name)}
	run(t, "ip", "netns", "add", h.name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", h.name) })
	h.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0") // or addresses cannot be used for a second
	h.run("ip", "link", "set", "lo", "up")
	return h
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (h host) run(args ...string) string {
	h.t.Helper()
	return run(h.t, append([]string{"ip", "netns", "exec", h.name}, args...)...)
}

// nft runs a script.
func (h host) nft(script string) string {
	h.t.Helper()
	return h.run("nft", script)
}

// do calls f on a thread in the host's namespace. Sockets opened there belong
// to it for good.
func (h host) do(f func() error) error {
	return namespace.OnThread(func() error {
		ns, err := os.Open("/run/netns/" + h.name)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

func (h host) apply(r Rules) {
	h.t.Helper()
	if err := h.do(func() error { return Apply(r) }); err != nil {
		h.t.Fatal(err)
	}
}

func (h host) compare(r Rules) (differences []string) {
	h.t.Helper()
	err := h.do(func() (err error) { differences, err = Compare(r); return err })
	if err != nil {
		h.t.Fatal(err)
	}
	return differences
}
