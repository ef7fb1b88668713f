package engine

import (
	"fmt"
	"slices"
	"strings"

	"minidocker/mydocker/security"
)

// privileges looks for the capabilities (capabilities(7)) that a process of root
// usually has, and in a virtual machine or container may lack.
func (d *doctor) privileges() {
	outside := "run as root and outside of other containers (or in one with --cap-add %s)"
	available, err := security.AvailableCapabilities()
	if err != nil {
		d.add(Finding{Name: "privileges", Fatal: true, Detail: err.Error(), Fix: fmt.Sprintf(outside, "ALL")})
		return
	}
	d.add(Finding{Name: "privileges", OK: true, Detail: fmt.Sprintf("%d capabilities", len(available))})
	missing := func(name string, fatal bool, without string) {
		d.add(Finding{Name: name, Fatal: fatal, Detail: "missing; without it " + without,
			Fix: fmt.Sprintf(outside, strings.TrimPrefix(name, "CAP_"))})
	}
	for _, need := range []struct {
		name    string
		fatal   bool
		without string
	}{
		{"CAP_SYS_ADMIN", true, "nothing can be mounted and no namespace made"},
		{"CAP_CHOWN", true, "images cannot be unpacked"},
		{"CAP_DAC_OVERRIDE", true, "images cannot be unpacked"},
		{"CAP_FOWNER", true, "images cannot be unpacked"},
		{"CAP_MKNOD", true, "containers get no /dev, and deleted files cannot be hidden"},
		{"CAP_SETUID", true, "a container's user cannot be set"},
		{"CAP_SETGID", true, "a container's groups cannot be set"},
		{"CAP_SETPCAP", true, "a container's capabilities cannot be limited"},
		{"CAP_KILL", true, "a container of another user cannot be stopped"},
		{"CAP_SYS_PTRACE", false, "exec cannot enter the container of another user"},
		{"CAP_NET_ADMIN", false, "only the networks none and host work"},
		{"CAP_SYS_RESOURCE", false, "--ulimit cannot exceed the caller's own limits, and --privileged containers lack it too"},
	} {
		if !slices.Contains(available, need.name) {
			missing(need.name, need.fatal, need.without)
		}
		available = append(available, need.name) // told
	}
	for _, name := range security.DefaultCapabilities() {
		if !slices.Contains(available, name) {
			missing(name, false, "containers, which have it by default, do not get it")
		}
	}
}
