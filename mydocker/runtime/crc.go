//go:build !amd64 || amd64.v2

package runtime

// NoCRCTables is nothing on processors whose CRC instructions need no tables.
const NoCRCTables = ""
