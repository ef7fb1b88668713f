package cgroup

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// networkSettings marks what the group sends, with a class for tc(8) and a priority for
// each interface. Version 2 has neither: there, nftables and eBPF match the group itself.
func networkSettings(n specs.LinuxNetwork) (list []setting) {
	if class := value(n.ClassID); class != 0 {
		list = append(list, onVersion1("net_cls.classid", fmt.Sprint(class)))
	}
	for _, p := range n.Priorities {
		list = append(list, onVersion1("net_prio.ifpriomap", fmt.Sprintf("%s %d", p.Name, p.Priority)))
	}
	return list
}
