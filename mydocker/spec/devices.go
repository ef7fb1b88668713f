package spec

import (
	"fmt"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// devices are the nodes to make in /dev beside those every container has, and
// the rules of the device cgroup, of which the last that matches decides.
func devices(host *api.HostConfig, facts Facts) ([]specs.LinuxDevice, []specs.LinuxDeviceCgroup, error) {
	if host.Privileged {
		nodes := append([]specs.LinuxDevice{}, facts.HostDevices...)
		for _, mapping := range host.Devices {
			if mapping.PathOnHost == mapping.PathInContainer {
				continue // it is among the host's
			}
			mapped, err := mapDevice(mapping, facts)
			if err != nil {
				return nil, nil, err
			}
			nodes = append(nodes, mapped...)
		}
		return nodes, []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, nil
	}

	nodes, rules := []specs.LinuxDevice{}, defaultDeviceRules()
	for _, mapping := range host.Devices {
		mapped, err := mapDevice(mapping, facts)
		if err != nil {
			return nil, nil, err
		}
		for _, node := range mapped {
			rules = append(rules, deviceRule(node.Type, node.Major, node.Minor, mapping.CgroupPermissions))
		}
		nodes = append(nodes, mapped...)
	}
	for _, text := range host.DeviceCgroupRules {
		rule, err := parseDeviceRule(text)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, rule)
	}
	return nodes, rules, nil
}

// mapDevice renames the nodes at a path of the host, which may be a directory,
// to where they shall be in the container.
func mapDevice(mapping api.DeviceMapping, facts Facts) ([]specs.LinuxDevice, error) {
	found := facts.Devices[mapping.PathOnHost]
	if len(found) == 0 {
		return nil, fmt.Errorf("error gathering device information while adding custom device %q: no such file or directory", mapping.PathOnHost)
	}
	mapped := make([]specs.LinuxDevice, len(found))
	for i, node := range found {
		below, inside := strings.CutPrefix(node.Path, mapping.PathOnHost+"/")
		node.Path = mapping.PathInContainer
		if inside {
			node.Path += "/" + below
		}
		mapped[i] = node
	}
	return mapped, nil
}

const anyNumber = -1

func deviceRule(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access}
}

// defaultDeviceRules are dockerd's and, from the third line on, what runc adds to
// any: every node may be made, as only opening it is dangerous.
func defaultDeviceRules() []specs.LinuxDeviceCgroup {
	return []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		deviceRule("c", 1, 3, "rwm"), deviceRule("c", 1, 5, "rwm"), deviceRule("c", 1, 8, "rwm"), deviceRule("c", 1, 9, "rwm"), // null zero random urandom
		deviceRule("c", 5, 0, "rwm"), deviceRule("c", 5, 1, "rwm"), // tty console
		deviceRule("c", anyNumber, anyNumber, "m"), deviceRule("b", anyNumber, anyNumber, "m"),
		deviceRule("c", 1, 7, "rwm"), deviceRule("c", 5, 2, "rwm"), deviceRule("c", 136, anyNumber, "rwm"), // full ptmx pts
	}
}

// parseDeviceRule reads "c 1:3 rwm" (cgroup v1, devices.rst); "*" is any number.
func parseDeviceRule(text string) (specs.LinuxDeviceCgroup, error) {
	invalid := fmt.Errorf("invalid device cgroup rule format: '%s'", text)
	fields := strings.Split(text, " ")
	if len(fields) != 3 || len(fields[0]) != 1 || !strings.Contains("abc", fields[0]) {
		return specs.LinuxDeviceCgroup{}, invalid
	}
	if access := fields[2]; len(access) < 1 || len(access) > 3 || strings.Trim(access, "rwm") != "" {
		return specs.LinuxDeviceCgroup{}, invalid
	}
	first, second, _ := strings.Cut(fields[1], ":")
	major, err := deviceNumber(first)
	if err != nil {
		return specs.LinuxDeviceCgroup{}, invalid
	}
	minor, err := deviceNumber(second)
	if err != nil {
		return specs.LinuxDeviceCgroup{}, invalid
	}
	return deviceRule(fields[0], major, minor, fields[2]), nil
}

func deviceNumber(text string) (int64, error) {
	if text == "*" {
		return anyNumber, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return int64(n), err
}
