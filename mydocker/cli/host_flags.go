package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/blkiodev"
	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

// hostFlags are the flags about what a container shares with the host or another
// container: namespaces, cgroups, devices, and the small init.
func (o *containerOptions) hostFlags() []*option {
	h := &o.host
	h.Devices, h.BlkioWeightDevice = []api.DeviceMapping{}, []*blkiodev.WeightDevice{} // inspect: [], not null
	return []*option{
		parsed("list", "blkio-weight-device", "Block IO weight (relative device weight)", o.addWeight),
		text(&h.CgroupParent, "cgroup-parent", "Optional parent cgroup for the container"),
		mode(&h.CgroupnsMode, "cgroupns", "CGROUP", "Cgroup namespace to use: host or private (default)"),
		parsed("list", "device", "Add a host device to the container", o.addDevice),
		parsed("list", "device-cgroup-rule", "Add a rule to the cgroup allowed devices list", o.addDeviceRule),
		throttle(&h.BlkioDeviceReadBps, true, "device-read-bps", "Limit read rate (bytes per second) from a device"),
		throttle(&h.BlkioDeviceReadIOps, false, "device-read-iops", "Limit read rate (IO per second) from a device"),
		throttle(&h.BlkioDeviceWriteBps, true, "device-write-bps", "Limit write rate (bytes per second) to a device"),
		throttle(&h.BlkioDeviceWriteIOps, false, "device-write-iops", "Limit write rate (IO per second) to a device"),
		optional(&h.Init, boolean, "init", "Run an init inside the container that forwards signals and reaps processes"),
		text((*string)(&h.IpcMode), "ipc", "IPC mode to use: private (default), shareable, none, host, container:NAME"),
		optional(&h.OomKillDisable, boolean, "oom-kill-disable", "Disable OOM Killer"),
		integer(&h.OomScoreAdj, "oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
		mode(&h.PidMode, "pid", "PID", "PID namespace to use: host, container:NAME"),
		parsed("string", "userns", "User namespace to use: host, or private (default; auto is the same): user ids that nobody else has", func(v string) error {
			if h.UsernsMode = api.UsernsMode(v); engine.CheckUsernsMode(v) != nil {
				return exit(125, "--userns: invalid USER mode")
			}
			return nil
		}),
		mode(&h.UTSMode, "uts", "UTS", "UTS namespace to use: host"),
	}
}

// mode is the choice of a namespace, of which the type knows the valid ones.
func mode[T interface {
	~string
	Valid() bool
}](to *T, flag, kind, usage string) *option {
	return parsed("string", flag, usage, func(v string) error {
		if *to = T(v); !(*to).Valid() {
			return exit(125, "--%s: invalid %s mode", flag, kind)
		}
		return nil
	})
}

// addDevice is --device HOST[:CONTAINER][:rwm].
func (o *containerOptions) addDevice(v string) error {
	parts := strings.Split(v, ":")
	device := api.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
	switch {
	case len(parts) > 3 || parts[0] == "":
		return exit(125, "bad format for path: %s", v)
	case len(parts) == 3 && !deviceAccess(parts[2]):
		return exit(125, "bad mode specified: %s", parts[2])
	case len(parts) == 3:
		device.PathInContainer, device.CgroupPermissions = parts[1], parts[2]
	case len(parts) == 2 && deviceAccess(parts[1]):
		device.CgroupPermissions = parts[1]
	case len(parts) == 2:
		device.PathInContainer = parts[1]
	}
	for _, path := range []string{device.PathInContainer, device.PathOnHost} {
		if !filepath.IsAbs(path) {
			return exit(125, "%s is not an absolute path", path)
		}
	}
	device.PathOnHost, device.PathInContainer = filepath.Clean(device.PathOnHost), filepath.Clean(device.PathInContainer)
	o.host.Devices = append(o.host.Devices, device)
	return nil
}

// deviceAccess: r, w and m, each once at most.
func deviceAccess(word string) bool {
	for _, letter := range "rwm" {
		word = strings.Replace(word, string(letter), " ", 1)
	}
	return word != "" && strings.TrimSpace(word) == ""
}

func (o *containerOptions) addDeviceRule(v string) error {
	if ok, _ := regexp.MatchString(`^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$`, v); !ok {
		return fmt.Errorf("invalid device cgroup format '%s'", v)
	}
	o.host.DeviceCgroupRules = append(o.host.DeviceCgroupRules, v)
	return nil
}

// perDevice splits /dev/NAME:VALUE.
func perDevice(v string) (device, value string, err error) {
	device, value, ok := strings.Cut(v, ":")
	if !ok || device == "" || strings.Contains(value, ":") {
		return "", "", fmt.Errorf("bad format: %s", v)
	}
	if !strings.HasPrefix(device, "/dev/") {
		err = fmt.Errorf("bad format for device path: %s", v)
	}
	return device, value, err
}

func (o *containerOptions) addWeight(v string) error {
	device, value, err := perDevice(v)
	if err != nil {
		return err
	}
	weight, err := strconv.ParseUint(value, 10, 16)
	if err != nil || weight > 0 && (weight < 10 || weight > 1000) {
		return fmt.Errorf("invalid weight for device: %s", v)
	}
	o.host.BlkioWeightDevice = append(o.host.BlkioWeightDevice, &blkiodev.WeightDevice{Path: device, Weight: uint16(weight)})
	return nil
}

// throttle is a rate for a device, in bytes with a unit or in operations.
func throttle(to *[]*blkiodev.ThrottleDevice, bytes bool, name, usage string) *option {
	*to = []*blkiodev.ThrottleDevice{}
	return parsed("list", name, usage, func(v string) error {
		device, value, err := perDevice(v)
		if err != nil {
			return err
		}
		var rate int64
		if bytes {
			rate, err = units.RAMInBytes(value)
		} else {
			rate, err = strconv.ParseInt(value, 10, 64)
		}
		if err == nil && rate >= 0 {
			*to = append(*to, &blkiodev.ThrottleDevice{Path: device, Rate: uint64(rate)})
			return nil
		}
		words := "invalid rate for device: " + v + ". The correct format is <device-path>:<number>"
		if bytes {
			return errors.New(words + "[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
		}
		return errors.New(words + ". Number must be a positive integer")
	})
}
