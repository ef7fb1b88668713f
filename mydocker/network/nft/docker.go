package nft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// AcceptInDocker lets the traffic of bridges pass the filter of a Docker on the same
// host, which drops what Docker does not know: rules at the top of DOCKER-USER, the
// chain for rules of others, in table `ip filter` and, with ipv6, `ip6 filter`. What goes
// to a network of Docker's is still Docker's to judge, and the table of [Apply] drops
// what must not pass. owner marks the rules; without bridges they are taken away.
// Without Docker it does nothing.
func AcceptInDocker(owner string, bridges []string, ipv6 bool) (err error) {
	for range 3 { // Docker, or a user, may change the chain between a look at it and our change
		if err = acceptInDocker(owner, bridges, ipv6); !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return err
}

func acceptInDocker(owner string, bridges []string, ipv6 bool) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	defer disconnect(conn)
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		chains, err := conn.ListChainsOfTableFamily(family)
		if err != nil {
			return fmt.Errorf("list nftables chains: %w", err)
		}
		i := slices.IndexFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name == "filter" && c.Name == "DOCKER-USER" })
		if i < 0 {
			continue
		}
		wanted := bridges
		if family == nftables.TableFamilyIPv6 && !ipv6 {
			wanted = nil
		}
		if err := change(conn, chains[i], owner, wanted); err != nil {
			return fmt.Errorf("change Docker's chain DOCKER-USER: %w", err)
		}
	}
	return nil
}

// change makes the owner's rules in a chain those of the bridges, by one transaction
// if they are not.
func change(conn *nftables.Conn, user *nftables.Chain, owner string, bridges []string) error {
	rules, err := conn.GetRules(user.Table, user)
	if err != nil {
		return err
	}
	mark := func(bridge string) []byte {
		return append([]byte{tagType, byte(len(owner) + 1 + len(bridge))}, owner+" "+bridge...)
	}
	has := map[string]int{}
	for _, rule := range rules {
		if bytes.HasPrefix(rule.UserData, []byte{tagType}) && bytes.HasPrefix(rule.UserData[2:], []byte(owner+" ")) {
			has[string(rule.UserData)]++
		}
	}
	const each = 4 // rules of a bridge
	right := len(has) == len(bridges)
	for _, bridge := range bridges {
		right = right && has[string(mark(bridge))] == each
	}
	if right {
		return nil
	}
	for _, rule := range rules {
		if has[string(rule.UserData)] > 0 {
			if err := conn.DelRule(rule); err != nil {
				return err
			}
		}
	}
	for _, bridge := range bridges {
		in, out := interfaceIs(expr.MetaKeyIIFNAME, bridge+"\x00"), interfaceIs(expr.MetaKeyOIFNAME, bridge+"\x00")
		for _, exprs := range [each][]expr.Any{ // each is put before the last
			append(out, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}),
			append(slices.Clone(in), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}),
			// Docker names its bridges docker0 and br-ID: iptables shows br-+.
			slices.Concat(in, interfaceIs(expr.MetaKeyOIFNAME, "br-"), []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictReturn}}),
			slices.Concat(in, interfaceIs(expr.MetaKeyOIFNAME, "docker0\x00"), []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictReturn}}),
		} {
			conn.InsertRule(&nftables.Rule{Table: user.Table, Chain: user, Exprs: exprs, UserData: mark(bridge)})
		}
	}
	return conn.Flush()
}

// interfaceIs compares the name of an interface; without the NUL at its end, its
// beginning.
func interfaceIs(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(name)}}
}
