package layer

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzApply unpacks what may be an archive, in a directory beside another that it
// must not touch, nor read through a link: a layer's files are all below the layer.
// Each pair of bytes is an entry, a name of nameParts and what it is.
func FuzzApply(f *testing.F) {
	for _, seed := range [][]byte{{}, {0x14, 0x10}, {0x32, 0x20, 0x43, 0x00}, {0x52, 0x32, 0x61, 0x43, 0x15, 0x05}, {0x70, 0x04, 0x12, 0x26, 0x81, 0x37}} {
		f.Add(seed, []byte(nil))
	}
	var whole bytes.Buffer
	w := tar.NewWriter(&whole)
	w.WriteHeader(&tar.Header{Name: "a/b", Typeflag: tar.TypeReg, Size: 1, Mode: 0o644, ModTime: when, Format: tar.FormatPAX})
	w.Write([]byte("x"))
	w.Close()
	f.Add([]byte(nil), whole.Bytes())
	top := f.TempDir()
	victim := filepath.Join(top, "victim")
	os.Mkdir(victim, 0o755)
	os.WriteFile(victim+"/a", []byte("precious"), 0o640)
	os.Chtimes(victim+"/a", when, when)
	os.Chtimes(victim, when, when)
	var before map[string]string
	f.Fuzz(func(t *testing.T, recipe, raw []byte) {
		if before == nil {
			before = listing(t, victim)
		}
		stream := raw
		if len(raw) == 0 {
			stream = cook(recipe, victim)
		}
		target := filepath.Join(top, "layer")
		defer os.RemoveAll(target)
		stats, err := Apply(target, bytes.NewReader(stream))
		if err == nil && stats.DiffID == "" {
			t.Error("a layer without a digest")
		}
		if after := listing(t, victim); !maps.Equal(before, after) {
			t.Fatal(cmp.Diff(before, after))
		}
		if entries, _ := os.ReadDir(top); len(entries) != 2 {
			t.Fatalf("beside the layer: %v", entries)
		}
	})
}

// cook makes an archive of bytes: most that are chosen at random would be none.
func cook(recipe []byte, victim string) []byte {
	parts := []string{"a", "b", "..", ".", "", "/", victim, "../victim", ".wh.a", ".wh..wh..opq", ".wh..", "a/b", "b/a", "a/../..", "../victim/a", "\xff"}
	kinds := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeFifo, tar.TypeGNUSparse, tar.TypeBlock}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for ; len(recipe) > 1; recipe = recipe[2:] {
		header := &tar.Header{
			Typeflag: kinds[recipe[1]&7], Name: parts[recipe[0]>>4] + "/" + parts[recipe[0]&15], Linkname: parts[recipe[1]>>4],
			Mode: 0o4777, Uid: 5, ModTime: when, Format: tar.FormatPAX, Devmajor: 1, Devminor: 3,
			PAXRecords: map[string]string{xattrRecord + "user.x": "y", xattrRecord + "trusted.overlay.redirect": "/"},
		}
		if recipe[1]&8 != 0 { // a name of one part
			header.Name = parts[recipe[0]>>4]
		}
		if header.Typeflag == tar.TypeReg {
			header.Size = 3
		}
		if w.WriteHeader(header) == nil && header.Size > 0 {
			w.Write([]byte("hit"))
		}
	}
	w.Close()
	return b.Bytes()
}
