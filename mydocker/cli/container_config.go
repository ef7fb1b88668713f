package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/docker/cli/pkg/kvfile"
	api "github.com/moby/moby/api/types/container"
)

// config is what Docker's command line sends to the engine for these flags.
// words are IMAGE [COMMAND] [ARG...].
func (o *containerOptions) config(words []string) (*api.Config, *api.HostConfig, error) {
	env, err := environmentOf(o.envFiles, o.env)
	if err != nil {
		return nil, nil, err
	}
	labels, err := o.labelMap()
	if err != nil {
		return nil, nil, err
	}
	security, unconfinedPaths, err := securityOptions(o.security)
	if err != nil {
		return nil, nil, err
	}
	binds, err := bindsOf(o.volumes)
	if err != nil {
		return nil, nil, err
	}
	c := &api.Config{
		Hostname: o.hostname, User: o.user, WorkingDir: o.workdir,
		Tty: o.tty, OpenStdin: o.interactive,
		AttachStdin:  o.interactive || slices.Contains(o.attach, "stdin"),
		AttachStdout: len(o.attach) == 0 || slices.Contains(o.attach, "stdout"),
		AttachStderr: len(o.attach) == 0 || slices.Contains(o.attach, "stderr"),
		Env:          env, Labels: labels,
		Image: words[0], Cmd: words[1:],
		StopSignal: o.stopSignal, StopTimeout: o.stopTimeout,
	}
	if len(c.Cmd) == 0 {
		c.Cmd = nil // that of the image
	}
	if o.entrypoint != nil {
		c.Entrypoint = []string{*o.entrypoint}
	}
	// The container's input ends with the client that was attached from the start.
	c.StdinOnce = c.OpenStdin && c.AttachStdin

	h := &api.HostConfig{
		Binds: binds, Mounts: o.mounts, Tmpfs: tmpfsMap(o.tmpfs),
		ContainerIDFile: o.cidfile, AutoRemove: o.remove,
		NetworkMode: api.NetworkMode(o.network), RestartPolicy: api.RestartPolicy{Name: api.RestartPolicyDisabled},
		DNS: []netip.Addr{}, DNSOptions: []string{}, DNSSearch: []string{},
		CapAdd: capabilities(o.capAdd), CapDrop: capabilities(o.capDrop), GroupAdd: o.groups,
		Privileged: o.privileged, ReadonlyRootfs: o.readOnly, SecurityOpt: security,
		ShmSize: o.shmSize, Sysctls: o.sysctls,
		Resources: api.Resources{
			Memory: o.memory, MemorySwap: o.swap,
			NanoCPUs: o.cpus, CPUShares: o.cpuShares, CpusetCpus: o.cpuset,
			Ulimits: o.ulimitList(),
		},
	}
	if unconfinedPaths {
		h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	}
	if o.network == "" {
		h.NetworkMode = "none"
	}
	if o.pidsLimit != 0 {
		h.PidsLimit = &o.pidsLimit
	}
	return c, h, nil
}

// capabilities brings names such as net_admin to CAP_NET_ADMIN; ALL outdoes the rest.
func capabilities(given []string) (names []string) {
	for _, c := range given {
		if c = strings.ToUpper(strings.TrimSpace(c)); c == "ALL" || c == "CAP_ALL" {
			return []string{"ALL"}
		}
		names = append(names, "CAP_"+strings.TrimPrefix(c, "CAP_"))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// environmentOf reads the files first, so that -e overrides them.
func environmentOf(files, given []string) (env []string, err error) {
	for _, file := range files {
		lines, err := kvfile.Parse(file, os.LookupEnv)
		if err != nil {
			return nil, err
		}
		env = append(env, lines...)
	}
	return append(env, given...), nil
}

func (o *containerOptions) labelMap() (map[string]string, error) {
	labels := map[string]string{}
	all := []string{}
	for _, file := range o.labelFiles {
		lines, err := kvfile.Parse(file, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	for _, label := range append(all, o.labels...) {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	return labels, nil
}

// securityOptions replaces the name of a seccomp profile's file by its content,
// for the engine may be on another machine. What the options mean is the engine's
// to know, but for systempaths=unconfined, which is no option to it.
func securityOptions(given []string) (all []string, unconfinedPaths bool, err error) {
	for _, opt := range given {
		key, value, ok := strings.Cut(opt, "=")
		if !ok {
			key, value, ok = strings.Cut(opt, ":")
		}
		if value == "" && key != "no-new-privileges" {
			return nil, false, fmt.Errorf("Invalid --security-opt: %q", opt)
		}
		if opt == "systempaths=unconfined" {
			unconfinedPaths = true
			continue
		}
		if key == "seccomp" {
			if value, err = seccompProfile(value); err != nil {
				return nil, false, err
			}
			opt = "seccomp=" + value
		}
		all = append(all, opt)
	}
	return all, unconfinedPaths, nil
}

func seccompProfile(value string) (string, error) {
	if value == "unconfined" || value == "builtin" {
		return value, nil
	}
	profile, err := os.ReadFile(value)
	if err != nil {
		return "", fmt.Errorf("opening seccomp profile (%s) failed: %w", value, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, profile); err != nil {
		return "", fmt.Errorf("compacting json for seccomp profile (%s) failed: %w", value, err)
	}
	return compact.String(), nil
}
