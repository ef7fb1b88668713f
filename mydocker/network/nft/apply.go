package nft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Apply makes the kernel's table be r. If it already is, there is no
// transaction; if only elements differ, these are added and deleted. If rules
// or chains do (the ruleset was flushed, a rule deleted, or another version made
// them), the table is deleted and added in one transaction. The caller holds a
// lock, or the table is as the last of two wants it.
func Apply(r Rules) error {
	return do(r, func(t table, have content, wrong string) error {
		switch {
		case len(r.Networks) == 0 && wrong == missing:
			return nil
		case len(r.Networks) == 0:
			t.conn.DelTable(t.table)
			return t.conn.Flush()
		case wrong == "" && t.update(have, elements(r)) == nil:
			return nil
		}
		return t.rebuild(r) // also if the table was changed since it was read, and so the update refused
	})
}

// Compare returns in words how the kernel's table differs from r.
func Compare(r Rules) (differences []string, err error) {
	say := func(format string, args ...any) {
		differences = append(differences, "nftables table inet "+r.Table+fmt.Sprintf(format, args...))
	}
	err = do(r, func(_ table, have content, wrong string) error {
		switch {
		case len(r.Networks) == 0 && wrong != missing:
			say(" is there and nothing needs it")
		case len(r.Networks) != 0 && wrong != "":
			say("%s", wrong)
		case len(r.Networks) != 0:
			want := elements(r)
			for _, s := range sets() {
				for _, e := range lacking(want[s.name], have[s.name]) {
					say(": %s lacks %s", s.name, s.text(e))
				}
				for _, e := range lacking(have[s.name], want[s.name]) {
					say(": %s has %s, which nothing needs", s.name, s.text(e))
				}
			}
		}
		return nil
	})
	return differences, err
}

// A table with the connection it is read and written by.
type table struct {
	conn  *nftables.Conn
	table *nftables.Table
}

// do reads the table and calls f with what it holds.
func do(r Rules, f func(t table, have content, wrong string) error) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	defer disconnect(conn)
	t := table{conn, &nftables.Table{Name: r.Table, Family: nftables.TableFamilyINet}}
	have, wrong, err := t.read(r.ResolverPort)
	if err == nil {
		err = f(t, have, wrong)
	}
	if err != nil {
		return fmt.Errorf("nftables table inet %s: %w", r.Table, err)
	}
	return nil
}

func connect() (*nftables.Conn, error) {
	// A transaction is one datagram: 4,000 ports are more than the default buffer.
	buffer := func(c *netlink.Conn) error { return c.SetWriteBuffer(4 << 20) }
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(buffer))
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	return conn, nil
}

// disconnect closes in the background, and later: while anything deleted by
// anybody waits for its RCU grace period, close(2) of an nftables socket waits
// too, 10 to 20 ms, and lets no transaction in meanwhile. If the process ends
// before, the kernel closes the socket.
func disconnect(conn *nftables.Conn) {
	time.AfterFunc(100*time.Millisecond, func() { conn.CloseLasting() })
}

const missing = " is missing"

// read returns what the sets hold, or what is wrong with the table apart from
// that. It takes a round trip for the table, for all chains, for the rules of
// each, and for the elements of each set. If all rules are there, all sets are:
// one in use cannot be deleted.
func (t table) read(port uint16) (have content, wrong string, err error) {
	found, err := t.conn.ListTableOfFamily(t.table.Name, t.table.Family)
	if errors.Is(err, unix.ENOENT) {
		return nil, missing, nil
	} else if err != nil {
		return nil, "", err
	} else if found.Flags != 0 {
		return nil, " is dormant", nil
	}
	want := chains(port)
	all, err := t.conn.ListChainsOfTableFamily(t.table.Family)
	if err != nil {
		return nil, "", fmt.Errorf("list chains: %w", err)
	}
	all = slices.DeleteFunc(all, func(c *nftables.Chain) bool { return c.Table.Name != t.table.Name })
	if !slices.EqualFunc(all, want, sameChain) {
		return nil, " has other chains", nil
	}
	number := 0
	for _, c := range want {
		rules, err := t.conn.GetRules(t.table, &c.Chain)
		if err != nil {
			return nil, "", fmt.Errorf("list rules of chain %s: %w", c.Name, err)
		}
		if !slices.EqualFunc(rules, c.rules, func(r *nftables.Rule, _ []expr.Any) bool {
			number++
			return bytes.Equal(r.UserData, tag(port, number))
		}) {
			return nil, ": chain " + c.Name + " has other rules", nil
		}
	}
	have = content{}
	for _, s := range sets() {
		list, err := t.conn.GetSetElements(s.in(t.table))
		if err != nil {
			return nil, fmt.Sprintf(": set %s cannot be read: %v", s.name, err), nil // somebody has just deleted the table
		}
		have[s.name] = make(map[string]string, len(list))
		for _, e := range list {
			have[s.name][string(e.Key)] = string(e.Val)
		}
	}
	return have, "", nil
}

// rebuild makes the table anew, as one transaction.
func (t table) rebuild(r Rules) error {
	t.conn.AddTable(t.table) // so that there is one to delete
	t.conn.DelTable(t.table)
	t.conn.AddTable(t.table)
	for _, s := range sets() {
		if err := t.conn.AddSet(s.in(t.table), nil); err != nil {
			return fmt.Errorf("add set %s: %w", s.name, err)
		}
	}
	number := 0
	for _, c := range chains(r.ResolverPort) {
		c.Table = t.table
		t.conn.AddChain(&c.Chain)
		for _, exprs := range c.rules {
			number++
			t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: &c.Chain, Exprs: exprs, UserData: tag(r.ResolverPort, number)})
		}
	}
	return t.update(content{}, elements(r))
}

// update sends what changes the elements from have to want, and what was
// prepared before. The netlink attribute that lists elements is at most 64 KB.
func (t table) update(have, want content) error {
	for _, s := range sets() {
		for part := range slices.Chunk(lacking(have[s.name], want[s.name]), 500) {
			if err := t.conn.SetDeleteElements(s.in(t.table), part); err != nil {
				return fmt.Errorf("delete from set %s: %w", s.name, err)
			}
		}
		for part := range slices.Chunk(lacking(want[s.name], have[s.name]), 500) {
			if err := t.conn.SetAddElements(s.in(t.table), part); err != nil {
				return fmt.Errorf("add to set %s: %w", s.name, err)
			}
		}
	}
	return t.conn.Flush()
}
