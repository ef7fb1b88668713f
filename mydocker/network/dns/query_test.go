package dns

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

var (
	asker    = netip.MustParseAddr("10.1.0.2")
	upstream = netip.MustParseAddrPort("192.0.2.53:53")
)

func many(n int) (addrs []netip.Addr) {
	for i := range n {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
		addrs = append(addrs, netip.MustParseAddr(fmt.Sprintf("fd00::%x", i+1)))
	}
	return addrs
}

// network is the view of an asker with the upstreams given.
func network(upstreams ...netip.AddrPort) *View {
	v4, v6 := netip.MustParseAddr("10.1.0.3"), netip.MustParseAddr("fd00::3")
	long := netip.MustParseAddr("10.1.0.9")
	return &View{
		Names: map[string][]netip.Addr{
			"web": {v4, v6}, "web.blue": {v4, v6}, "only4": {v4}, "many": many(200), "flock": many(3000),
			strings.Repeat("a", 63) + ".blue": {v4},
		},
		Hosts:     map[netip.Addr]string{v4: "web.blue", v6: "web.blue", long: strings.Repeat("a", 64) + ".blue"},
		Upstreams: upstreams,
	}
}

// ask packs a query for one name, with an OPT record if size is not zero.
func ask(t testing.TB, name string, qtype dnsmessage.Type, size int) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0xabcd, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: qtype, Class: dnsmessage.ClassINET}},
	}
	if size > 0 {
		opt := dnsmessage.ResourceHeader{}
		if err := opt.SetEDNS0(size, 0, false); err != nil {
			t.Fatal(err)
		}
		m.Additionals = []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}}
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// told is the answer as dig would show it: code, flags, question, sorted records.
func told(t testing.TB, msg []byte) string {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("unpack the answer %x: %v", msg, err)
	}
	if m.ID != 0xabcd || !m.Response {
		t.Errorf("answer has ID %x, response %v", m.ID, m.Response)
	}
	text := strings.TrimPrefix(m.RCode.String(), "RCode")
	for _, flag := range []struct {
		set  bool
		name string
	}{{m.Authoritative, " aa"}, {m.Truncated, " tc"}, {m.RecursionDesired, " rd"}, {m.RecursionAvailable, " ra"}} {
		if flag.set {
			text += flag.name
		}
	}
	for _, q := range m.Questions {
		text += fmt.Sprintf("; %s %s", q.Name, strings.TrimPrefix(q.Type.String(), "Type"))
	}
	var records []string
	for _, r := range m.Answers {
		var value string
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			value = netip.AddrFrom4(body.A).String()
		case *dnsmessage.AAAAResource:
			value = netip.AddrFrom16(body.AAAA).String()
		case *dnsmessage.PTRResource:
			value = body.PTR.String()
		}
		records = append(records, fmt.Sprintf("; %s %d %s", r.Header.Name, r.Header.TTL, value))
	}
	slices.Sort(records)
	return text + strings.Join(records, "")
}

const (
	arpa4 = "3.0.1.10.in-addr.arpa."
	arpa6 = "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."
)

