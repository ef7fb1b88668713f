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

// Blocked returns, for each base chain of others in hook forward that drops by
// policy or in its last rule, its name and the command that opens it for
// interfaces whose names begin with prefix. A table with a rule about such an
// interface is open, and so is Docker's, because of [AcceptInDocker]. What
// iptables-legacy holds is not seen.
func Blocked(prefix string) (blocked []string, err error) {
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
	open, ufw := map[nftables.Table]bool{}, map[nftables.Table]bool{}
	for _, c := range all {
		if families[c.Table.Family] == "" {
			continue
		}
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, fmt.Errorf("list rules of nftables chain %s %s: %w", c.Table.Name, c.Name, err)
		}
		if c.Name == "DOCKER-USER" || slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return names(r, prefix) }) {
			open[*c.Table] = true
		}
		if strings.HasPrefix(c.Name, "ufw") {
			ufw[*c.Table] = true
		}
		if c.Hooknum != nil && *c.Hooknum == unix.NF_INET_FORWARD &&
			(*c.Policy == nftables.ChainPolicyDrop || len(rules) > 0 && dropsAll(rules[len(rules)-1])) {
			dropping = append(dropping, c)
		}
	}
	for _, c := range dropping {
		if open[*c.Table] {
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
