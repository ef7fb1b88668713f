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
//go:embed templates
var templates embed.FS

func writeSpec(c *cli.Context, _ string) error {
	template := configFile
	if c.Bool("rootless") {
		template = "rootless.json"
	}
	data, err := templates.ReadFile("templates/" + template)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(c.String("bundle"), configFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("File %s exists. Remove it first", configFile)
	}
	if err != nil {
		return err
	}
	_, err = strings.NewReplacer("UID", strconv.Itoa(os.Geteuid()), "GID", strconv.Itoa(os.Getegid())).WriteString(file, string(data))
	return errors.Join(err, file.Close())
}

func printFeatures(*cli.Context, string) error {
	f, err := supported()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "    ")
	return out.Encode(f)
}

// supported is what the runtime implements, whatever this host has (OCI runtime
// specification, features.md). The tests try what stands in the file.
func supported() (f features.Features, err error) {
	data, err := templates.ReadFile("templates/features.json")
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil {
		archs := map[string][]string{"amd64": {"SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}, "arm64": {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}}
		f.OCIVersionMax, f.MountOptions = specs.Version, rootfs.OptionNames()
		f.Linux.Capabilities, f.Linux.Seccomp.Archs = security.Capabilities(), archs[runtime.GOARCH]
	}
	return f, err
}
