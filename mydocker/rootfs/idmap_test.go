package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"minidocker/mydocker/namespace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestMapIDs(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "file"), nil, 0o644), os.Chown(filepath.Join(dir, "file"), 7, 8),
		os.Mkdir(below, 0o755), unix.Mount(dir, below, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(below, unix.MNT_DETACH)
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 500000, Size: 65536}}
	user, err := namespace.NewUser(maps, maps)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	for _, recursive := range []bool{false, true} {
		mount, err := OpenMount(specs.Mount{Type: "bind", Source: dir, Options: []string{"rbind"}})
		if err != nil {
			t.Fatal(err)
		}
		defer mount.Close()
		if err := MapIDs(mount, user, recursive); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]uint32{"file": 500007, "below/file": map[bool]uint32{false: 7, true: 500007}[recursive]} {
			var st unix.Stat_t
			if err := unix.Fstatat(int(mount.Fd()), name, &st, 0); err != nil || st.Uid != want || st.Gid != want+1 {
				t.Errorf("recursive %t, %s: owner %d:%d, %v, want %d:%d", recursive, name, st.Uid, st.Gid, err, want, want+1)
			}
		}
		if err := MapIDs(mount, user, recursive); !errors.Is(err, syscall.EPERM) {
			t.Errorf("a second time: %v, want EPERM", err)
		}
	}
	proc, err := OpenMount(specs.Mount{Type: "proc", Source: "proc"})
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	if err := MapIDs(proc, user, false); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("of proc: %v, want EINVAL", err)
	}
}
