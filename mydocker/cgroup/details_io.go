package cgroup

import (
	"path/filepath"
	"strconv"
	"strings"
)

// BlkioDetails are counted by device and kind of operation: Read, Write, on version 1
// also Sync, Async, Discard and Total.
type BlkioDetails struct {
	IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	IoQueuedRecursive       []BlkioEntry `json:"ioQueueRecursive,omitempty"`
	IoServiceTimeRecursive  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`
	IoWaitTimeRecursive     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`
	IoMergedRecursive       []BlkioEntry `json:"ioMergedRecursive,omitempty"`
	IoTimeRecursive         []BlkioEntry `json:"ioTimeRecursive,omitempty"`
	SectorsRecursive        []BlkioEntry `json:"sectorsRecursive,omitempty"`
	PSI                     *Pressure    `json:"psi,omitempty"`
}

type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

func (g Group) blkioDetails(d *BlkioDetails) error {
	if g.host.Version == 2 {
		return g.ioDetails(d)
	}
	for name, to := range map[string]*[]BlkioEntry{
		"io_service_bytes_recursive": &d.IoServiceBytesRecursive, "io_serviced_recursive": &d.IoServicedRecursive,
		"io_queued_recursive": &d.IoQueuedRecursive, "io_service_time_recursive": &d.IoServiceTimeRecursive,
		"io_wait_time_recursive": &d.IoWaitTimeRecursive, "io_merged_recursive": &d.IoMergedRecursive,
		"time_recursive": &d.IoTimeRecursive, "sectors_recursive": &d.SectorsRecursive,
	} {
		// The BFQ scheduler counts for the devices that have it; throttling counts for all.
		for _, prefix := range [...]string{"blkio.bfq.", "blkio.throttle."} {
			file, err := g.file(prefix + name)
			if err != nil || len(*to) > 0 {
				continue
			}
			fields, err := readFields(filepath.Split(file))
			if err != nil && !gone(err) {
				return err
			}
			*to = parseBlkio(fields)
		}
	}
	return nil
}

// parseBlkio reads "8:0 Read 4096" for each device and operation, and "8:0 4096" where
// there is one number for a device; not the sum over all devices at the end.
func parseBlkio(fields []string) (list []BlkioEntry) {
	for i := 0; i+1 < len(fields); i += 2 {
		major, minor, ok := strings.Cut(fields[i], ":")
		if !ok {
			break
		}
		e := BlkioEntry{}
		e.Major, _ = strconv.ParseUint(major, 10, 64)
		e.Minor, _ = strconv.ParseUint(minor, 10, 64)
		n, err := strconv.ParseUint(fields[i+1], 10, 64)
		if err != nil && i+2 < len(fields) {
			e.Op = fields[i+1]
			n, _ = strconv.ParseUint(fields[i+2], 10, 64)
			i++
		}
		e.Value = n
		list = append(list, e)
	}
	return list
}

// ioDetails reads "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0".
func (g Group) ioDetails(d *BlkioDetails) error {
	fields, err := readFields(g.Paths()[""], "io.stat")
	if gone(err) {
		return nil
	}
	var device BlkioEntry
	for i, field := range fields {
		if major, minor, ok := strings.Cut(field, ":"); ok {
			device.Major, _ = strconv.ParseUint(major, 10, 64)
			device.Minor, _ = strconv.ParseUint(minor, 10, 64)
		}
		to := &d.IoServiceBytesRecursive
		switch field {
		case "rbytes", "rios":
			device.Op = "Read"
		case "wbytes", "wios":
			device.Op = "Write"
		default:
			continue
		}
		if strings.HasSuffix(field, "ios") {
			to = &d.IoServicedRecursive
		}
		if i+1 < len(fields) {
			device.Value, _ = strconv.ParseUint(fields[i+1], 10, 64)
			*to = append(*to, device)
		}
	}
	return err
}