func TestAnswer(t *testing.T) {
	forwarded := "forwarded"
	for _, test := range []struct {
		name  string
		qtype dnsmessage.Type
		want  string
	}{
		{"web.", dnsmessage.TypeA, "Success rd ra; web. A; web. 600 10.1.0.3"},
		{"web.", dnsmessage.TypeAAAA, "Success rd ra; web. AAAA; web. 600 fd00::3"},
		{"wEB.Blue.", dnsmessage.TypeA, "Success rd ra; wEB.Blue. A; wEB.Blue. 600 10.1.0.3"},
		{"only4.", dnsmessage.TypeAAAA, "Success rd ra; only4. AAAA"},
		{"web.", dnsmessage.TypeMX, "Success rd ra; web. MX"},
		{"web.", dnsmessage.TypeSRV, "Success rd ra; web. SRV"},
		{"web.", dnsmessage.TypeTXT, "Success rd ra; web. TXT"},
		{"web.", dnsmessage.TypeALL, "Success rd ra; web. ALL"},
		{"web.", dnsmessage.TypePTR, "Success rd ra; web. PTR"},
		{arpa4, dnsmessage.TypePTR, "Success rd ra; " + arpa4 + " PTR; " + arpa4 + " 600 web.blue."},
		{arpa6, dnsmessage.TypePTR, "Success rd ra; " + arpa6 + " PTR; " + arpa6 + " 600 web.blue."},
		{strings.ToUpper(arpa6), dnsmessage.TypePTR, "Success rd ra; " + strings.ToUpper(arpa6) + " PTR; " + strings.ToUpper(arpa6) + " 600 web.blue."},
		{"4.0.1.10.in-addr.arpa.", dnsmessage.TypePTR, forwarded},
		{"0.1.10.in-addr.arpa.", dnsmessage.TypePTR, forwarded},
		{"03.0.1.10.in-addr.arpa.", dnsmessage.TypePTR, forwarded},
		{strings.TrimPrefix(arpa6, "3."), dnsmessage.TypePTR, forwarded},
		{"g" + arpa6[1:], dnsmessage.TypePTR, forwarded},
		{"stranger.", dnsmessage.TypeA, forwarded},
		{"www.example.com.", dnsmessage.TypeA, forwarded},
		{".", dnsmessage.TypeNS, forwarded},
	} {
		s := &Server{look: func(from netip.Addr) *View {
			if from != asker {
				return nil
			}
			return network(upstream)
		}}
		msg := ask(t, test.name, test.qtype, 0)
		q, answer := s.answer(msg, netip.AddrFrom16(asker.As16()), minSize)
		got := forwarded
		if answer != nil {
			got = told(t, answer)
		} else if q == nil || !cmp.Equal(q.raw, msg) || q.upstreams[0] != upstream {
			t.Errorf("%s %s: is not forwarded as it came", test.name, test.qtype)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %s:\n%s", test.name, test.qtype, diff)
		}
		if _, answer := s.answer(msg, netip.MustParseAddr("10.9.0.1"), minSize); !strings.HasPrefix(told(t, answer), "RCodeRefused"[5:]+" rd ra") {
			t.Errorf("%s %s of a stranger: %s", test.name, test.qtype, told(t, answer))
		}
	}
}

