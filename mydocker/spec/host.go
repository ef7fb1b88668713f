package spec

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HostDevices collects Facts.HostDevices: the device nodes below /dev, without
// those that each container has of its own.
func HostDevices() ([]specs.LinuxDevice, error) { return devicesBelow("/dev") }

// DevicesAt collects one entry of Facts.Devices: the node at path, symbolic links
// followed, or all below it if it is a directory. Their paths begin with path.
func DevicesAt(path string) ([]specs.LinuxDevice, error) {
	var found []specs.LinuxDevice
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		found, err = devicesBelow(real)
	}
	if err == nil && len(found) == 0 {
		err = errors.New("not a device node")
	}
	var where *fs.PathError
	if errors.As(err, &where) {
		err = where.Err
	}
	if err != nil {
		return nil, fmt.Errorf("error gathering device information while adding custom device %q: %w", path, err)
	}
	for i := range found {
		found[i].Path = path + strings.TrimPrefix(found[i].Path, real)
	}
	return found, nil
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
		}
		var stat unix.Stat_t
		if entry.Type()&fs.ModeDevice == 0 || path == "/dev/console" && path != root || unix.Lstat(path, &stat) != nil {
			return nil
		}
		kind := "b"
		if entry.Type()&fs.ModeCharDevice != 0 {
			kind = "c"
		}
		found = append(found, specs.LinuxDevice{
			Path: path, Type: kind, Major: int64(unix.Major(stat.Rdev)), Minor: int64(unix.Minor(stat.Rdev)),
			FileMode: new(fs.FileMode(stat.Mode & 0o777)), UID: &stat.Uid, GID: &stat.Gid,
		})
		return nil
	})
	return found, err
}

// ResolveUser finds the user a container's process runs as, and the home
// directory. who is "", "user", "uid", "user:group" and so on, as in
// Config.User; groupAdd are further groups by name or number. passwd and group
// are the image's /etc files, empty if missing; they decide names, numbers need
// not be in them.
func ResolveUser(who string, groupAdd []string, passwd, group io.Reader) (specs.User, string, error) {
	// Read twice below, and written by a stranger: not more than is sensible.
	groups, err := io.ReadAll(io.LimitReader(group, 16<<20))
	if err != nil {
		return specs.User{}, "", fmt.Errorf("read the image's /etc/group: %w", err)
	}
	found, err := user.GetExecUser(who, &user.ExecUser{Home: "/"}, passwd, bytes.NewReader(groups))
	if err != nil {
		return specs.User{}, "", err
	}
	more, err := user.GetAdditionalGroups(groupAdd, bytes.NewReader(groups))
	if err != nil {
		return specs.User{}, "", err
	}
	slices.Sort(more) // they come out of a map

	// The user's own group stands among the additional ones too: else a process
	// could drop its primary group and pass for one that is not a member.
	result := specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, gid := range slices.Concat([]int{found.Gid}, found.Sgids, more) {
		if !slices.Contains(result.AdditionalGids, uint32(gid)) {
			result.AdditionalGids = append(result.AdditionalGids, uint32(gid))
		}
	}
	return result, cmp.Or(found.Home, "/"), nil
}
