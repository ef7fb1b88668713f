package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// How long one upstream may take, and how many are asked.
const (
	upstreamTime = 3 * time.Second
	maxUpstreams = 3 // as resolv.conf(5), MAXNS
)

// forward asks the upstreams, one after the other, and gives the first answer that is
// one: not that a server has failed or does not want to. The query goes as it came, but
// under a number of its own, from a port of its own: nobody else can guess both.
func (q *query) forward(network string) []byte {
	raw := bytes.Clone(q.raw)
	binary.BigEndian.PutUint16(raw, uint16(rand.Uint32()))
	var answer []byte
	for i, upstream := range q.upstreams {
		if i == maxUpstreams {
			break
		}
		reply, err := exchange(network, upstream, raw, q.question)
		if err != nil {
			continue
		}
		binary.BigEndian.PutUint16(reply, q.header.ID)
		answer = reply
		if code := dnsmessage.RCode(reply[3] & 0xf); code != dnsmessage.RCodeServerFailure && code != dnsmessage.RCodeRefused {
			break
		}
	}
	if answer == nil {
		return q.reply(dnsmessage.RCodeServerFailure, nil, 0)
	}
	return answer
}

// exchange asks one upstream. A reply to another question, or from elsewhere, is none.
func exchange(network string, upstream netip.AddrPort, raw []byte, question dnsmessage.Question) ([]byte, error) {
	conn, err := net.DialTimeout(network, upstream.String(), upstreamTime) // connected: only from there
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(upstreamTime))
	if network == "tcp" {
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...)); err != nil {
			return nil, err
		}
		reply, err := readMessage(conn)
		if err == nil && !answers(reply, raw, question) {
			err = errors.New("the answer is to another question")
		}
		return reply, err
	}
	if _, err := conn.Write(raw); err != nil {
		return nil, err
	}
	buffer := make([]byte, 65535)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if answers(buffer[:n], raw, question) {
			return bytes.Clone(buffer[:n]), nil
		}
	}
}

func answers(reply, raw []byte, question dnsmessage.Question) bool {
	var p dnsmessage.Parser
	header, err := p.Start(reply)
	if err != nil || !header.Response || !bytes.Equal(reply[:2], raw[:2]) {
		return false
	}
	asked, err := p.Question()
	if errors.Is(err, dnsmessage.ErrSectionDone) { // some leave it out when they refuse
		return header.RCode != dnsmessage.RCodeSuccess
	}
	return err == nil && asked.Type == question.Type && bytes.EqualFold(asked.Name.Data[:asked.Name.Length], question.Name.Data[:question.Name.Length])
}
