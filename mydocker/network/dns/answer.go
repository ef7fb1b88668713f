// Package dns answers names in a network: those of its containers from what the caller
// knows of them, all others from the name servers the host has. One server is part of
// each monitor; all of a network's listen on one port of its gateway (SO_REUSEPORT), and
// the kernel gives each query to one of them.
//
// It owns sockets only, which a crash closes: a query that was with a server that dies
// is asked again, and answered by another.
package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// View is what one asker may know.
type View struct {
	Names     map[string][]netip.Addr // in lower case, without the final dot
	Hosts     map[netip.Addr]string   // whose address it is, for the way back
	Upstreams []netip.AddrPort        // where everything else is asked, in this order; none: nowhere
}

// ttl is how long an answer may be remembered, in seconds: Docker's.
const ttl = 600

// maxUDP is the longest answer by UDP to who has not said that it takes more (RFC 1035,
// section 4.2.1), in bytes.
const maxUDP = 512

// query is a question as it came.
type query struct {
	raw      []byte
	header   dnsmessage.Header
	question dnsmessage.Question
	size     int // the longest answer by UDP, in bytes

	upstreams []netip.AddrPort // where it is to be asked
}

// parse reads a query; nil: there is nobody to answer. One with a fault has the answer's code.
func parse(raw []byte) (*query, dnsmessage.RCode) {
	var p dnsmessage.Parser
	header, err := p.Start(raw)
	if err != nil || header.Response {
		return nil, 0
	}
	q := &query{raw: raw, header: header, size: maxUDP}
	if header.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return q, dnsmessage.RCodeFormatError
	}
	q.question = questions[0]
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, dnsmessage.RCodeFormatError
	}
	for {
		record, err := p.AdditionalHeader()
		if err != nil {
			return q, dnsmessage.RCodeSuccess
		}
		if record.Type == dnsmessage.TypeOPT { // RFC 6891, section 6.2.3: its class is the asker's size
			q.size = max(maxUDP, int(record.Class))
		}
		if p.SkipAdditional() != nil {
			return q, dnsmessage.RCodeFormatError
		}
	}
}

// name is what is asked for, as views have it.
func (q *query) name() string {
	return strings.ToLower(strings.TrimSuffix(q.question.Name.String(), "."))
}

// answer gives what the view knows; known is false if it does not know the name.
func (q *query) answer(v *View) (resources []dnsmessage.Resource, known bool) {
	header := dnsmessage.ResourceHeader{Name: q.question.Name, Type: q.question.Type, Class: dnsmessage.ClassINET, TTL: ttl}
	if q.question.Class != dnsmessage.ClassINET {
		return nil, false
	}
	if q.question.Type == dnsmessage.TypePTR {
		addr, ok := reverse(q.name())
		host := v.Hosts[addr]
		target, err := dnsmessage.NewName(host + ".")
		if !ok || host == "" || err != nil {
			return nil, false
		}
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.PTRResource{PTR: target}}}, true
	}
	addrs, known := v.Names[q.name()]
	for _, addr := range addrs {
		switch {
		case addr.Is4() && q.question.Type == dnsmessage.TypeA:
			resources = append(resources, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.question.Type == dnsmessage.TypeAAAA:
			resources = append(resources, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	// Another first each time, for those that share a name to share the work.
	rand.Shuffle(len(resources), func(i, j int) { resources[i], resources[j] = resources[j], resources[i] })
	return resources, known
}

// reverse reads the name of an address: 2.0.18.172.in-addr.arpa (RFC 1035, section 3.5), or
// of nibbles below ip6.arpa (RFC 3596, section 2.5).
func reverse(name string) (netip.Addr, bool) {
	if labels, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(labels, ".")
		slices.Reverse(parts)
		addr, err := netip.ParseAddr(strings.Join(parts, "."))
		return addr, err == nil && addr.Is4()
	}
	labels, ok := strings.CutSuffix(name, ".ip6.arpa")
	parts := strings.Split(labels, ".")
	if !ok || len(parts) != 32 {
		return netip.Addr{}, false
	}
	slices.Reverse(parts)
	var text strings.Builder
	for i, part := range parts {
		if i > 0 && i%4 == 0 {
			text.WriteByte(':')
		}
		text.WriteString(part)
	}
	addr, err := netip.ParseAddr(text.String())
	return addr, err == nil
}

// reply makes a message of an answer, of at most limit bytes: one that is longer is cut
// to nothing, with the mark that says so. limit 0: as long as it is.
func (q *query) reply(code dnsmessage.RCode, resources []dnsmessage.Resource, limit int) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RCode: code,
			RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true},
		Answers: resources,
	}
	if q.question.Name.Length > 0 {
		m.Questions = []dnsmessage.Question{q.question}
	}
	packed, err := m.Pack()
	if err == nil && limit > 0 && len(packed) > limit {
		m.Truncated, m.Answers = true, nil
		packed, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}
