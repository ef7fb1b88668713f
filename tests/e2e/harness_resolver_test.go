package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver is a DNS server on the machine outside.
type resolver struct {
	address string
	mutex   sync.Mutex
	asked   []string // names, without the last dot
}

// resolves makes the machine outside a DNS server of a zone: addresses by name,
// without the last dot; a name without addresses exists, others do not.
func (s *site) resolves(zone map[string][]string) *resolver {
	s.t.Helper()
	r := &resolver{address: s.server.address}
	err := s.server.do(func() error {
		udp, err := net.ListenPacket("udp", r.address+":53")
		if err != nil {
			return err
		}
		tcp, err := net.Listen("tcp", r.address+":53")
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { udp.Close(); tcp.Close() })
		go func() {
			for buffer := make([]byte, 4096); ; {
				n, from, err := udp.ReadFrom(buffer)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					udp.WriteTo(r.reply(zone, buffer[:n], true), from)
				}
			}
		}()
		go func() {
			for {
				conn, err := tcp.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					for {
						query, err := readDNS(conn)
						if err != nil {
							return
						}
						writeDNS(conn, r.reply(zone, query, false))
					}
				}()
			}
		}()
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// was tells whether the resolver has been asked for a name.
func (r *resolver) was(name string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Contains(r.asked, name)
}

func (r *resolver) reply(zone map[string][]string, query []byte, short bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	r.mutex.Lock()
	r.asked = append(r.asked, name)
	r.mutex.Unlock()
	size := 512
	for _, extra := range m.Additionals {
		if extra.Header.Type == dnsmessage.TypeOPT {
			size = max(size, int(extra.Header.Class))
		}
	}
	m.Header.Response, m.Header.RecursionAvailable, m.Additionals = true, true, nil
	list, known := zone[name]
	if !known {
		m.Header.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range list {
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
		switch a := netip.MustParseAddr(address); {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, err := m.Pack()
	if err == nil && short && len(packed) > size {
		m.Header.Truncated, m.Answers = true, nil
		packed, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}

func readDNS(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, int(size[0])<<8|int(size[1]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeDNS(w io.Writer, message []byte) error {
	_, err := w.Write(append([]byte{byte(len(message) >> 8), byte(len(message))}, message...))
	return err
}

// query asks the resolver that a container's resolv.conf names, and gives its
// answer. edns is the size that the asker takes over UDP; 0 says none.
func (s *site) query(ref, network, name string, kind dnsmessage.Type, edns int) dnsmessage.Message {
	s.t.Helper()
	server, _, _ := strings.Cut(nameservers(s.ok("exec", ref, "cat", "/etc/resolv.conf")), " ")
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET}}}
	if edns > 0 {
		var header dnsmessage.ResourceHeader
		if err := header.SetEDNS0(edns, dnsmessage.RCodeSuccess, false); err != nil {
			s.t.Fatal(err)
		}
		q.Additionals = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.OPTResource{}}}
	}
	packed, err := q.Pack()
	if err != nil {
		s.t.Fatal(err)
	}
	var answer dnsmessage.Message
	err = s.in(ref).do(func() error {
		conn, err := net.DialTimeout(network, net.JoinHostPort(server, "53"), 20*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		var got []byte
		if network == "tcp" {
			if err := writeDNS(conn, packed); err != nil {
				return err
			}
			got, err = readDNS(conn)
		} else {
			if _, err := conn.Write(packed); err != nil {
				return err
			}
			got = make([]byte, 65536)
			var n int
			n, err = conn.Read(got)
			got = got[:n]
		}
		if err != nil {
			return err
		}
		return answer.Unpack(got)
	})
	if err != nil {
		s.t.Fatalf("ask %s for %s %v by %s from %s: %v", server, name, kind, network, ref, err)
	}
	if !answer.Header.Response || answer.Header.ID != 4711 || len(answer.Questions) != 1 || answer.Questions[0].Name.String() != name+"." {
		s.t.Errorf("no answer to %s: %+v", name, answer.Header)
	}
	return answer
}

// addresses are those of a name as a container is told, in the order of the answer.
// A name that does not exist gives the answer's code.
func (s *site) addresses(ref, name string) []string {
	s.t.Helper()
	return data(s.query(ref, "udp", name, dnsmessage.TypeA, 4096))
}

// data is what an answer says in its records, or its code if there are none.
func data(m dnsmessage.Message) (list []string) {
	for _, record := range m.Answers {
		switch body := record.Body.(type) {
		case *dnsmessage.AResource:
			list = append(list, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			list = append(list, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.PTRResource:
			list = append(list, body.PTR.String())
		default:
			list = append(list, fmt.Sprint(record.Header.Type))
		}
	}
	if list == nil {
		list = []string{strings.TrimPrefix(m.Header.RCode.String(), "RCode")}
	}
	return list
}

// resolved holds what a name is to a container.
func (s *site) resolved(t *testing.T, ref, name string, want ...string) {
	t.Helper()
	got := s.addresses(ref, name)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s is %v to %s, want %v", name, got, ref, want)
	}
}
