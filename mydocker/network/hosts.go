package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// HostEntry is a line of /etc/hosts (hosts(5)).
type HostEntry struct {
	Addr  netip.Addr
	Names []string // the canonical one first
}

// HostNames are the names of a container's own addresses: with its domain, and short.
func HostNames(hostname, domain string) []string {
	full := strings.TrimSuffix(hostname+"."+domain, ".")
	short, _, _ := strings.Cut(full, ".")
	return slices.Compact([]string{full, short})
}

// Hosts is a container's /etc/hosts as Docker writes it: loopback, extra (of
// --add-host), own (its addresses, with HostNames). Without ipv6 it has IPv4 only.
func Hosts(own, extra []HostEntry, ipv6 bool) string {
	b := []byte("127.0.0.1\tlocalhost\n")
	if ipv6 {
		b = append(b, `::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`...)
	}
	for _, entry := range slices.Concat(extra, own) {
		if ipv6 || entry.Addr.Unmap().Is4() {
			b = fmt.Appendf(b, "%s\t%s\n", entry.Addr, strings.Join(entry.Names, " "))
		}
	}
	return string(b)
}

// ExtraHosts parses the values of --add-host: NAME:ADDRESS or NAME=ADDRESS, where an
// address may stand in brackets, or be host-gateway: what gateway returns, its zero
// value for none.
func ExtraHosts(lines []string, gateway func() netip.Addr) (entries []HostEntry, err error) {
	for _, line := range lines {
		name, address, found := strings.Cut(line, "=")
		if !found {
			name, address, found = strings.Cut(line, ":") // the first: the rest may be IPv6
		}
		if !found || name == "" || strings.Contains(name, ":") {
			return nil, fmt.Errorf("bad format for add-host: %q", line)
		}
		var addr netip.Addr
		if address == "host-gateway" {
			if addr = gateway(); !addr.IsValid() {
				return nil, errors.New("unable to derive the IP value for host-gateway")
			}
		} else {
			if inner, ok := strings.CutPrefix(address, "["); ok && strings.HasSuffix(inner, "]") {
				address = inner[:len(inner)-1]
			}
			if addr, err = netip.ParseAddr(strings.TrimSpace(address)); err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("invalid IP address in add-host: %q", address)
			}
		}
		entries = append(entries, HostEntry{addr, []string{name}})
	}
	return entries, nil
}

// ValidAddHost says, in Docker's words, what is wrong with a value of --add-host.
func ValidAddHost(v string) error {
	_, err := ExtraHosts([]string{v}, netip.IPv6Unspecified)
	return err
}
