package nft

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Blocked returns, for each base chain of others in hook forward or input that drops
// by policy or in its last rule, its name and the command that opens it for
// interfaces whose names begin with prefix: forward for all, input for what
// [Rules.ResolverPort] is asked. A table with a rule about such an interface is open
// for the hook that the rule's chain is for, by its name if it is jumped to, and Docker's
// forwarding is, because of [AcceptInDocker]. What iptables-legacy holds is not seen.
func Blocked(prefix string, resolverPort uint16) (blocked []string, err error) {
	conn, err := connect()
	if err != nil {
		return nil, err
	}
	defer disconnect(conn)
	all, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	families := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}
	var dropping []*nftables.Chain
	type way struct {
		table nftables.Table
		hook  nftables.ChainHook
	}
	open, ufw := map[way]bool{}, map[nftables.Table]bool{}
	for _, c := range all {
		if families[c.Table.Family] == "" {
			continue
		}
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, fmt.Errorf("list rules of nftables chain %s %s: %w", c.Table.Name, c.Name, err)
		}
		if c.Name == "DOCKER-USER" {
			open[way{*c.Table, unix.NF_INET_FORWARD}] = true
		} else if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return names(r, prefix) }) {
			if name := strings.ToLower(c.Name); !hooked(c, unix.NF_INET_LOCAL_IN) && !strings.Contains(name, "input") {
				open[way{*c.Table, unix.NF_INET_FORWARD}] = true
			}
			if name := strings.ToLower(c.Name); !hooked(c, unix.NF_INET_FORWARD) && !strings.Contains(name, "forward") {
				open[way{*c.Table, unix.NF_INET_LOCAL_IN}] = true
			}
		}
		if strings.HasPrefix(c.Name, "ufw") {
			ufw[*c.Table] = true
		}
		if (hooked(c, unix.NF_INET_FORWARD) || hooked(c, unix.NF_INET_LOCAL_IN)) &&
			(*c.Policy == nftables.ChainPolicyDrop || len(rules) > 0 && dropsAll(rules[len(rules)-1])) {
			dropping = append(dropping, c)
		}
	}
	for _, c := range dropping {
		if open[way{*c.Table, *c.Hooknum}] {
			continue
		}
		if hooked(c, unix.NF_INET_LOCAL_IN) {
			blocked = append(blocked, fmt.Sprintf("chain %s of nftables table %s %s drops what containers ask of names; to open it: %s",
				c.Name, families[c.Table.Family], c.Table.Name, openInput(families[c.Table.Family], c, ufw[*c.Table], prefix, resolverPort)))
			continue
		}
		family := families[c.Table.Family]
		command := fmt.Sprintf("nft insert rule %s %s %s %%s '\"%s*\"' accept", family, c.Table.Name, c.Name, prefix)
		command = fmt.Sprintf(command, "iifname") + " && " + fmt.Sprintf(command, "oifname")
		switch {
		case ufw[*c.Table]:
			command = fmt.Sprintf("ufw route allow in on %[1]s0 && ufw route allow out on %[1]s0", prefix)
		case c.Table.Name == "firewalld":
			command = fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s0 && firewall-cmd --reload", prefix)
		case c.Table.Name == "filter" && c.Name == "FORWARD":
			command = fmt.Sprintf("%[1]stables -I FORWARD -i %[2]s+ -j ACCEPT && %[1]stables -I FORWARD -o %[2]s+ -j ACCEPT", family, prefix)
		}
		blocked = append(blocked, fmt.Sprintf("chain %s of nftables table %s %s drops what comes from containers or goes to them; to open it: %s",
			c.Name, family, c.Table.Name, command))
	}
	return blocked, nil
}

func hooked(c *nftables.Chain, hook nftables.ChainHook) bool {
	return c.Hooknum != nil && *c.Hooknum == hook
}

// openInput is the command that lets containers ask for names.
func openInput(family string, c *nftables.Chain, ufw bool, prefix string, port uint16) string {
	switch {
	case ufw:
		return fmt.Sprintf("ufw allow in on %s+ to any port %d", prefix, port)
	case c.Table.Name == "firewalld": // which knows no beginnings of names
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE && firewall-cmd --reload, with the BRIDGE of each network (ip link show type bridge: %s-...)", prefix)
	case c.Table.Name == "filter" && c.Name == "INPUT":
		command := fmt.Sprintf("%stables -I INPUT -i %s+ -p %%s --dport %d -j ACCEPT", family, prefix, port)
		return fmt.Sprintf(command, "udp") + " && " + fmt.Sprintf(command, "tcp")
	}
	return fmt.Sprintf("nft insert rule %s %s %s iifname '\"%s*\"' th dport %d accept", family, c.Table.Name, c.Name, prefix, port)
}

// dropsAll tells whether a rule of others drops or rejects whatever reaches it.
// Those of an engine drop only what its own bridges must not forward.
func dropsAll(r *nftables.Rule) (drops bool) {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Verdict:
			drops = e.Kind == expr.VerdictDrop
		case *expr.Reject:
			drops = true
		case *expr.Target:
			drops = e.Name == "REJECT"
		default:
			return false
		}
	}
	return drops && !bytes.HasPrefix(r.UserData, []byte{tagType})
}

// names tells whether a rule is about an interface whose name begins with
// prefix, and does not drop.
func names(r *nftables.Rule, prefix string) (found bool) {
	for i, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Cmp:
			meta, _ := r.Exprs[max(i-1, 0)].(*expr.Meta)
			found = found || meta != nil && (meta.Key == expr.MetaKeyIIFNAME || meta.Key == expr.MetaKeyOIFNAME) &&
				e.Op == expr.CmpOpEq && bytes.HasPrefix(e.Data, []byte(prefix))
		case *expr.Verdict:
			found = found && e.Kind != expr.VerdictDrop
		}
	}
	return found
}
