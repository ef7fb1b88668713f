package rootfs

import (
	"os"
	"path/filepath"
	"testing"
)

// Links that lead to nothing are followed as the container would, and what they lead to is made: below the root.
func TestMakeBelowLinks(t *testing.T) {
	outside := t.TempDir()
	for _, c := range []struct{ path, made string }{
		{"plain/dir", "plain/dir"}, {"/absolute", "absolute"}, {"there/../dir", "dir"},
		{"nowhere/inner", "made/inner"}, {"relative/inner", "there/made/inner"}, {"chain/inner", "made/inner"},
		{"outside/inner", filepath.Join(outside, "out/inner")}, {"up/inner", "etc/inner"}, {"circle/inner", ""},
	} {
		for kind, make := range map[string]func(*os.File, string) (*os.File, error){"directory": MakeDir, "file": makeFile} {
			dir := t.TempDir()
			os.Mkdir(dir+"/there", 0o755)
			for name, target := range map[string]string{"nowhere": "/made", "relative": "there/made", "chain": "nowhere",
				"outside": outside + "/out", "up": "../../../etc", "circle": "circle"} {
				if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			root, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			file, err := make(root, c.path)
			if c.made == "" {
				if err == nil {
					t.Errorf("%s %s: no error", kind, c.path)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %s: %v", kind, c.path, err)
				continue
			}
			defer file.Close()
			info, err := file.Stat()
			there, err2 := os.Stat(filepath.Join(dir, c.made))
			if err != nil || err2 != nil || !os.SameFile(info, there) || there.IsDir() != (kind == "directory") {
				t.Errorf("%s %s: not at %s: %v, %v", kind, c.path, c.made, err, err2)
			}
		}
	}
	if left, _ := filepath.Glob(outside + "/*"); len(left) > 0 {
		t.Errorf("outside of the root: %v", left)
	}
}
