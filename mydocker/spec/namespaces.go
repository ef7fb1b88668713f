package spec

import (
	"fmt"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// namespaces lists the container's own and those it joins. One that is not
// listed is the host's.
func namespaces(host *api.HostConfig, facts Facts) ([]specs.LinuxNamespace, error) {
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	for _, ns := range []struct {
		kind       specs.LinuxNamespaceType
		mode       string
		host, join bool
	}{
		{specs.NetworkNamespace, string(host.NetworkMode), host.NetworkMode.IsHost(), host.NetworkMode.IsContainer()},
		{specs.UTSNamespace, string(host.UTSMode), host.UTSMode.IsHost(), false},
		{specs.PIDNamespace, string(host.PidMode), host.PidMode.IsHost(), host.PidMode.IsContainer()},
		{specs.IPCNamespace, string(host.IpcMode), host.IpcMode.IsHost(), host.IpcMode.IsContainer()},
		{specs.CgroupNamespace, string(host.CgroupnsMode), host.CgroupnsMode.IsHost(), false},
	} {
		if ns.host {
			continue
		}
		path := ""
		if ns.join {
			if path = facts.Namespaces[ns.kind]; path == "" {
				return nil, fmt.Errorf("join the %s namespace of %s: it is not known", ns.kind, ns.mode)
			}
		}
		list = append(list, specs.LinuxNamespace{Type: ns.kind, Path: path})
	}
	return list, nil
}
