package spec

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/api/types/mount"
	"golang.org/x/sys/unix"
)

func TestPrepareSource(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"private", "shared", "slave"} {
		if err := errors.Join(os.Mkdir(at(name), 0o755), unix.Mount("none", at(name), "tmpfs", 0, "")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(at(name), unix.MNT_DETACH) })
	}
	err := errors.Join(
		unix.Mount("", at("private"), "", unix.MS_PRIVATE, ""),
		unix.Mount("", at("shared"), "", unix.MS_SHARED, ""),
		unix.Mount("", at("slave"), "", unix.MS_SHARED, ""), // without a peer it would become private
		unix.Mount(at("slave"), at("slave"), "", unix.MS_BIND, ""),
		unix.Mount("", at("slave"), "", unix.MS_SLAVE, ""),
		os.WriteFile(at("file"), nil, 0o600), os.Symlink(at("shared"), at("link")), os.Mkdir(at("shared/below"), 0o755),
	)
	t.Cleanup(func() { unix.Unmount(at("slave"), unix.MNT_DETACH) })
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		source      string
		create      bool
		propagation mount.Propagation
		want        string
	}{
		{"file", false, "", ""},
		{"made/by/-v", true, "", ""},
		{"none", false, "", `invalid mount config for type "bind": bind source path does not exist: ` + at("none")},
		{"file/x", true, "", `invalid mount config for type "bind": stat ` + at("file/x") + ": not a directory"},
		{"private", false, "rprivate", ""},
		{"private", false, "rshared", "path " + at("private") + " is mounted on " + at("private") + " but it is not a shared mount"},
		{"private/new", true, "slave", "path " + at("private/new") + " is mounted on " + at("private") + " but it is not a shared or slave mount"},
		{"shared", false, "shared", ""},
		{"shared/below", false, "rslave", ""},
		{"link", false, "rshared", ""},
		{"slave", false, "rslave", ""},
		{"slave", false, "shared", "path " + at("slave") + " is mounted on " + at("slave") + " but it is not a shared mount"},
	} {
		m := mount.Mount{Type: mount.TypeBind, Source: at(test.source), BindOptions: &mount.BindOptions{CreateMountpoint: test.create, Propagation: test.propagation}}
		got := ""
		if err := PrepareSource(m); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s %s: %q, want %q", test.source, test.propagation, got, test.want)
		}
	}
	if info, err := os.Stat(at("made/by/-v")); err != nil || !info.IsDir() {
		t.Error(err)
	}
	if err := PrepareSource(mount.Mount{Type: mount.TypeBind, Source: at("none")}); err == nil {
		t.Error("a source of --mount that is not there")
	}
}