// What cannot be told, or may be told to nobody, is SERVFAIL.
func TestAnswerFailure(t *testing.T) {
	for _, name := range []string{"stranger.", "9.0.1.10.in-addr.arpa."} {
		s := &Server{look: func(netip.Addr) *View { return network() }}
		q, answer := s.answer(ask(t, name, dnsmessage.TypePTR, 0), asker, minSize)
		if answer == nil {
			answer = s.forward(q, "udp")
		}
		want := "ServerFailure rd ra; " + name + " PTR"
		if got := told(t, answer); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAnswerMalformed(t *testing.T) {
	good := ask(t, "web.", dnsmessage.TypeA, 0)
	change := func(f func(msg []byte)) []byte {
		msg := slices.Clone(good)
		f(msg)
		return msg
	}
	for _, test := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"nothing", nil, "silence"},
		{"half a header", good[:11], "silence"},
		{"an answer", change(func(m []byte) { m[2] |= 1 << 7 }), "silence"},
		{"a status query", change(func(m []byte) { m[2] |= 2 << 3 }), "NotImplemented rd ra; web. A"},
		{"an update without sections", change(func(m []byte) { m[2] |= 5 << 3; m[5] = 9 }), "NotImplemented rd ra"},
		{"no question", change(func(m []byte) { m[5] = 0 }), "FormatError rd ra"},
		{"half a question", good[:len(good)-1], "FormatError rd ra"},
		{"two questions", append(change(func(m []byte) { m[5] = 2 }), good[12:]...), "FormatError rd ra; web. A"},
		{"a record that is not there", change(func(m []byte) { m[11] = 1 }), "FormatError rd ra; web. A"},
		{"a name of itself", change(func(m []byte) { m[12], m[13] = 0xc0, 12 }), "FormatError rd ra"},
		{"without recursion", change(func(m []byte) { m[2] = 0 }), "Success ra; web. A; web. 600 10.1.0.3"},
		{"with more behind", append(slices.Clone(good), 1, 2, 3), "Success rd ra; web. A; web. 600 10.1.0.3"},
	} {
		s := &Server{look: func(netip.Addr) *View { return network() }}
		q, answer := s.answer(test.msg, asker, minSize)
		got := "silence"
		if q != nil || answer != nil {
			got = told(t, answer)
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTruncation(t *testing.T) {
	for _, test := range []struct {
		name  string
		qtype dnsmessage.Type
		edns  int
		size  int // of the transport
		want  int // records at most; the last but one is there
		cut   bool
	}{
		{"many.", dnsmessage.TypeA, 0, minSize, (512 - 22) / 16, true},
		{"many.", dnsmessage.TypeA, 100, minSize, (512 - 22) / 16, true},
		{"many.", dnsmessage.TypeAAAA, 1232, minSize, (1232 - 22) / 28, true},
		{"many.", dnsmessage.TypeA, 4096, minSize, 200, false},
		{"many.", dnsmessage.TypeA, 0, maxSize, 200, false},
		{"flock.", dnsmessage.TypeAAAA, 0, maxSize, (65535 - 23) / 28, true},
		{"web.", dnsmessage.TypeA, 0, minSize, 1, false},
	} {
		s := &Server{look: func(netip.Addr) *View { return network() }}
		_, answer := s.answer(ask(t, test.name, test.qtype, test.edns), asker, test.size)
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatal(err)
		}
		if got := len(m.Answers); got > test.want || got < test.want-2 || m.Truncated != test.cut {
			t.Errorf("%s %s, %d bytes: %d records in %d bytes, truncated %v; want %d, %v",
				test.name, test.qtype, max(test.edns, test.size), got, len(answer), m.Truncated, test.want, test.cut)
		}
	}
}

// Each address comes first in some answer.
func TestRotation(t *testing.T) {
	v := &View{Names: map[string][]netip.Addr{"web": many(3)}}
	first := map[string]bool{}
	for range 200 {
		records, _ := v.records(dnsmessage.Question{Name: dnsmessage.MustNewName("web."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
		if len(records) != 3 {
			t.Fatalf("%d records", len(records))
		}
		first[records[0].Body.GoString()] = true
	}
	if len(first) != 3 {
		t.Errorf("first came only %v", first)
	}
}

func TestAnsweredBy(t *testing.T) {
	sent := ask(t, "www.example.com.", dnsmessage.TypeA, 0)
	q := &query{raw: sent}
	if err := q.Unpack(sent); err != nil {
		t.Fatal(err)
	}
	reply := func(name string, qtype dnsmessage.Type, rcode byte) []byte {
		msg := ask(t, name, qtype, 0)
		msg[2] |= 1 << 7
		msg[3] |= rcode
		return msg
	}
	bare := func(rcode byte) []byte {
		msg := reply("www.example.com.", dnsmessage.TypeA, rcode)[:12]
		binary.BigEndian.PutUint16(msg[4:], 0)
		return msg
	}
	for _, test := range []struct {
		name string
		msg  []byte
		want bool
	}{
		{"the answer", reply("www.example.com.", dnsmessage.TypeA, 0), true},
		{"in another case", reply("WWW.example.COM.", dnsmessage.TypeA, 0), true},
		{"the query itself", sent, false},
		{"another name", reply("www.example.org.", dnsmessage.TypeA, 0), false},
		{"another type", reply("www.example.com.", dnsmessage.TypeAAAA, 0), false},
		{"not understood", bare(1), true},
		{"nothing", bare(0), false},
		{"no such name, no name", bare(3), false},
		{"with another ID", append([]byte{0xab, 0xce}, reply("www.example.com.", dnsmessage.TypeA, 0)[2:]...), false},
		{"half a header", sent[:7], false},
		{"no bytes", nil, false},
	} {
		if got := q.answeredBy(test.msg); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// FuzzAnswer asserts that whatever comes is answered by a message that can be
// read, is not too long and has the query's ID, or forwarded, or ignored.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"web.", "many.", arpa4, arpa6, "example.com.", "."} {
		for _, qtype := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypePTR, dnsmessage.TypeMX} {
			f.Add(ask(f, name, qtype, 0))
			f.Add(ask(f, name, qtype, 1232))
		}
	}
	view := network(upstream)
	s := &Server{look: func(netip.Addr) *View { return view }}
	f.Fuzz(func(t *testing.T, msg []byte) {
		q, answer := s.answer(msg, asker, minSize)
		if q == nil {
			if answer != nil {
				t.Fatal("an answer to no query")
			}
			return
		}
		if answer == nil {
			q.answeredBy(msg)
			answer = q.message(dnsmessage.RCodeServerFailure) // what every forwarded query may get
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("unpack the answer %x: %v", answer, err)
		}
		if !m.Response || m.ID != binary.BigEndian.Uint16(msg) || len(answer) > q.size {
			t.Fatalf("answer %x of %d bytes, of %d", answer, len(answer), q.size)
		}
	})
}
