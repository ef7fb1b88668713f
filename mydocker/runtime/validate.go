package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/security"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Warnings says what of a process cannot be honoured and is no error by the
// specification, in runc's words.
func Warnings(process *specs.Process) (warnings []string) {
	if unknown := security.UnknownCapabilities(process.Capabilities); len(unknown) > 0 {
		warnings = append(warnings, fmt.Sprintf("ignoring unknown or unavailable capabilities: %v", unknown))
	}
	return warnings
}

// Validate refuses, before anything is made, what the OCI runtime specification
// forbids and what is not supported; hasRoot: the root is not at its path yet. Where
// runc checks the same, callers may look for its words.
func Validate(spec *specs.Spec, hasRoot bool) error {
	if spec.Linux == nil {
		return errors.New("specification: there is no linux section")
	}
	if spec.Solaris != nil || spec.Windows != nil || spec.VM != nil || spec.ZOS != nil || spec.FreeBSD != nil {
		return errors.New("specification: a section for another platform than linux")
	}
	switch {
	case spec.Linux.IntelRdt != nil:
		return errors.New("intelRdt is specified in config, but Intel RDT is not supported")
	case len(spec.Linux.NetDevices) > 0:
		return errors.New("linux.netDevices is not supported")
	}
	return cmp.Or(validateProcess(spec.Process, spec.Linux), validateRoot(spec.Root, hasRoot), validateNamespaces(spec),
		validateSysctls(spec.Linux), validateMounts(spec.Mounts), validateHooks(spec.Hooks))
}

func validateProcess(process *specs.Process, linux *specs.Linux) error {
	switch {
	case process == nil:
		return errors.New("process property must not be empty")
	case process.Cwd == "":
		return errors.New("Cwd property must not be empty")
	case !filepath.IsAbs(process.Cwd):
		return errors.New("Cwd must be an absolute path")
	case len(process.Args) == 0:
		return errors.New("args must not be empty")
	case process.CommandLine != "":
		return errors.New("process.commandLine is for another platform than linux")
	case process.SelinuxLabel != "" && !selinux():
		return errors.New("selinux label is specified in config, but selinux is disabled or not supported")
	}
	for _, variable := range process.Env {
		switch name, _, ok := strings.Cut(variable, "="); {
		case !ok:
			return fmt.Errorf("invalid environment variable: %q", variable)
		case name == "":
			return fmt.Errorf("environment variable name can't be empty: %q", variable)
		}
	}
	for i, limit := range process.Rlimits {
		if slices.ContainsFunc(process.Rlimits[:i], func(other specs.POSIXRlimit) bool { return other.Type == limit.Type }) {
			return fmt.Errorf("rlimit %s is specified twice", limit.Type)
		}
	}
	_, err := security.Scheduling(process, 0)
	_, err2 := security.Properties(linux)
	return cmp.Or(err, err2)
}

func validateRoot(root *specs.Root, given bool) error {
	if root == nil || root.Path == "" {
		return errors.New("root must be specified")
	}
	if given {
		return nil
	}
	info, err := os.Stat(root.Path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", root.Path)
	}
	if err != nil {
		return fmt.Errorf("invalid rootfs: %w", err)
	}
	return nil
}

