package nft

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// AcceptInDocker lets the traffic of interfaces whose names begin with prefix
// pass the filter of a Docker on the same host, which drops what Docker does not
// know: two rules at the top of DOCKER-USER, the chain for rules of others, in
// table `ip filter` and, with ipv6, `ip6 filter`. The table of [Apply] still
// drops what must not pass. Without Docker it does nothing.
func AcceptInDocker(prefix string, ipv6 bool) error { return inDocker(prefix, ipv6, true) }

// LeaveDocker takes the rules of [AcceptInDocker] away, if there are any.
func LeaveDocker(prefix string) error { return inDocker(prefix, true, false) }

func inDocker(prefix string, ipv6, accept bool) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	defer disconnect(conn)
	families := []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}
	if !ipv6 {
		families = families[:1]
	}
	for _, family := range families {
		chains, err := conn.ListChainsOfTableFamily(family)
		if err != nil {
			return fmt.Errorf("list nftables chains: %w", err)
		}
		i := slices.IndexFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name == "filter" && c.Name == "DOCKER-USER" })
		if i < 0 {
			continue
		}
		user := chains[i]
		rules, err := conn.GetRules(user.Table, user)
		if err != nil {
			return fmt.Errorf("list rules of Docker's chain DOCKER-USER: %w", err)
		}
		for _, key := range []expr.MetaKey{expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME} {
			rule := &nftables.Rule{Table: user.Table, Chain: user, Exprs: []expr.Any{
				&expr.Meta{Key: key, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(prefix)}, // without a NUL at the end: iptables shows PREFIX+
				&expr.Counter{},
				&expr.Verdict{Kind: expr.VerdictAccept},
			}}
			i := slices.IndexFunc(rules, func(r *nftables.Rule) bool {
				return len(r.Exprs) == 4 && reflect.DeepEqual(r.Exprs[:2], rule.Exprs[:2]) && reflect.DeepEqual(r.Exprs[3], rule.Exprs[3])
			})
			if accept && i < 0 {
				conn.InsertRule(rule)
			} else if !accept && i >= 0 {
				rule.Handle = rules[i].Handle
				err = conn.DelRule(rule)
			}
			if err != nil {
				return fmt.Errorf("delete from Docker's chain DOCKER-USER: %w", err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("change Docker's chain DOCKER-USER: %w", err)
	}
	return nil
}
