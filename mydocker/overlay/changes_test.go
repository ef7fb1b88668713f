package overlay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// lay makes a layer: "d/" is a directory, "d/=" an opaque one, "f" a file, "f*" a
// later one, "f!" a whiteout, "f@" a symbolic link out of the layer.
func lay(t *testing.T, names ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("whiteouts and trusted attributes need root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "changes-") // a tmpfs may have no trusted attributes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range names {
		path, mark := filepath.Join(dir, name), name[len(name)-1]
		plain := strings.TrimRight(path, "*!@=")
		switch mark {
		case '/':
			err = os.Mkdir(path, 0o755)
		case '=':
			if err = os.Mkdir(plain, 0o755); err == nil {
				err = unix.Setxattr(plain, "trusted.overlay.opaque", []byte("y"), 0)
			}
		case '!':
			err = unix.Mknod(plain, unix.S_IFCHR, 0)
		case '@':
			err = os.Symlink("/etc", plain)
		default:
			modified := time.Unix(1_000_000_000, 0)
			if mark == '*' {
				modified = modified.Add(time.Second)
			}
			if err = os.WriteFile(plain, nil, 0o644); err == nil {
				err = os.Chtimes(plain, modified, modified)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestChanges(t *testing.T) {
	for name, test := range map[string]struct {
		upper []string
		lower [][]string // the topmost first
		want  string
	}{
		"nothing":                     {nil, [][]string{{"f"}}, ""},
		"added":                       {[]string{"d/", "d/f", "f"}, [][]string{{"g"}}, "A /d, A /d/f, A /f"},
		"modified":                    {[]string{"f*"}, [][]string{{}, {"f"}}, "C /f"},
		"copied up only":              {[]string{"d/", "d/f"}, [][]string{{"d/", "d/f"}}, ""},
		"deleted":                     {[]string{"d/", "d/f!"}, [][]string{{"d/"}, {"d/", "d/f"}}, "C /d, D /d/f"},
		"deleted, was never there":    {[]string{"f!"}, [][]string{{"g"}}, ""},
		"deleted in a layer before":   {[]string{"f!", "g"}, [][]string{{"f!", "g!"}, {"f", "g"}}, "A /g"},
		"parent is modified once":     {[]string{"d/", "d/a", "d/b*", "d/c!"}, [][]string{{"d/", "d/b", "d/c"}}, "C /d, A /d/a, C /d/b, D /d/c"},
		"new directory for an old":    {[]string{"d/=", "d/b"}, [][]string{{"d/", "d/a"}, {"d/", "d/b", "d/c/", "d/c/x"}}, "C /d, D /d/a, D /d/c"},
		"hidden by an opaque layer":   {[]string{"d/", "d/f"}, [][]string{{"d/="}, {"d/", "d/f"}}, "C /d, A /d/f"},
		"file for a directory":        {[]string{"d*"}, [][]string{{"d/", "d/x"}}, "C /d"},
		"directory for a file":        {[]string{"f/", "f/x"}, [][]string{{"f"}}, "C /f, A /f/x"},
		"link is not followed":        {[]string{"d/", "d/l@"}, [][]string{{"d/"}}, "C /d, A /d/l"},
		"mount points are not listed": {[]string{"dev/", "etc/", "etc/hosts", "etc/x"}, [][]string{{"x"}}, "C /etc, A /etc/x"},
	} {
		var lower []string
		for _, names := range test.lower {
			lower = append(lower, lay(t, names...))
		}
		changes, err := Changes(lay(t, test.upper...), lower, func(path string) bool {
			return path == "/dev" || path == "/etc" || path == "/etc/hosts"
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, change := range changes {
			got = append(got, fmt.Sprintf("%s %s", change.Kind, change.Path))
		}
		if diff := cmp.Diff(test.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
