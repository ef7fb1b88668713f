package network

import (
	"errors"
	"fmt"

	"minidocker/mydocker/network/nft"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forgetFlows has the kernel forget where it sent the packets of published UDP ports:
// the first of a flow decides for all that follow, for as long as they keep coming,
// and the container of before is not that of now.
func forgetFlows(ports []nft.Port) error {
	var all error
	for _, port := range ports {
		if port.Protocol != "udp" {
			continue
		}
		family := netlink.InetFamily(unix.AF_INET)
		if port.IP.Is6() {
			family = unix.AF_INET6
		}
		filter := &netlink.ConntrackFilter{}
		err := errors.Join(filter.AddProtocol(unix.IPPROTO_UDP), filter.AddPort(netlink.ConntrackOrigDstPort, port.HostPort))
		if err == nil {
			_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter)
		}
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			all = errors.Join(all, fmt.Errorf("forget the flows of port %d/udp: %w", port.HostPort, err))
		}
	}
	return all
}
