package engine

import (
	"archive/tar"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"

	api "github.com/moby/moby/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// CheckUsernsMode refuses what is no mode of --userns; "" is: the default one.
func CheckUsernsMode(mode string) error {
	switch mode {
	case "", "host", container.Private, "auto":
		return nil
	}
	return fmt.Errorf("invalid user namespace mode: %q: host, private or auto, which is the same", mode)
}

// settleUsers decides whose user IDs a container has, once its other modes are settled: a
// range of its own, unless it is to have the host's, or needs them, or shares namespaces with
// a container. By default it takes what it can get; a mode that was asked for must be possible.
func (e *Engine) settleUsers(host *api.HostConfig) (u container.UserNamespace, err error) {
	if err := CheckUsernsMode(string(host.UsernsMode)); err != nil {
		return u, err
	}
	hosts := func(reason string) container.UserNamespace {
		return container.UserNamespace{Mode: "host", Reason: reason}
	}
	wanted := host.UsernsMode != "" && !host.UsernsMode.IsHost()
	switch {
	case host.UsernsMode.IsHost():
		return hosts("--userns host"), nil
	case !wanted && e.config.Userns == "host":
		return hosts("userns is host in the settings"), nil
	}
	for _, conflict := range []struct {
		is            bool
		reason, words string
	}{
		{host.Privileged, "--privileged", "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"},
		{host.NetworkMode.IsHost(), "--network host", "cannot share the host's network namespace when user namespaces are enabled"},
		{host.PidMode.IsHost(), "--pid host", "cannot share the host PID namespace when user namespaces are enabled"},
		// What is in it belongs to users of the host, and /dev/mqueue cannot be mounted without the right to change it.
		{host.IpcMode.IsHost(), "--ipc host", "cannot share the host IPC namespace when user namespaces are enabled"},
	} {
		if conflict.is && wanted {
			return u, errors.New(conflict.words)
		} else if conflict.is {
			return hosts(conflict.reason), nil
		}
	}
	if found, err := e.donorUsers(host); found != nil || err != nil {
		if err == nil && found.Mode == "host" && wanted {
			err = fmt.Errorf("conflicting options: --userns %s: %s", host.UsernsMode, found.Reason)
		}
		return *cmp.Or(found, &u), err
	}
	reason, err := e.noUsers()
	if reason == "" || err != nil {
		return container.UserNamespace{Mode: container.Private}, err
	}
	if wanted {
		return u, fmt.Errorf("--userns %s: %s", host.UsernsMode, reason)
	}
	return hosts(reason), nil
}

// donorUsers is what a container has that shares namespaces with others: what these have,
// because a namespace can be used to the full by who is in the user namespace it was made
// in. nil: it shares none.
func (e *Engine) donorUsers(host *api.HostConfig) (*container.UserNamespace, error) {
	var found *container.UserNamespace
	var first string
	for _, id := range []string{host.NetworkMode.ConnectedContainer(), host.IpcMode.Container(), host.PidMode.Container()} {
		if id == "" {
			continue
		}
		donor, err := e.containers.Record(id)
		if err != nil {
			return nil, err
		}
		u := container.UserNamespace{Mode: "host", Reason: fmt.Sprintf("it shares namespaces with container %s, which has the host's user namespace", donor.Name)}
		name := "container " + donor.Name + " (user namespace of the host)"
		if donor.UserNamespace.Mode == container.Private {
			u = container.UserNamespace{Mode: container.Private, IDRange: donor.UserNamespace.IDRange, Container: id}
			name = fmt.Sprintf("container %s (user ids %s)", donor.Name, u.IDRange)
		}
		if found != nil && (found.Mode != u.Mode || found.IDRange != u.IDRange) {
			return nil, fmt.Errorf("conflicting options: %s and %s: a container can share namespaces only with such as are in one user namespace", first, name)
		}
		if found == nil {
			found, first = &u, name
		}
	}
	return found, nil
}

// noUsers says why no container of this root can have a user namespace, "" if it can. It is
// tried once a boot; and then all containers get their leases again, before there are new ones.
func (e *Engine) noUsers() (reason string, err error) {
	boot, err := container.BootID()
	if err != nil {
		return "", err
	}
	var tried struct{ Boot, Reason string }
	path := filepath.Join(e.config.RunRoot, "userns.json")
	if disk.ReadJSON(path, &tried) == nil && tried.Boot == boot {
		return tried.Reason, nil
	}
	if limit, _ := os.ReadFile("/proc/sys/user/max_user_namespaces"); string(limit) == "0\n" {
		return "the sysctl user.max_user_namespaces is 0", nil
	}
	scratch, err := os.MkdirTemp(e.config.Root, fmt.Sprintf("%s%d-*", doctorPrefix, os.Getpid()))
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	tried.Boot = boot
	err = probeIDMap(scratch)
	for _, other := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.ENOMEM, unix.EAGAIN, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, other) { // it may be otherwise soon, and a container keeps what it gets
			return "", err
		}
	}
	if err != nil {
		tried.Reason = "this host cannot have it: " + err.Error()
	}
	return tried.Reason, errors.Join(e.containers.RenewAllIDs(), disk.WriteJSON(path, tried, disk.Volatile))
}

