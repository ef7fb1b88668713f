package cgroup

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SetDevices says which devices the group's processes may open and make nodes of.
// It is called once, between Create and the first process: on version 2 a later
// call can only take away. Of the rules that fit, the last one decides, for each of
// the rights to read, write and mknod by itself; without one it is allowed.
func (g Group) SetDevices(rules []specs.LinuxDeviceCgroup) (err error) {
	for _, r := range rules {
		if r.Access == "" || strings.Trim(r.Access, "rwm") != "" || len(r.Type) > 1 || !strings.Contains("abc", r.Type) {
			return fmt.Errorf("limit devices: %q %q is not one of abc and some of rwm", r.Type, r.Access)
		}
	}
	if g.host.Version == 2 {
		err = attachDeviceProgram(g.Paths()[""], rules)
	} else {
		err = g.writeDeviceRules(rules)
	}
	if err != nil {
		return fmt.Errorf("limit devices: %w", err)
	}
	return nil
}

// writeDeviceRules is version 1, where the kernel keeps the rules, as "c 1:3 rwm".
func (g Group) writeDeviceRules(rules []specs.LinuxDeviceCgroup) error {
	for _, r := range rules {
		file, err := g.file("devices.deny")
		if r.Allow {
			file, err = g.file("devices.allow")
		}
		if err != nil {
			return err
		}
		kinds := strings.TrimPrefix(r.Type, "a")
		if isAny(r.Major) && isAny(r.Minor) && r.Access == "rwm" && kinds == "" {
			kinds = "a" // which the kernel takes as every right to every device
		} else if kinds == "" {
			kinds = "bc"
		}
		for _, kind := range kinds {
			if err := write(file, fmt.Sprintf("%c %s:%s %s", kind, starOr(r.Major), starOr(r.Minor), r.Access)); err != nil {
				return err
			}
		}
	}
	return nil
}

func isAny(number *int64) bool { return number == nil || *number < 0 }

func starOr(number *int64) string {
	if isAny(number) {
		return "*"
	}
	return fmt.Sprint(*number)
}
