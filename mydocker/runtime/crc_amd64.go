//go:build !amd64.v2

package runtime

// NoCRCTables, in GODEBUG, spares a process of ours what a package for zstd does when it is
// initialised: for the CRC instructions of SSE 4.2 it computes tables, a sixth of what init
// computes at all. (A build for processors that surely have SSE 4.2 does not know the word.)
const NoCRCTables = "cpu.sse42=off"