// mapOut gives a mount's directory, of files that belong to a container's IDs, the owners
// they have inside: as the container's image has them, and its layers.
func mapOut(ids security.IDRange) func(dir *os.File) error {
	if ids.Size == 0 {
		return nil
	}
	return func(dir *os.File) error {
		users, err := namespace.NewUser(ids.Outside(), ids.Outside())
		if err != nil {
			return err
		}
		defer users.Close()
		return rootfs.MapIDs(dir, users, false)
	}
}

// openUpper opens the upper directory of a container, in which each file has the owner that
// it has inside.
func (e *Engine) openUpper(r *container.Record) (upper *os.File, path string, err error) {
	upper, err = rootfs.OpenMount(specs.Mount{Type: "bind", Source: e.upper(r.ID)})
	if change := mapOut(r.UserNamespace.IDRange); err == nil && change != nil {
		err = change(upper)
	}
	if err != nil {
		upper.Close() // harmless if nil
		return nil, "", err
	}
	return upper, fmt.Sprintf("/proc/self/fd/%d", upper.Fd()), nil
}

const (
	capabilityRecord = "SCHILY.xattr.security.capability"
	aclRecord        = "SCHILY.xattr.system.posix_acl_" // access, or default
)

// shiftACL changes the IDs in an access control list, as linux/posix_acl_xattr.h has it: a
// version, and for each entry tag, permissions and ID.
func shiftACL(h *tar.Header, shift func(id uint32) uint32) {
	for _, name := range []string{aclRecord + "access", aclRecord + "default"} {
		list := []byte(h.PAXRecords[name])
		for entry := 4; entry+8 <= len(list); entry += 8 {
			const user, group = 0x02, 0x08 // named ones; the others have no ID
			if tag := binary.LittleEndian.Uint16(list[entry:]); tag == user || tag == group {
				binary.LittleEndian.PutUint32(list[entry+4:], shift(binary.LittleEndian.Uint32(list[entry+4:])))
			}
		}
		if len(list) > 0 {
			h.PAXRecords[name] = string(list)
		}
	}
}

// enter gives what comes into a container that runs the owner on the host that stands for
// its owner inside, and capabilities that count there (capabilities(7), revision 3).
func enter(ids security.IDRange, h *tar.Header) error {
	if ids.Size == 0 {
		return nil
	}
	if h.Uid >= int(ids.Size) || h.Gid >= int(ids.Size) {
		return fmt.Errorf("%s: owner %d:%d: the container has the ids 0 to %d", h.Name, h.Uid, h.Gid, ids.Size-1)
	}
	h.Uid, h.Gid = ids.Host(uint32(h.Uid)), ids.Host(uint32(h.Gid))
	shiftACL(h, func(id uint32) uint32 { return uint32(ids.Host(min(id, ids.Size-1))) })
	if value := []byte(h.PAXRecords[capabilityRecord]); len(value) == 20 && value[3] == 2 {
		value[3] = 3
		h.PAXRecords[capabilityRecord] = string(binary.LittleEndian.AppendUint32(value, ids.First))
	}
	return nil
}

// asRoot acts as the root of a container that runs, with all privileges of the host's: in an
// id-mapped mount, or a file system of the container's own, the host's root is nobody, and
// can make no file (EOVERFLOW).
func asRoot(ids security.IDRange, act func() error) error {
	if ids.Size == 0 {
		return act()
	}
	return namespace.OnThread(func() error {
		// Else the privileges over files would go with the user ID (capabilities(7)).
		const noSetuidFixup = 1 << 2 // SECBIT_NO_SETUID_FIXUP
		if err := unix.Prctl(unix.PR_SET_SECUREBITS, noSetuidFixup, 0, 0, 0); err != nil {
			return fmt.Errorf("set securebits: %w", err)
		}
		unix.SetfsgidRetGid(ids.Host(0)) // both tell no error: what is then made does
		unix.SetfsuidRetUid(ids.Host(0))
		return act()
	})
}

// leave undoes enter. An owner out of the range, in a mount that could not be id-mapped, stays.
func leave(ids security.IDRange, h *tar.Header) {
	inside := func(id uint32) uint32 {
		if id-ids.First < ids.Size {
			id -= ids.First
		}
		return id
	}
	h.Uid, h.Gid = int(inside(uint32(h.Uid))), int(inside(uint32(h.Gid)))
	shiftACL(h, inside)
}
