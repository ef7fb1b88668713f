package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// query is a message that asks (RFC 1035, section 4.1).
type query struct {
	dnsmessage.Message
	size      int              // bytes of an answer that the asker takes
	raw       []byte           // as it came, to be forwarded, then with another ID
	upstreams []netip.AddrPort // where to
}

// answer answers msg if nobody else must be asked; a query without an answer is to
// be forwarded. Without a query msg is none: answering an answer might never end.
func (s *Server) answer(msg []byte, from netip.Addr, size int) (*query, []byte) {
	q := &query{size: size}
	err := q.Unpack(msg)
	switch {
	case len(msg) < 12 || q.Response:
		return nil, nil
	case q.OpCode != 0:
		return q, q.message(dnsmessage.RCodeNotImplemented)
	case err != nil || len(q.Questions) != 1:
		return q, q.message(dnsmessage.RCodeFormatError)
	}
	for _, extra := range q.Additionals {
		if extra.Header.Type == dnsmessage.TypeOPT { // its class is a size (RFC 6891, 6.1.2)
			q.size = max(q.size, int(extra.Header.Class))
		}
	}
	view := s.look(from.Unmap().WithZone(""))
	if view == nil {
		return q, q.message(dnsmessage.RCodeRefused)
	} else if records, known := view.records(q.Questions[0]); known {
		return q, q.message(dnsmessage.RCodeSuccess, records...)
	}
	q.upstreams, q.raw = view.Upstreams, bytes.Clone(msg)
	return q, nil
}

// records gives what a known name has of the type asked for, in random order. None is an answer too:
// told that a name with an A does not exist, as it has no AAAA, resolvers that ask for both give up.
func (v *View) records(q dnsmessage.Question) (records []dnsmessage.Resource, known bool) {
	add := func(body dnsmessage.ResourceBody) {
		records = append(records, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 600}, Body: body})
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	addrs, known := v.Names[name]
	host, reverse := v.Hosts[address(name)]
	if target, err := dnsmessage.NewName(host + "."); reverse && err == nil && q.Type == dnsmessage.TypePTR {
		add(&dnsmessage.PTRResource{PTR: target})
	}
	for _, addr := range addrs {
		if q.Type == dnsmessage.TypeA && addr.Is4() {
			add(&dnsmessage.AResource{A: addr.As4()})
		} else if q.Type == dnsmessage.TypeAAAA && addr.Is6() {
			add(&dnsmessage.AAAAResource{AAAA: addr.As16()})
		}
	}
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	return records, (known || reverse) && q.Class == dnsmessage.ClassINET
}

// message is an answer to q, with as many of the records as the asker takes; nil
// if one cannot be told (a host whose name has a label of more than 63 bytes).
func (q *query) message(rcode dnsmessage.RCode, records ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{Questions: q.Questions[:min(1, len(q.Questions))], Answers: records, Header: dnsmessage.Header{ID: q.ID,
		Response: true, OpCode: q.OpCode, RCode: rcode, RecursionDesired: q.RecursionDesired, RecursionAvailable: true}}
	msg, _ := m.Pack()
	for ; len(msg) > q.size; msg, _ = m.Pack() {
		m.Truncated, m.Answers = true, m.Answers[:len(m.Answers)*q.size/len(msg)]
	}
	return msg
}

// address reads a name under in-addr.arpa (RFC 1035, 3.5) or ip6.arpa (RFC 3596, 2.5), as zero any other.
func address(name string) (addr netip.Addr) {
	v4, is4 := strings.CutSuffix(name, ".in-addr.arpa")
	v6, is6 := strings.CutSuffix(v4, ".ip6.arpa")
	labels := strings.Split(v6, ".")
	slices.Reverse(labels)
	if nibbles, err := hex.DecodeString(strings.Join(labels, "")); is6 && len(labels) == 32 && err == nil {
		addr, _ = netip.AddrFromSlice(nibbles)
	} else if is4 {
		addr, _ = netip.ParseAddr(strings.Join(labels, "."))
	}
	return addr
}

// forward asks the upstreams in turn over network ("udp" or "tcp") until one does not decline.
func (s *Server) forward(q *query, network string) []byte {
	answer := q.message(dnsmessage.RCodeServerFailure)
	defer s.forwards.Add(-1)
	if s.forwards.Add(1) > maxForwards {
		return answer
	}
	for _, upstream := range q.upstreams {
		answer = s.ask(q, network, upstream)
		if rcode := dnsmessage.RCode(answer[3] & 0xf); rcode != dnsmessage.RCodeServerFailure && rcode != dnsmessage.RCodeRefused {
			return answer
		}
	}
	return answer
}

// ask sends the query as it came but for the ID, from a socket of its own: to a
// forger both ID and port must be hard to guess. The answer gets the old ID.
func (s *Server) ask(q *query, network string, upstream netip.AddrPort) (answer []byte) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, upstream.String())
	if err != nil {
		return q.message(dnsmessage.RCodeServerFailure)
	}
	context.AfterFunc(ctx, func() { conn.Close() })          // on return too
	binary.BigEndian.PutUint16(q.raw, uint16(rand.Uint32())) // ChaCha8, seeded by the kernel
	for err = send(conn, q.raw); err == nil && !q.answeredBy(answer); {
		answer, err = receive(conn, maxSize)
	}
	if err != nil {
		return q.message(dnsmessage.RCodeServerFailure)
	} else if network == "udp" && len(answer) > maxQuery { // cut off: the asker gets all by TCP
		answer = q.message(dnsmessage.RCodeSuccess)
		answer[2] |= 1 << 1 // TC
	}
	binary.BigEndian.PutUint16(answer, q.ID)
	return answer
}

// answeredBy tells an answer to q.raw; that it was not understood may be said without the question.
func (q *query) answeredBy(msg []byte) bool {
	var p dnsmessage.Parser
	header, err := p.Start(msg)
	got, none := p.Question()
	if none == dnsmessage.ErrSectionDone && header.RCode != dnsmessage.RCodeSuccess && header.RCode != dnsmessage.RCodeNameError {
		got = q.Questions[0]
	}
	return err == nil && header.Response && bytes.HasPrefix(msg, q.raw[:2]) && strings.EqualFold(got.GoString(), q.Questions[0].GoString())
}

// receive reads a message: maxQuery+1 bytes of a datagram, or limit by TCP, after its length (RFC 1035, 4.2.2).
func receive(conn net.Conn, limit int) ([]byte, error) {
	if _, datagrams := conn.(*net.UDPConn); datagrams {
		msg := make([]byte, maxQuery+1)
		n, err := conn.Read(msg)
		return msg[:n], err
	}
	var length uint16
	if err := binary.Read(conn, binary.BigEndian, &length); err != nil || int(length) > limit {
		return nil, io.ErrShortBuffer
	}
	msg := make([]byte, length)
	_, err := io.ReadFull(conn, msg)
	return msg, err
}

// send writes a message, and its length in the same segment: some count on that.
func send(conn net.Conn, msg []byte) error {
	if _, datagrams := conn.(*net.UDPConn); !datagrams {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	_, err := conn.Write(msg)
	return err
}
