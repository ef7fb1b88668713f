package cgroup

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// deviceRule is one rule of the specification, checked. A device number of -1
// stands for all. Of several rules that fit, the last one decides, for each of
// the rights to read, write and mknod by itself.
type deviceRule struct {
	allow        bool
	kind         byte // 'b', 'c', 'a' for both
	major, minor int64
	access       string // out of "rwm"
}

func deviceRules(devices []specs.LinuxDeviceCgroup) ([]deviceRule, error) {
	rules := make([]deviceRule, 0, len(devices))
	for _, d := range devices {
		r := deviceRule{allow: d.Allow, kind: 'a', major: -1, minor: -1, access: d.Access}
		switch d.Type {
		case "b", "c":
			r.kind = d.Type[0]
		case "", "a":
		default:
			return nil, fmt.Errorf("limit devices: type %q is not a, b or c", d.Type)
		}
		if d.Major != nil {
			r.major = *d.Major
		}
		if d.Minor != nil {
			r.minor = *d.Minor
		}
		if r.access == "" { // the specification has no default; runc takes it as all
			r.access = "rwm"
		}
		if strings.Trim(r.access, "rwm") != "" {
			return nil, fmt.Errorf("limit devices: access %q is not out of rwm", d.Access)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// String is the form of devices.allow and devices.deny, such as "c 1:3 rwm".
func (r deviceRule) String() string {
	number := func(n int64) string {
		if n < 0 {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%c %s:%s %s", r.kind, number(r.major), number(r.minor), r.access)
}

// setDevicesV1 writes the rules in order. The kernel reads kind 'a' as "every
// device, every access" whatever follows, so such a rule with less is written for b and c.
// On a live group a rule that denies everything cuts off for some microseconds
// what a later one allows, and is EINVAL when there are groups below.
func setDevicesV1(dir string, devices []specs.LinuxDeviceCgroup) error {
	rules, err := deviceRules(devices)
	if err != nil {
		return err
	}
	for _, r := range rules {
		file := filepath.Join(dir, "devices.deny")
		if r.allow {
			file = filepath.Join(dir, "devices.allow")
		}
		lines := []string{r.String()}
		if r.kind == 'a' {
			if r.major < 0 && r.minor < 0 && len(r.access) == 3 {
				lines = []string{"a"}
			} else {
				block, char := r, r
				block.kind, char.kind = 'b', 'c'
				lines = []string{block.String(), char.String()}
			}
		}
		for _, line := range lines {
			if err := write(file, line); err != nil {
				return fmt.Errorf("limit devices: %w", err)
			}
		}
	}
	return nil
}
