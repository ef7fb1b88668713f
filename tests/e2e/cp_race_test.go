package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCpRace lets a container exchange a directory for a symbolic link to one of
// the host while files are copied both ways (CVE-2018-15664): no host file may
// be read or written by it.
func TestCpRace(t *testing.T) {
	h := newHost(t)
	secret := h.dir("secret")
	source := h.dir("source")
	h.write(secret+"/f", "secret of the host\n")
	h.write(source+"/f", "copied\n")
	// The link leads to the same path in the container too, which is where a copy
	// that is confined to it may well end up.
	script := `d=` + secret + `; mkdir -p $d; echo inside >$d/f
while :; do rm -rf /a/x; ln -s $d /a/x; rm -rf /a/x; mkdir -p /a/x; echo inside >/a/x/f; ln -s $d /a/x/deep; done`
	h.ok("run", "-d", "--name", "c1", "busybox", "sh", "-c", script)
	h.eventually("it swaps", func() bool { return h.try("exec", "c1", "test", "-L", "/a/x").code == 0 })
	out := h.dir("out")
	through, copied := 0, 0
	for i, end := 0, time.Now().Add(6*time.Second); time.Now().Before(end) || copied < 20; i++ {
		if time.Since(end) > 30*time.Second {
			t.Fatalf("%d of %d copies succeeded", copied, i)
		}
		os.Remove(out + "/f")
		// The outcome may be an error, as Docker's is when something goes meanwhile.
		lines := [][]string{{"c1:/a/x/f", out + "/f"}, {"c1:/a/x/.", out}, {"c1:/a", out}, {"-L", "c1:/a/x/f", out + "/f"},
			{source + "/f", "c1:/a/x/f"}, {source + "/.", "c1:/a/x"}, {source, "c1:/a/x/new"}, {source + "/f", "c1:/a/x/deep/f"}}
		r := h.try(append([]string{"cp"}, lines[i%len(lines)]...)...)
		if r.code == 0 {
			copied++
		}
		filepath.WalkDir(out, func(path string, entry os.DirEntry, err error) error {
			if data, err := os.ReadFile(path); err == nil && entry.Type().IsRegular() && strings.Contains(string(data), "secret") {
				through++
			}
			return nil
		})
		if entries, _ := os.ReadDir(secret); read(t, secret+"/f") != "secret of the host\n" || len(entries) != 1 {
			t.Fatalf("written to the host: %v, %s", entries, r)
		}
	}
	if through > 0 {
		t.Errorf("read from the host: %d times", through)
	}
	t.Logf("%d copies", copied)
}
