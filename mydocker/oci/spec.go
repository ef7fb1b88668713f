package oci

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

// template is the configuration to begin with: runc's, with a cgroup namespace.
//
//go:embed config.json
var template []byte

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
			return writeSpec(filepath.Join(bundle, "config.json"), rootless)
		}}
}

func writeSpec(path string, rootless bool) error {
	var spec specs.Spec
	if err := json.Unmarshal(template, &spec); err != nil {
		return err
	}
	if rootless {
		makeRootless(&spec)
	}
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("File %s exists. Remove it first", filepath.Base(path))
	}
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(data).WriteTo(file)
	return errors.Join(err, file.Close())
}

// makeRootless leaves out what a user who is root only in a namespace of one ID may
// not do: limits, a network, a gid he has not, a sysfs of another's network namespace.
func makeRootless(spec *specs.Spec) {
	one := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(os.Geteuid()), Size: 1}}
	group := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(os.Getegid()), Size: 1}}
	linux := spec.Linux
	linux.UIDMappings, linux.GIDMappings, linux.Resources = one, group, nil
	linux.Namespaces = append(slices.DeleteFunc(linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.NetworkNamespace }),
		specs.LinuxNamespace{Type: specs.UserNamespace})
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		m.Options = slices.DeleteFunc(m.Options, func(option string) bool { return strings.HasPrefix(option, "gid=") })
		if m.Destination == "/sys" {
			m.Type, m.Source, m.Options = "none", "/sys", append([]string{"rbind"}, m.Options...)
		}
	}
}
