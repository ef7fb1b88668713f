package cli

import (
	"strings"
	"testing"

	"github.com/moby/moby/api/types/system"

	"minidocker/mydocker/engine"
)

func TestFindings(t *testing.T) {
	var out strings.Builder
	fatal := printFindings(&out, []engine.Finding{
		{Name: "kernel", OK: true, Fatal: true, Detail: "6.1"},
		{Name: "nftables", Detail: "not in the kernel", Fix: "modprobe nf_tables"},
	})
	want := `kernel    ok  6.1
nftables  no  not in the kernel
              fix: modprobe nf_tables
`
	if out.String() != want || fatal {
		t.Errorf("fatal %v, got:\n%swant:\n%s", fatal, out.String(), want)
	}
	if !printFindings(&out, []engine.Finding{{Name: "overlay", Fatal: true}}) {
		t.Error("overlay is missing and that is not fatal")
	}
}

func TestLeaks(t *testing.T) {
	var out strings.Builder
	left := printLeaks(&out, []engine.Leak{
		{Kind: "cgroup", Object: "/sys/fs/cgroup/x", Reason: "no such container"},
		{Kind: "mount", Object: "/y", Reason: "its container is dead", Repaired: true},
	})
	want := "cgroup /sys/fs/cgroup/x: no such container\nmount /y: its container is dead (repaired)\n"
	if out.String() != want || left != 1 {
		t.Errorf("%d left, got:\n%swant:\n%s", left, out.String(), want)
	}
}

func TestInfo(t *testing.T) {
	var out strings.Builder
	text, err := parseTemplate(infoText)
	if err != nil {
		t.Fatal(err)
	}
	printInfo(&out, text, system.Info{Containers: 2, Driver: "overlay", MemTotal: 1 << 30, SecurityOptions: []string{"name=seccomp,profile=builtin"}})
	for _, line := range []string{"Containers: 2\n", "Storage Driver: overlay\n", "Total Memory: 1GiB\n", "Security Options:\n seccomp\n  Profile: builtin\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}
