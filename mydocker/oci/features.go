package oci

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"github.com/urfave/cli/v2"
)

// The configurations to begin with are runc's, with a cgroup namespace. The second
// leaves out what a user who is root only in a namespace of one ID may not do: limits,
// a network, a gid he has not, a sysfs of another's network namespace.
//
//go:embed config.json rootless.json
var templates embed.FS

func specCommand() *cli.Command {
	var bundle string
	var rootless bool
	return &cli.Command{Name: "spec", Usage: "write a configuration to begin with, config.json", Flags: []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory of the bundle, by default the current", Destination: &bundle},
		&cli.BoolFlag{Name: "rootless", Usage: "for a user namespace in which the caller is root", Destination: &rootless}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			return writeSpec(filepath.Join(bundle, configFile), rootless)
		}}
}

func writeSpec(path string, rootless bool) error {
	template := configFile
	if rootless {
		template = "rootless.json"
	}
	data, err := templates.ReadFile(template)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("File %s exists. Remove it first", configFile)
	}
	if err != nil {
		return err
	}
	_, err = strings.NewReplacer("UID", strconv.Itoa(os.Geteuid()), "GID", strconv.Itoa(os.Getegid())).WriteString(file, string(data))
	return errors.Join(err, file.Close())
}

func featuresCommand() *cli.Command {
	return &cli.Command{Name: "features", Usage: "print what this runtime can do, as JSON", Action: func(c *cli.Context) error {
		if err := arguments(c, 0, 0); err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "    ")
		return out.Encode(supported())
	}}
}

// supported is what the runtime implements, whatever this host has (OCI runtime
// specification, features.md). The tests try what stands here.
func supported() features.Features {
	yes, no := true, false
	archs := map[string][]string{"amd64": {"SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}, "arm64": {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}}
	return features.Features{
		OCIVersionMin: "1.0.0", OCIVersionMax: specs.Version,
		Hooks:        []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions: rootfs.OptionNames(),
		Linux: &features.Linux{
			Namespaces:   []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
			Capabilities: security.Capabilities(),
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &no, Rdma: &yes},
			Seccomp: &features.Seccomp{Enabled: &yes,
				Actions: []string{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
					"SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"},
				Operators: []string{"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"},
				Archs:     archs[runtime.GOARCH],
			},
			Apparmor: &features.Apparmor{Enabled: &no}, Selinux: &features.Selinux{Enabled: &no}, IntelRdt: &features.IntelRdt{Enabled: &no},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
		},
		Annotations: map[string]string{"org.mydocker.version": version},
	}
}
