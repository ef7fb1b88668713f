package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	godbus "github.com/godbus/dbus/v5"
)

// properties are the limits as systemd names them (systemd.resource-control(5)), for
// those it knows: the rest is in the files alone, which systemd does not touch.
func properties(limits []setting, version int) (list []property, err error) {
	quota, period := uint64(0), uint64(100_000) // 0: not said
	for _, s := range limits {
		e := s.v1
		if version == 2 {
			e = s.v2
		}
		if e.value == "" {
			continue
		}
		switch e.file {
		case "cpu.idle": // systemd.resource-control(5): the weight "idle" is 0
			if e.value == "1" && version == 2 {
				list = append(list, prop("CPUWeight", uint64(0)))
			}
		case "cpu.max":
			first, second, _ := strings.Cut(e.value, " ")
			if quota, err = orInfinity(first); err == nil && second != "" {
				period, err = orInfinity(second)
			}
		case "cpu.cfs_quota_us":
			quota, err = orInfinity(e.value)
		case "cpu.cfs_period_us":
			period, err = orInfinity(e.value)
		case "cpuset.cpus", "cpuset.mems":
			name := map[string]string{"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}[e.file]
			var mask []byte
			mask, err = maskOf(e.value)
			list = append(list, prop(name, mask))
		default:
			if name := propertyOf(e.file); name != "" {
				var n uint64
				n, err = orInfinity(e.value)
				list = append(list, prop(name, n))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("tell systemd %q of %s: %w", e.value, e.file, err)
		}
	}
	if quota != 0 {
		perSecond := uint64(math.MaxUint64)
		if quota != perSecond && period > 0 {
			// systemd keeps whole percents of a CPU: up, or it would allow less than the file.
			perSecond = (quota*1_000_000/period + 9_999) / 10_000 * 10_000
		}
		list = append(list, prop("CPUQuotaPeriodUSec", period), prop("CPUQuotaPerSecUSec", perSecond))
	}
	return list, nil
}

// propertyOf is the property of a number which is in a file; "": none.
func propertyOf(file string) string {
	return map[string]string{"memory.max": "MemoryMax", "memory.low": "MemoryLow", "memory.min": "MemoryMin", "memory.high": "MemoryHigh",
		"memory.swap.max": "MemorySwapMax", "memory.limit_in_bytes": "MemoryLimit", "cpu.weight": "CPUWeight", "cpu.shares": "CPUShares",
		"blkio.weight": "BlockIOWeight", "pids.max": "TasksMax"}[file]
}

// orInfinity reads a number; "max" and -1 are systemd's infinity.
func orInfinity(text string) (uint64, error) {
	if text == "max" || text == "-1" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// maskOf makes a mask of bytes of a list such as "0-2,7", the lowest first.
func maskOf(text string) (mask []byte, err error) {
	list, err := parseList(text)
	for _, n := range list {
		for len(mask) <= n/8 {
			mask = append(mask, 0)
		}
		mask[n/8] |= 1 << (n % 8)
	}
	return mask, err
}

// parseList reads a list such as "0-2,7".
func parseList(text string) (list []int, err error) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part == "" {
			continue
		}
		first, last, ok := strings.Cut(strings.TrimSpace(part), "-")
		if !ok {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err := errors.Join(err, err2); err != nil || from > to {
			return nil, fmt.Errorf("%q is not a list of numbers", text)
		}
		for n := from; n <= to; n++ {
			list = append(list, int(n))
		}
	}
	return list, nil
}

// setDevices has systemd keep the same list, else it opens or closes devices when it
// reads its configuration again. It has no list of what is denied: then it keeps out.
func (s *scope) setDevices(allow bool, list []string) error {
	type rule struct{ Path, Access string }
	rules, policy := []rule{}, "strict"
	if allow {
		list, policy = nil, "auto"
	}
	for _, text := range list { // "c 1:3 rwm"
		f := strings.Fields(text)
		class := map[string]string{"c": "char", "b": "block"}[f[0]]
		major, minor, _ := strings.Cut(f[1], ":")
		path := "/dev/" + class + "/" + f[1]
		switch {
		case major == "*" && minor == "*":
			path = class + "-*"
		case major == "*":
			return s.setDevices(true, nil) // it has no such rule
		case minor == "*":
			name, err := driverOf(class, major)
			if err != nil {
				return err
			}
			if name == "" {
				continue // no driver, no devices
			}
			path = class + "-" + name
		}
		rules = append(rules, rule{path, f[2]})
	}
	// An empty list first takes back what there was.
	return s.tell([]property{prop("DevicePolicy", policy), prop("DeviceAllow", []rule{}), prop("DeviceAllow", rules)})
}

// driverOf is the name /proc/devices (proc_devices(5)) has for a major number; "": none.
func driverOf(class, major string) (string, error) {
	data, err := os.ReadFile("/proc/devices")
	list, block, _ := strings.Cut(string(data), "Block devices:")
	if class == "block" {
		list = block
	}
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == major {
			return f[1], nil
		}
	}
	return "", err
}

const annotation = "org.systemd.property."

// annotated reads properties from a specification's annotations, as runc does: a name that
// ends in Sec may be given in seconds, for systemd's own, in microseconds, ends in USec.
func annotated(annotations map[string]string) (list []property, err error) {
	for key, text := range annotations {
		name, ok := strings.CutPrefix(key, annotation)
		if !ok {
			continue
		}
		if !regexp.MustCompile("^[a-zA-Z]{3,}$").MatchString(name) {
			return nil, fmt.Errorf("annotation %s: name incorrect: not three letters or more", key)
		}
		value, err := godbus.ParseVariant(text, godbus.Signature{})
		if stem, ok := strings.CutSuffix(name, "Sec"); ok && err == nil && !strings.HasSuffix(name, "USec") {
			var seconds float64
			seconds, err = strconv.ParseFloat(fmt.Sprint(value.Value()), 64)
			name, value = stem+"USec", godbus.MakeVariant(uint64(seconds*1e6))
		}
		if err != nil {
			return nil, fmt.Errorf("annotation %s=%s value parse error: %w", key, text, err)
		}
		list = append(list, property{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b property) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
