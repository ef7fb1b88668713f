package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"minidocker/mydocker/trace"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// guard makes the bridge's port drop what does not come from the container's own addresses,
// and answers for others to ARP and neighbour discovery: by CAP_NET_RAW, which containers have,
// one could be its neighbour or the gateway to the others. It is a filter of tc(8), and goes
// with the link. A kernel without such filters (CONFIG_NET_CLS_BPF) is no error.
func guard(index int, e *Endpoint) error {
	trace.Step("netlink", "filter on the bridge's port: from %s, %s, %s alone", e.MAC, e.IPv4, e.IPv6)
	code, err := bpf.Assemble(guardProgram(e))
	var program []byte
	for _, c := range code {
		program = append(binary.NativeEndian.AppendUint16(program, c.Op), c.Jt, c.Jf)
		program = binary.NativeEndian.AppendUint32(program, c.K)
	}
	clsact := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Parent: netlink.HANDLE_CLSACT}}
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL}) // in the network's byte order
	request := nl.NewNetlinkRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddData(&nl.TcMsg{Ifindex: int32(index), Parent: netlink.HANDLE_MIN_INGRESS, Info: netlink.MakeHandle(1, all)})
	request.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(code))))
	options.AddRtAttr(nl.TCA_BPF_OPS, program)
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT)) // what it returns is done
	request.AddData(options)
	if err == nil {
		err = netlink.QdiscAdd(clsact)
	}
	if err == nil {
		_, err = request.Execute(unix.NETLINK_ROUTE, 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("filter on the bridge's port: %w", err)
	}
	return nil
}

// guardProgram is classic BPF, from the Ethernet header on; what it does not know it drops.
func guardProgram(e *Endpoint) []bpf.Instruction {
	pass, drop := bpf.RetConstant{Val: 0 /* TC_ACT_OK */}, bpf.RetConstant{Val: 2 /* TC_ACT_SHOT */}
	mac := net.HardwareAddr(e.MAC)
	var known []bpf.Instruction
	if e.IPv4.IsValid() {
		known = append(known, when(12, []byte{0x08, 0x06}, when(22, mac, when(28, e.IPv4.AsSlice(), pass)...)...)...) // ARP: the sender's
		known = append(known, when(12, []byte{0x08, 0x00}, when(26, e.IPv4.AsSlice(), pass)...)...)
	}
	if e.IPv6.IsValid() {
		local := []byte{0xfe, 0x80, 15: 0} // RFC 4291, appendix A
		copy(local[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
		own := e.IPv6.AsSlice()
		discovery := append(when(54, []byte{136}, append(append(when(62, own, pass), when(62, local, pass)...), drop)...), // advertises itself
			append(when(54, []byte{134}, drop), when(54, []byte{137}, drop)...)...) // no router
		for _, source := range [][]byte{own, local, make([]byte, 16)} {
			known = append(known, when(12, []byte{0x86, 0xdd}, when(22, source, append(when(20, []byte{58}, discovery...), pass)...)...)...)
		}
	}
	return append(when(6, mac, known...), drop)
}

// when does then if the packet has want at offset, and otherwise what follows.
func when(offset int, want []byte, then ...bpf.Instruction) []bpf.Instruction {
	for len(want) > 0 {
		size := map[bool]int{true: 4, false: 2 - len(want)%2}[len(want)%4 == 0]
		at := len(want) - size
		value := binary.BigEndian.Uint32(append(make([]byte, 4-size), want[at:]...))
		then = append([]bpf.Instruction{bpf.LoadAbsolute{Off: uint32(offset + at), Size: size},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: uint8(len(then))}}, then...)
		want = want[:at]
	}
	return then
}