func validateNamespaces(spec *specs.Spec) error {
	linux := spec.Linux
	has := func(kind specs.LinuxNamespaceType) bool { return namespace.Find(linux.Namespaces, kind) != nil }
	for i, ns := range linux.Namespaces {
		if _, err := namespace.CloneFlags([]specs.LinuxNamespace{ns}); err != nil {
			return fmt.Errorf("namespace {%q %q} does not exist", ns.Type, ns.Path)
		}
		if slices.ContainsFunc(linux.Namespaces[:i], func(other specs.LinuxNamespace) bool { return other.Type == ns.Type }) {
			return fmt.Errorf("malformed spec file: duplicated ns {%q %q}", ns.Type, ns.Path)
		}
	}
	switch {
	case !has(specs.MountNamespace) && len(linux.MaskedPaths)+len(linux.ReadonlyPaths) > 0:
		return errors.New("unable to restrict sys entries without a private MNT namespace")
	case !has(specs.MountNamespace) && has(specs.UserNamespace):
		return errors.New("a container with a user namespace, but without a mount namespace of its own, is not supported")
	case spec.Hostname != "" && !has(specs.UTSNamespace):
		return errors.New("unable to set hostname without a private UTS namespace")
	case spec.Domainname != "" && !has(specs.UTSNamespace):
		return errors.New("unable to set domainname without a private UTS namespace")
	case len(linux.TimeOffsets) > 0 && !has(specs.TimeNamespace):
		return errors.New("time namespace offsets specified, but time namespace isn't enabled in the config")
	}
	for clock := range linux.TimeOffsets {
		if clock != "boottime" && clock != "monotonic" {
			return fmt.Errorf("invalid clock of a time namespace: %q", clock)
		}
	}
	return nil
}

// validateSysctls refuses a kernel parameter that is not of a namespace which the
// container has for itself: it would be set for the host.
func validateSysctls(linux *specs.Linux) error {
	own := func(kind specs.LinuxNamespaceType) bool {
		ns := namespace.Find(linux.Namespaces, kind)
		return ns != nil && (ns.Path == "" || !isHosts(kind, ns.Path))
	}
	for name := range linux.Sysctl {
		switch dotted := dottedSysctl(name); {
		case slices.Contains([]string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
			"kernel.shmmni", "kernel.shm_rmid_forced"}, dotted) || strings.HasPrefix(dotted, "fs.mqueue."):
			if !own(specs.IPCNamespace) {
				return fmt.Errorf("sysctl %q is not allowed in the hosts ipc namespace", name)
			}
		case strings.HasPrefix(dotted, "net."):
			if !own(specs.NetworkNamespace) {
				return fmt.Errorf("sysctl %q not allowed in host network namespace", name)
			}
		case dotted == "kernel.domainname" && own(specs.UTSNamespace):
		case dotted == "kernel.hostname" && own(specs.UTSNamespace):
			return fmt.Errorf("sysctl %q is not allowed as it conflicts with the OCI %q field", name, "hostname")
		default:
			return fmt.Errorf("sysctl %q is not in a separate kernel namespace", name)
		}
	}
	return nil
}

// isHosts tells whether a namespace's path leads to that of this process.
func isHosts(kind specs.LinuxNamespaceType, path string) bool {
	file := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"}[kind]
	ours, err := os.Stat("/proc/self/ns/" + file)
	theirs, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(ours, theirs)
}

// dottedSysctl writes a parameter with dots between its parts: sysctl(8) also
// takes slashes, and then a dot in "net/ipv4/conf/eth0.1/forwarding" is a part's own.
func dottedSysctl(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '.' {
		return name
	}
	return strings.NewReplacer("/", ".", ".", "/").Replace(name)
}

func validateMounts(mounts []specs.Mount) error {
	for _, m := range mounts {
		switch {
		case m.Destination == "":
			return fmt.Errorf("invalid mount of %q: its destination is empty", m.Source)
		case slices.Contains(m.Options, "tmpcopyup") && m.Type != "tmpfs":
			return fmt.Errorf("mount %s: tmpcopyup is for a tmpfs", m.Destination)
		}
	}
	return nil
}

func validateHooks(hooks *specs.Hooks) error {
	if hooks == nil {
		return nil
	}
	for _, hook := range slices.Concat(hooks.Prestart, hooks.CreateRuntime, hooks.CreateContainer, hooks.StartContainer, hooks.Poststart, hooks.Poststop) {
		if !filepath.IsAbs(hook.Path) {
			return fmt.Errorf("hook path %q is not absolute", hook.Path)
		}
		if hook.Timeout != nil && *hook.Timeout <= 0 {
			return fmt.Errorf("hook %s: timeout %d is not above zero", hook.Path, *hook.Timeout)
		}
	}
	return nil
}
