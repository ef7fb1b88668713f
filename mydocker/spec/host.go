package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HostDevices collects Facts.HostDevices: the device nodes below /dev, without
// those that each container has of its own.
func HostDevices() ([]specs.LinuxDevice, error) { return devicesBelow("/dev") }

// DevicesAt collects one entry of Facts.Devices: the node at path, symbolic links
// followed, or all below it if it is a directory. Their paths begin with path.
func DevicesAt(path string) ([]specs.LinuxDevice, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, gatherError(path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, gatherError(path, err)
	}
	var found []specs.LinuxDevice
	if info.IsDir() {
		found, err = devicesBelow(real)
	} else if device, ok := deviceOf(real, info); ok {
		found = append(found, device)
	}
	if err == nil && len(found) == 0 {
		err = errors.New("not a device node")
	}
	if err != nil {
		return nil, gatherError(path, err)
	}
	for i := range found {
		found[i].Path = path + strings.TrimPrefix(found[i].Path, real)
	}
	return found, nil
}

func gatherError(path string, err error) error {
	return fmt.Errorf("error gathering device information while adding custom device %q: %w", path, err)
}

func devicesBelow(root string) (found []specs.LinuxDevice, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // unplugged meanwhile
				return nil
			}
			return fmt.Errorf("list devices: %w", err)
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev":
				return fs.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeDevice == 0 || entry.Name() == "console" {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			if device, ok := deviceOf(path, info); ok {
				found = append(found, device)
			}
		}
		return nil
	})
	return found, err
}

func deviceOf(path string, info fs.FileInfo) (specs.LinuxDevice, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeDevice == 0 {
		return specs.LinuxDevice{}, false
	}
	kind := "b"
	if info.Mode()&fs.ModeCharDevice != 0 {
		kind = "c"
	}
	mode := info.Mode().Perm()
	uid, gid := stat.Uid, stat.Gid
	return specs.LinuxDevice{Path: path, Type: kind, Major: int64(unix.Major(stat.Rdev)), Minor: int64(unix.Minor(stat.Rdev)),
		FileMode: &mode, UID: &uid, GID: &gid}, true
}
