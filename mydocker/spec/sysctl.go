package spec

import (
	"fmt"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/container"
)

// Kernel parameters that belong to the IPC namespace (ipc_namespaces(7)); all
// under fs.mqueue. do too, and all under net. to the network namespace.
var ipcSysctls = [...]string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
	"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}

// sysctls are the container's kernel parameters. In a network namespace of its
// own Docker lets every user ping and open ports below 1024: neither guards
// anything there.
func sysctls(config *api.Config, host *api.HostConfig) map[string]string {
	all := map[string]string{}
	if config.Domainname != "" && !host.UTSMode.IsHost() {
		all["kernel.domainname"] = config.Domainname // the spec's field is younger than many runtimes
	}
	if host.NetworkMode.IsPrivate() {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		all["net.ipv4.ping_group_range"] = "0 2147483647"
	}
	for name, value := range host.Sysctls {
		all[strings.ReplaceAll(name, "/", ".")] = value
	}
	return all
}

// checkSysctls refuses parameters that are the host's, not the container's.
func checkSysctls(host *api.HostConfig) error {
	for given := range host.Sysctls {
		name := strings.ReplaceAll(given, "/", ".")
		switch {
		case strings.HasPrefix(name, "net."):
			if host.NetworkMode.IsHost() {
				return fmt.Errorf("sysctl %q not allowed in host network namespace", name)
			}
		case strings.HasPrefix(name, "fs.mqueue."), slices.Contains(ipcSysctls[:], name):
			if host.IpcMode.IsHost() {
				return fmt.Errorf("sysctl %q is not allowed in the hosts ipc namespace", name)
			}
		default:
			return fmt.Errorf("sysctl '%s' is not allowed", name)
		}
	}
	return nil
}
